"""Where the page may be: on this machine alone."""

from __future__ import annotations

import socket

import pytest

from plldb.errors import SourceError, UsageError
from plldb.inspector.address import Address, listen, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8765", Address("127.0.0.1", 8765)),
        (":8765", Address("127.0.0.1", 8765)),
        ("0", Address("127.0.0.1", 0)),
        ("localhost:8765", Address("127.0.0.1", 8765)),
        ("127.0.0.2:8765", Address("127.0.0.2", 8765)),
        ("[::1]:8765", Address("::1", 8765)),
        ("[0:0:0:0:0:0:0:1]:8765", Address("::1", 8765)),
        ("LocalHost:80", Address("127.0.0.1", 80)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "shop", "127.0.0.1", "127.0.0.1:", "1:65536", "1:-1", "1:²"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert "HOST:PORT" in caught.value.explanation


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "[::]",
        "192.168.1.2",
        "example.org",
        "[fe80::1]",
        "[::1%lo]",
        "127.0.0.1.example.org",
    ],
)
def test_where_others_could_reach_it_it_says_why_not_and_what_to_do(host: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(f"{host}:8765")
    assert "this machine alone" in caught.value.message
    assert "runs code" in caught.value.message
    assert "ssh -L 8765:127.0.0.1:8765" in str(caught.value.hint)


def test_any_free_port() -> None:
    listener, address = listen(Address("127.0.0.1", 0))
    with listener:
        assert address.port > 0
        assert address.authority == f"127.0.0.1:{address.port}"


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SourceError, match=f"can't listen at 127.0.0.1:{port}"):
            listen(Address("127.0.0.1", port))


def test_in_urls_there_is_no_port_that_every_browser_leaves_out() -> None:
    assert [Address(host, 80).authority for host in ("127.0.0.1", "::1")] == ["127.0.0.1", "[::1]"]
    assert Address("127.0.0.1", 8080).authority == "127.0.0.1:8080"


def test_an_ipv6_address_has_brackets() -> None:
    assert Address("::1", 8765).authority == "[::1]:8765"
