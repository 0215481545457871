"""Who gets nothing out of the inspector, and what a browser is told to allow."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest

from plldb.inspector.address import Address
from plldb.inspector.guard import HEADERS, Guard, Receive, Scope, Send, make_token
from plldb.inspector.server import Inspector
from plldb.inspector.site import STATIC
from tests.unit.inspector.inspected import Session

SECRET = "correct-horse-battery"


@pytest.fixture(scope="module")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inspector]:
    session = Session(tmp_path_factory.mktemp("project"))
    session.invoke({"word": SECRET}, {"word": SECRET})
    with session.inspected() as inspector:
        yield inspector


def token_of(inspector: Inspector) -> str:
    return inspector.url.rstrip("/").rpartition("/")[2]


def ask(
    inspector: Inspector,
    path: str = "",
    method: str = "GET",
    body: bytes | None = None,
    token: str | None = None,
    **headers: str,
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body; header names have underscores."""
    given = {"host": inspector.address.authority} | headers
    connection = http.client.HTTPConnection("127.0.0.1", inspector.address.port, timeout=30)
    try:
        whole = f"/{token_of(inspector) if token is None else token}/{path}"
        connection.putrequest(method, whole, skip_host=True, skip_accept_encoding=True)
        for name, value in given.items():
            connection.putheader(name.replace("_", "-"), value)
        if body is not None:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def post(inspector: Inspector, path: str, value: Any, **headers: str) -> tuple[int, Any]:
    given = {
        "origin": f"http://{inspector.address.authority}",
        "content_type": "application/json",
    } | headers
    status, _, body = ask(inspector, path, "POST", json.dumps(value).encode(), **given)
    return status, json.loads(body) if status != 403 else body


def test_with_the_token_all_is_there(inspector: Inspector) -> None:
    status, _, body = ask(inspector, "api/invocations")
    assert status == 200
    assert SECRET in body.decode()
    assert ask(inspector, host=f"localhost:{inspector.address.port}")[0] == 200


def test_no_two_tokens_are_the_same_and_they_are_long() -> None:
    tokens = {make_token() for _ in range(100)}
    assert len(tokens) == 100
    # 256 bits in base64.
    assert all(re.fullmatch(r"[\w-]{43}", token) for token in tokens)


@pytest.mark.parametrize("path", ["", "page.js", "api/invocations", "api/changes", "nothing"])
@pytest.mark.parametrize("token", ["", "x", "x" * 43, "%ff", "%2e%2e"])
def test_without_it_nothing_is(inspector: Inspector, path: str, token: str) -> None:
    refused = ask(inspector, path, token=token)
    assert refused[0] == 403
    assert refused[2] == ask(inspector, token="else")[2]
    assert SECRET.encode() not in refused[2]
    assert token_of(inspector).encode() not in refused[2]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:{port}"},
        {"host": "127.0.0.1"},
        {"host": "127.0.0.1:1"},
        {"host": "127.0.0.1.evil.example:{port}"},
        {"host": ""},
        {"origin": "http://evil.example"},
        {"origin": "https://127.0.0.1:{port}"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://localhost:{port}"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "script"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
    ],
    ids=str,
)
def test_other_pages_get_nothing_even_with_the_token(
    inspector: Inspector, headers: dict[str, str]
) -> None:
    port = inspector.address.port
    given = {name: value.format(port=port) for name, value in headers.items()}
    for path in ("", "api/invocations"):
        status, _, body = ask(inspector, path, **given)
        assert status == 403
        assert SECRET.encode() not in body
    assert post(inspector, "api/replay", {"id": "x"}, **given)[0] == 403


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1", "http://127.0.0.1", 200),
        ("127.0.0.1:80", "http://127.0.0.1", 200),
        ("localhost", "http://localhost", 200),
        ("localhost", "http://127.0.0.1", 403),
        ("127.0.0.1:8080", "http://127.0.0.1:8080", 403),
        ("evil.example:80", "http://evil.example", 403),
    ],
)
def test_at_port_80_its_names_have_none(host: str, origin: str, status: int) -> None:
    async def page(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def ask_guard() -> list[MutableMapping[str, Any]]:
        sent: list[MutableMapping[str, Any]] = []

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        async def receive() -> MutableMapping[str, Any]:
            raise AssertionError

        headers = [(b"host", host.encode()), (b"origin", origin.encode())]
        scope = {"type": "http", "method": "POST", "path": "/token/api", "headers": headers}
        await Guard(page, Address("127.0.0.1", 80), "token")(scope, receive, send)
        return sent

    assert asyncio.run(ask_guard())[0]["status"] == status


def test_the_page_may_be_opened_by_a_link_and_nothing_else_may(inspector: Inspector) -> None:
    link = {
        "sec_fetch_site": "cross-site",
        "sec_fetch_mode": "navigate",
        "sec_fetch_dest": "document",
    }
    assert ask(inspector, **link)[0] == 200
    assert ask(inspector, "api/invocations", **link)[0] == 403


def test_what_changes_anything_comes_from_the_page(inspector: Inspector) -> None:
    body = json.dumps({"id": "x"}).encode()
    assert ask(inspector, "api/replay", "POST", body, content_type="application/json")[0] == 403
    # A form could send that without asking.
    assert post(inspector, "api/replay", {"id": "x"}, content_type="text/plain")[0] == 400
    assert post(inspector, "api/replay", {"id": "x"})[1]["error"] == "It is not kept any more."


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "TRACE"])
def test_no_other_method(inspector: Inspector, method: str) -> None:
    assert ask(inspector, method=method)[0] == 403


@pytest.mark.parametrize("path", ["..%2f..%2fsite.py", "../site.py", "%2e%2e/site.py", "static/"])
def test_no_other_file(inspector: Inspector, path: str) -> None:
    assert ask(inspector, path)[0] == 404


def test_every_answer_has_the_headers_that_protect(inspector: Inspector) -> None:
    for path, token in (("", None), ("api/invocations", None), ("nothing", None), ("", "wrong")):
        _, headers, _ = ask(inspector, path, token=token)
        assert headers.items() >= HEADERS.items()
        assert "server" not in headers
        assert "set-cookie" not in headers
        assert not [name for name in headers if name.startswith("access-control")]
    policy = HEADERS["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_page_needs_nothing_from_elsewhere_and_makes_no_markup_of_text() -> None:
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"https?://[^\s\"')]+", text)
        assert set(found) <= {"http://www.w3.org/2000/svg"}, path.name
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text, path.name
    index = (STATIC / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script[^>]*>", index) == ['<script type="module" src="page.js">']
    assert " style=" not in index
    assert " on" not in re.sub(r">[^<]*<", "><", index).replace(" one", "")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("api/replay", []),
        ("api/replay", {"id": 7}),
        ("api/replay", {"id": "x", "event": 7}),
        ("api/save", {"id": "x", "kind": "test"}),
        ("api/save", None),
    ],
)
def test_what_makes_no_sense_is_said(inspector: Inspector, path: str, value: object) -> None:
    status, said = post(inspector, path, value)
    assert status == 400
    assert said["error"]


@pytest.mark.parametrize("limit", ["", "0", "-1", "1", "x", "9" * 5000])
def test_of_a_list_there_is_one_at_least(inspector: Inspector, limit: str) -> None:
    status, _, body = ask(inspector, f"api/invocations?limit={limit}")
    assert status == 200
    assert len(json.loads(body)["invocations"]) == 1


def test_what_is_too_long_is_refused(inspector: Inspector) -> None:
    status, said = post(inspector, "api/replay", {"id": "x", "event": "x" * 17_000_000})
    assert status == 400
    assert "too long" in said["error"]
