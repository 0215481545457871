"""One WebSocket over real sockets: what a server may do to it."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from plldb_shim import rfc6455, tcp, websocket_client
from plldb_shim.websocket_client import ClosedError, WebSocket

from tests.unit.polling import poll

from .helper_stack import answer, full_port, helper_stack, invoked, silent

Served = Callable[[socket.socket], object]


def soon(seconds: float = 20) -> float:
    return time.monotonic() + seconds


@contextmanager
def raw_server(serve: Served) -> Iterator[str]:
    """A server that does as it is told; the URL to reach it by. One connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            connected, _ = listening.accept()
            with connected:
                connected.settimeout(20)
                serve(connected)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            thread.join()


def shake_hands(connected: socket.socket) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        request += connected.recv(4096)
    key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
    accept = rfc6455.accept_value(key).encode()
    connected.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def sending(*pieces: bytes, received: list[bytes] | None = None) -> Served:
    """A server that sends these, one at a time, and keeps what it gets until the end."""

    def serve(connected: socket.socket) -> None:
        shake_hands(connected)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connected.sendall(piece)
            time.sleep(0.005)
        while data := connected.recv(4096):
            if received is not None:
                received.append(data)

    return serve


@contextmanager
def opened(url: str) -> Iterator[WebSocket]:
    connection = websocket_client.dial(url, {}, 5)
    try:
        assert connection.is_open(soon())
        yield connection
    finally:
        connection.close()


class TestOpening:
    def test_the_reply_may_take_its_time(self) -> None:
        is_free = threading.Event()

        def serve(connected: socket.socket) -> None:
            is_free.wait(20)
            shake_hands(connected)
            connected.recv(4096)

        with raw_server(serve) as url:
            connection = websocket_client.dial(url, {}, 5)
            try:
                assert not connection.is_open(0)
                assert not connection.is_open(soon(0.05))
                is_free.set()
                assert connection.is_open(soon())
            finally:
                connection.close()

    def test_what_comes_with_the_reply_is_not_lost(self) -> None:
        def serve(connected: socket.socket) -> None:
            shake_hands(connected)
            connected.sendall(b"\x81\x05hello")
            connected.recv(4096)

        with raw_server(serve) as url, opened(url) as connection:
            assert connection.receive(soon()) == "hello"

    @pytest.mark.parametrize(
        "reply", [b"", b"HTTP/1.1 101", b"HTTP/1.1 403 No\r\n\r\n", b"\x16\r\n\r\n"]
    )
    def test_a_reply_that_is_none(self, reply: bytes) -> None:
        def serve(connected: socket.socket) -> None:
            connected.recv(4096)
            connected.sendall(reply)

        with raw_server(serve) as url:
            connection = websocket_client.dial(url, {}, 5)
            with pytest.raises(ConnectionError):
                connection.is_open(soon())
            connection.close()

    @pytest.mark.parametrize("url", ["", "localhost", "http://localhost/", "ws:///x", "ws://a:b/"])
    def test_urls_that_are_none(self, url: str) -> None:
        with pytest.raises(ValueError):
            websocket_client.dial(url, {}, 1)

    def test_it_does_not_wait_for_small_pieces_to_become_large(self) -> None:
        with helper_stack(silent) as stack, opened(stack.url) as connection:
            no_delay = connection._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert no_delay

    def test_nobody_takes_the_connection(self) -> None:
        with full_port() as port:
            began = time.monotonic()
            with pytest.raises(OSError):
                websocket_client.dial(f"ws://127.0.0.1:{port}/", {}, 0.3)
            # The system itself gives up after minutes.
            assert time.monotonic() - began < 30


class TestReceiving:
    def test_nothing_by_then(self) -> None:
        with helper_stack(silent) as stack, opened(stack.url) as connection:
            began = time.monotonic()
            assert connection.receive(soon(0.1)) is None
            assert 0.09 < time.monotonic() - began < 10
            assert connection.receive(0) is None

    def test_in_pieces(self) -> None:
        data = b"\x01\x02\xc3\xa4\x89\x01p\x80\x7e\x01\x00" + b"x" * 256
        pieces = [data[i : i + 1] for i in range(20)] + [data[20:]]
        received: list[bytes] = []
        with raw_server(sending(*pieces, received=received)) as url, opened(url) as connection:
            assert connection.receive(soon()) == "ä" + "x" * 256
        assert b"".join(received)[:2] == b"\x8a\x81", "the ping has its pong"

    def test_a_piece_that_came_before_the_time_was_over_counts_afterwards(self) -> None:
        is_free = threading.Event()

        def serve(connected: socket.socket) -> None:
            shake_hands(connected)
            connected.sendall(b"\x81\x05hel")
            is_free.wait(20)
            connected.sendall(b"lo")
            connected.recv(4096)

        with raw_server(serve) as url, opened(url) as connection:
            assert connection.receive(soon(0.1)) is None
            is_free.set()
            assert connection.receive(soon()) == "hello"

    def test_several_at_once(self) -> None:
        with raw_server(sending(b"\x81\x01a\x81\x01b\x82\x01c")) as url, opened(url) as connection:
            assert [connection.receive(soon()) for _ in range(3)] == ["a", "b", "c"]

    @pytest.mark.parametrize(
        ("close", "answer"),
        [(b"\x88\x02\x03\xe9", 1001), (b"\x88\x00", None), (b"\x88\x0a\x0f\xa0because.", 4000)],
    )
    def test_a_close_frame_is_answered(self, close: bytes, answer: int | None) -> None:
        received: list[bytes] = []
        with (
            raw_server(sending(close, received=received)) as url,
            opened(url) as connection,
            pytest.raises(ClosedError),
        ):
            connection.receive(soon())
        reply = b"".join(received)
        assert reply[0] == 0x88
        code = bytes(a ^ b for a, b in zip(reply[6:8], reply[2:4], strict=True))
        assert reply[1] & 0x7F == (2 if answer else 0)
        assert answer is None or int.from_bytes(code, "big") == answer

    def test_the_end_without_one(self) -> None:
        with raw_server(shake_hands) as url, opened(url) as connection:
            with pytest.raises(ClosedError):
                connection.receive(soon())
            with pytest.raises(OSError):
                connection.receive(soon())

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (b"\x81\x85abcdhello", 1002),
            (b"\x83\x00", 1002),
            (b"\x80\x00", 1002),
            (b"\x88\x01x", 1002),
            (b"\x81\x01\xff", 1007),
            (b"\x81\x7f" + (131_073).to_bytes(8, "big"), 1009),
        ],
    )
    def test_what_breaks_the_protocol_ends_the_connection(self, data: bytes, code: int) -> None:
        received: list[bytes] = []
        with (
            raw_server(sending(data, received=received)) as url,
            opened(url) as connection,
            pytest.raises(ConnectionError),
        ):
            connection.receive(soon())
        reply = b"".join(received)
        told = bytes(a ^ b for a, b in zip(reply[6:8], reply[2:4], strict=True))
        assert int.from_bytes(told, "big") == code

    def test_as_much_as_api_gateway_passes_on(self) -> None:
        text = "x" * 131_072
        with helper_stack(silent) as stack, opened(stack.url) as connection:
            (server,) = stack.connections
            server._protocol.send_text(text.encode())
            server._flush()
            assert connection.receive(soon()) == text


def send_for_ever(connection: WebSocket) -> None:
    while True:
        connection.send("x" * 32_000)


class TestSending:
    def test_never_more_than_a_frame_may_have(self) -> None:
        with helper_stack(silent) as stack, opened(stack.url) as connection:
            connection.send('"' + "x" * 31_998 + '"')
            for text in ("x" * 32_001, "ä" * 16_001):
                with pytest.raises(ValueError):
                    connection.send(text)

    def test_to_one_that_takes_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(websocket_client, "SEND_SECONDS", 0.1)
        is_over = threading.Event()

        def serve(connected: socket.socket) -> None:
            shake_hands(connected)
            is_over.wait(20)

        with raw_server(serve) as url, opened(url) as connection:
            with pytest.raises(OSError):
                send_for_ever(connection)
            is_over.set()

    def test_to_one_that_has_gone(self) -> None:
        with (
            raw_server(shake_hands) as url,
            opened(url) as connection,
            pytest.raises(OSError),
        ):
            send_for_ever(connection)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for ``localhost``, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-addext", "keyUsage=digitalSignature"]
    command += ["-keyout", str(folder / "key"), "-out", str(folder / "certificate")]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl makes the certificate, and is not here")
    path = folder / "both.pem"
    path.write_text((folder / "key").read_text() + (folder / "certificate").read_text())
    return path


class TestTls:
    def context(self, certificate: Path) -> object:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        return context

    def test_it_is_the_same(self, monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with helper_stack(invoked(answer(2)), tls=self.context(certificate)) as stack:
            assert stack.url.startswith("wss:")
            with opened(stack.url) as connection:
                assert connection.receive(0) is None
                assert connection.receive(soon(0.05)) is None
                for _ in range(3):
                    connection.send('{"action": "invoke", "pad": "' + "x" * 20_000 + '"}')
                    assert connection.receive(soon()) is not None
                stack.connections[0].ping(b"p")
                # The pong is sent by who listens.
                poll(lambda: connection.receive(soon(0.1)) is None and stack.pongs)
                stack.connections[0].hang_up()
                with pytest.raises(OSError):
                    connection.receive(soon())
        assert stack.pongs == [b"p"]

    def test_authorities_are_the_systems(self, certificate: Path) -> None:
        with (
            helper_stack(silent, tls=self.context(certificate)) as stack,
            pytest.raises(OSError, match="certificate verify failed"),
        ):
            websocket_client.dial(stack.url, {}, 5)

    def test_the_name_has_to_be_right(
        self, monkeypatch: pytest.MonkeyPatch, certificate: Path
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with (
            helper_stack(silent, tls=self.context(certificate)) as stack,
            pytest.raises(OSError, match="certificate verify failed"),
        ):
            websocket_client.dial(stack.url.replace("localhost", "127.0.0.1"), {}, 5)

    def test_one_that_takes_the_connection_and_says_nothing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            with pytest.raises(OSError):
                websocket_client.dial(f"wss://127.0.0.1:{port}/", {}, 0.2)


def test_a_host_without_addresses() -> None:
    with pytest.raises(OSError):
        tcp.open_socket("no-such-host.invalid", 1, 1)
