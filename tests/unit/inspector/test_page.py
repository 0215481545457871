"""The page in a real browser: what arrives, what is found, what is run again and what is saved."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from plldb.inspector.server import Inspector
from tests.unit.inspector.inspected import Session, open_browser
from tests.unit.polling import poll

pytest.importorskip("playwright", reason="playwright is not installed")

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


class Seen:
    """A page, and what went wrong in it: errors, whatever a script says, and requests elsewhere."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self._note(str(error)))
        page.on("dialog", lambda dialog: self._note(dialog.message))
        page.on("console", lambda said: self._note(said.text, "Security Policy" in said.text))
        page.on("request", lambda asked: self._note(asked.url, not asked.url.startswith(url)))

    def _note(self, problem: str, is_one: bool = True) -> None:
        if is_one:
            self.problems.append(problem)


@contextmanager
def opened(
    browser: Browser, inspector: Inspector, width: int = 1200, height: int = 800
) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(60_000)
    try:
        seen = Seen(context.new_page(), inspector.url)
        seen.page.goto(inspector.url)
        seen.page.locator("#connection.live").wait_for()
        yield seen.page
        assert not seen.problems
    finally:
        context.close()


def rows(page: Page) -> list[str]:
    return page.locator(".row .short").all_text_contents()


def count(page: Page, text: str) -> None:
    page.locator("#count", has_text=re.compile(f"^{re.escape(text)}$")).wait_for()


def hold(page: Page, address: re.Pattern[str], times: int | None = None) -> list[Route]:
    """Requests that are not answered until a test has them go on."""
    held: list[Route] = []

    def take(route: Route) -> None:
        held.append(route)

    page.route(address, take, times=times)
    return held


def test_an_invocation_arrives_is_found_and_looked_at(browser: Browser, session: Session) -> None:
    with session.inspected() as inspector, opened(browser, inspector) as page:
        count(page, "0 invocations")
        first = session.start({"order": 1, "name": "Jürgen"}, "Orders")
        page.locator(".row.queued").wait_for()
        session.print(first, "takes the order")
        session.answer(first, {"taken": True})
        page.locator(".row.succeeded").wait_for()
        session.fail(session.start({"a": 1}), "KeyError", "'b'")
        count(page, "2 invocations")
        assert rows(page) == [
            "{\"a\": 1} → KeyError: 'b'",
            '{"order": 1, "name": "J\\u00fcrgen"} → {"taken": true}',
        ]

        page.keyboard.press("/")
        page.keyboard.type("jürgen")
        count(page, "1 of 2 invocations")
        page.keyboard.press("Enter")
        page.keyboard.press("j")
        page.get_by_role("heading", name="Orders").wait_for()
        assert '"order": 1' in page.locator("#part-event pre").inner_text()
        assert '"taken": true' in page.locator("#part-answer pre").inner_text()
        assert page.locator("#part-log .log").inner_text() == "takes the order"
        assert page.locator(".waterfall th").all_inner_texts() == [
            "helper stack: claim",
            "queue",
            "handler",
            "helper stack: answer",
        ]

        page.locator("#text").fill("")
        page.locator("#outcome").select_option("failed")
        count(page, "1 of 2 invocations")
        page.locator(".row.failed").click()
        page.locator("#part-error .message", has_text="KeyError: 'b'").wait_for()
        assert "line 3, in handler" in page.locator("#part-error pre").inner_text()
        page.locator("#outcome").select_option("")
        page.locator("#function").select_option("Orders")
        count(page, "1 of 2 invocations")
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        page.get_by_role("dialog").wait_for()
        page.keyboard.press("Escape")


def test_what_is_chosen_is_shown_though_what_was_before_changes(
    browser: Browser, session: Session
) -> None:
    with session.inspected() as inspector, opened(browser, inspector) as page:
        chosen = session.invoke({"a": 2}, "of the other", "Other")
        running = session.start({"a": 1})
        page.locator(".row", has_text="Adder").click()
        page.get_by_role("heading", name="Adder").wait_for()
        held = hold(page, re.compile(f"api/invocation.id={chosen}"))
        page.locator(".row", has_text="Other").click()
        session.answer(running, {"sum": 3})
        page.locator(".row.succeeded", has_text="Adder").wait_for()
        # Longer than the page takes to look at what has changed.
        page.wait_for_timeout(500)
        for route in held:
            route.continue_()
        page.get_by_role("heading", name="Other").wait_for()


def test_a_choice_counts_though_something_arrives_before_its_list(
    browser: Browser, session: Session
) -> None:
    session.invoke({"a": 1}, "the first")
    session.fail(session.start({"a": 2}), "KeyError", "'b'")
    session.invoke({"a": 3}, "the last")
    with session.inspected() as inspector, opened(browser, inspector) as page:
        count(page, "3 invocations")
        held = hold(page, re.compile("outcome=failed"), times=1)
        page.locator("#outcome").select_option("failed")
        poll(lambda: held or page.wait_for_timeout(20))
        session.invoke({"a": 4}, "another one")
        count(page, "1 of 4 invocations")
        assert rows(page) == ["{\"a\": 2} → KeyError: 'b'"]
        held[0].continue_()


def test_replay_difference_and_a_test_that_pytest_runs(browser: Browser, session: Session) -> None:
    with session.inspected() as inspector, opened(browser, inspector) as page:
        session.fail(session.start({"a": 1}), "KeyError", "'b'")
        page.locator(".row").click()
        page.locator("#part-error").wait_for()
        page.keyboard.press("e")
        page.get_by_label("Event, as JSON").fill('{"a": 1, "b": ')
        page.get_by_role("dialog").get_by_role("button", name="Replay").click()
        page.get_by_role("alert").get_by_text("The event is no JSON").wait_for()
        page.get_by_label("Event, as JSON").fill('{"a": 1, "b": 41}')
        page.keyboard.press("Control+Enter")
        page.locator(".row.succeeded").wait_for()
        difference = page.locator("#part-difference")
        difference.wait_for()
        assert difference.locator(".path").all_inner_texts() == ["event.b", "error", "answer"]
        assert "adds 1 and 41" in page.locator("#part-log").inner_text()

        page.keyboard.press("s")
        page.get_by_label("Name of the file").fill("adds")
        page.keyboard.press("Enter")
        page.locator("#toast", has_text="pytest").wait_for()
        saved = session.folder / "tests" / "recordings" / "adds.plldb.json"
        assert json.loads(saved.read_text())["answer"] == {"sum": 42}
        # Any two: the first one beside the replay.
        page.locator(".row.succeeded").click()
        page.locator("#part-answer").wait_for()
        page.keyboard.press("c")
        page.locator(".row.failed").click()
        page.locator("#part-error").wait_for()
        page.keyboard.press("c")
        page.get_by_role("heading", name="Difference to Adder").wait_for()
        assert page.locator("#part-difference .minus").first.inner_text() == "41"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "plldb.pytest_plugin", "-q", "tests"],
        cwd=session.folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


# What would be told elsewhere, or shown by the browser, if any of it ran.
_MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'></pre><svg onload=alert(3)>"

_MADE = "main img, main script, main svg, #toast *, dialog img"
_MAKE_MARKUP = """() => {
    try { document.body.innerHTML = "<b></b>"; return "made" } catch (error) { return error.name }
}"""


def test_whatever_stands_in_an_invocation_stays_text(browser: Browser, session: Session) -> None:
    with session.inspected() as inspector, opened(browser, inspector) as page:
        started = session.start({"a": _MARKUP, _MARKUP: 1}, _MARKUP)
        session.print(started, f"{_MARKUP} \x1b[31m \ud800")
        session.answer(started, {"b": _MARKUP})
        session.fail(session.start({"a": _MARKUP}, _MARKUP), _MARKUP, _MARKUP)
        count(page, "2 invocations")
        for place in (0, 1):
            page.locator(".row").nth(place).click()
            page.locator("#part-event").wait_for()
            assert page.locator(_MADE).count() == 0
        assert _MARKUP in page.locator("#detail h2").inner_text()
        page.keyboard.press("c")
        page.locator(".row").first.click()
        page.locator("#part-error").wait_for()
        page.keyboard.press("c")
        page.locator("#part-difference").wait_for()
        page.keyboard.press("s")
        page.get_by_role("dialog").wait_for()
        page.keyboard.press("Escape")
        # And were there markup by some mistake, the browser would not run it.
        assert page.evaluate(_MAKE_MARKUP) == "TypeError"


def test_thousands_of_invocations_and_megabytes(browser: Browser, session: Session) -> None:
    big = json.dumps({"rows": ["x" * 1_000] * 3_000, "end": "y" * 3_000_000})
    session.invoke(big, big, "Big")
    for number in range(9_999):
        session.invoke({"n": number}, {"n": number})
    with session.inspected() as inspector, opened(browser, inspector) as page:
        count(page, "10000 invocations")
        assert page.locator(".row").count() < 100
        page.locator("#list").focus()
        for _ in range(5):
            page.keyboard.press("End")
        poll(lambda: page.locator(".row").first.get_attribute("aria-posinset") != "1")
        assert page.locator(".row").count() < 100
        page.locator("#text").fill('"n": 4711')
        count(page, "1 of 10000 invocations")
        page.locator("#text").fill("")
        count(page, "10000 invocations")
        page.locator("#function").select_option("Big")
        count(page, "1 of 10000 invocations")
        page.locator(".row").click()
        assert len(page.locator("#part-event pre").inner_text()) < 100_000
        page.locator("#part-event").get_by_role("button", name="Show all").click()
        page.locator("#part-event button").wait_for(state="detached")
        shown = page.evaluate("document.querySelector('#part-event pre').textContent.length")
        assert shown > 6_000_000
        # The page still answers.
        page.keyboard.press("Escape")
        page.locator("#function").select_option("")
        count(page, "10000 invocations")


def test_on_a_phone_in_the_dark_and_to_its_end(browser: Browser, session: Session) -> None:
    with session.inspected() as inspector, opened(browser, inspector, 360, 640) as page:
        session.invoke({"a": 1, "b": "x" * 500}, {"sum": 3})
        page.locator(".row").click()
        page.get_by_role("heading", name="Adder").wait_for()
        assert not page.locator("#list").is_visible()
        wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not page.evaluate(wide)
        page.get_by_role("button", name="All invocations").click()
        assert page.locator("#list").is_visible()
        assert not page.evaluate(wide)
        colour = "getComputedStyle(document.body).backgroundColor"
        page.emulate_media(color_scheme="light")
        light = page.evaluate(colour)
        page.emulate_media(color_scheme="dark")
        assert page.evaluate(colour) != light
        page.get_by_role("button", name="Theme: auto").click()
        page.get_by_role("button", name="Theme: dark").click()
        page.get_by_role("button", name="Theme: light").wait_for()
        assert page.evaluate(colour) == light
        inspector.close()
        page.locator("#connection.over").wait_for()
        page.keyboard.press("r")
        page.locator("#connection.over").wait_for()
