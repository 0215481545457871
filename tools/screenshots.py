"""Takes the pictures of the inspector in docs/images (``make screenshots``).

It needs Chromium, as the tests of the page do.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from plldb.debugger.invocation_runner import Legs
from plldb.inspector.server import Inspector
from tests.unit.inspector.inspected import Session, open_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = Path(__file__).parents[1] / "docs" / "images"
_CODE = """
    PRICES = {"tea": 4.5, "mug": 12}

    def handler(event, context):
        order = event["order"]
        print(f"order {order['id']}: {len(order['items'])} items")
        total = sum(PRICES.get(item["name"], 0) * item["count"] for item in order["items"])
        return {"statusCode": 200, "total": total}
"""
# Where the code is on the machine that takes the pictures is nobody's business.
_NAME_FOLDER = """() => {
  const text = document.querySelector("p.facts").lastChild;
  text.data = text.data.replace(/ in .*/, " in /home/you/shop/src");
}"""
_WIDE = {"width": 1120, "height": 700}
_PHONE = {"width": 360, "height": 640}


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        session = Session(Path(folder))
        session.write(_CODE)
        _tell_story(session)
        with session.inspected() as inspector, open_browser() as browser:
            _take_pictures(inspector, browser)


def _tell_story(session: Session) -> None:
    for number in range(1, 8):
        order = {"id": f"A-{number}", "items": [{"name": "tea", "count": number}]}
        started = session.start({"order": order, "channel": "web"}, "Orders")
        session.print(started, f"order A-{number}: 1 items")
        legs = Legs(5.2 + number, 0.3, 20 + 7.3 * number, 6.4)
        session.answer(started, {"statusCode": 200, "total": 4.5 * number}, legs)
        session.invoke(
            {"name": f"user {number}"}, {"greeting": f"Hello, user {number}!"}, "Greeter"
        )
    order = {"id": "A-8", "items": [{"name": "mug", "count": 2}, {"name": "cup", "count": 1}]}
    started = session.start({"order": order, "channel": "app"}, "Orders")
    session.print(started, "order A-8: 2 items")
    line = 'total = sum(PRICES[item["name"]] * item["count"] for item in order["items"])'
    session.fail(started, "KeyError", "'cup'", line)


def _take_pictures(inspector: Inspector, browser: Browser) -> None:
    page = _open(inspector, browser, _WIDE, "light")
    page.locator(".row.failed").click()
    page.locator("#part-error").wait_for()
    _take(page, "inspector-light")
    page.context.close()

    page = _open(inspector, browser, _WIDE, "dark")
    page.locator(".row.failed").first.click()
    page.locator("#part-error").wait_for()
    page.keyboard.press("r")
    page.locator(".row.succeeded .name", has_text="replay").wait_for()
    page.locator("#part-difference").wait_for()
    page.evaluate("document.querySelector('#toast').textContent = ''")
    _take(page, "inspector-dark")
    page.context.close()

    page = _open(inspector, browser, _PHONE, "dark")
    page.locator(".row.succeeded", has_text="replay").click()
    page.locator("#part-difference").wait_for()
    _take(page, "inspector-phone")
    page.context.close()


def _open(inspector: Inspector, browser: Browser, size: dict[str, int], scheme: str) -> Page:
    context = browser.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        color_scheme="dark" if scheme == "dark" else "light",
        timezone_id="UTC",
    )
    page = context.new_page()
    page.goto(inspector.url)
    page.locator("#connection.live").wait_for()
    page.locator(".row").first.wait_for()
    return page


def _take(page: Page, name: str) -> None:
    path = IMAGES / f"{name}.png"
    page.evaluate(_NAME_FOLDER)
    page.screenshot(path=path)
    print(json.dumps({"image": path.name, "bytes": path.stat().st_size}))


if __name__ == "__main__":
    main()
