"""What is wrong with a client's opening handshake: https://www.rfc-editor.org/rfc/rfc6455#section-4.2"""

import pytest
from localstack_tokenfree.websocket.opening_handshake import refusal

HEADERS = {
    "host": ["example.com"],
    "upgrade": ["websocket"],
    "connection": ["Upgrade"],
    "sec-websocket-key": ["dGhlIHNhbXBsZSBub25jZQ=="],
    "sec-websocket-version": ["13"],
}


def status(method: str = "GET", protocol: str = "HTTP/1.1", **changed: list[str]) -> int | None:
    headers = HEADERS | {name.replace("_", "-"): values for name, values in changed.items()}
    answer = refusal(method, protocol, lambda name: headers.get(name, []))
    return answer.status if answer else None


@pytest.mark.parametrize(
    "connection",
    [["Upgrade"], ["keep-alive, upgrade"], ["keep-alive", "Upgrade"]],
    ids=", ".join,
)
def test_good_handshake(connection: list[str]) -> None:
    assert status(connection=connection) is None


@pytest.mark.parametrize("name", ["host", "connection", "sec-websocket-key"])
def test_header_is_missing(name: str) -> None:
    assert status(**{name.replace("-", "_"): []}) == 400


@pytest.mark.parametrize("key", ["", "abc", "no base64!", "c2hvcnQ=", "dGhlIHNhbXBsZSBub25jZSE="])
def test_key_is_no_sixteen_bytes(key: str) -> None:
    assert status(sec_websocket_key=[key]) == 400


def test_two_keys() -> None:
    assert status(sec_websocket_key=HEADERS["sec-websocket-key"] * 2) == 400


@pytest.mark.parametrize(("method", "protocol"), [("POST", "HTTP/1.1"), ("GET", "HTTP/1.0")])
def test_other_requests(method: str, protocol: str) -> None:
    assert status(method, protocol) == 400


def test_version_is_missing() -> None:
    assert status(sec_websocket_version=[]) == 400


@pytest.mark.parametrize("version", ["8", "14", "x"])
def test_other_version_hears_which_there_is(version: str) -> None:
    headers = HEADERS | {"sec-websocket-version": [version]}
    answer = refusal("GET", "HTTP/1.1", lambda name: headers.get(name, []))
    assert answer is not None
    assert answer.status == 426
    assert answer.header("sec-websocket-version") == "13"
