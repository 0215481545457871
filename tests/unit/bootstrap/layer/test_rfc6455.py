"""Frames and the handshake, held against ``websockets``' own."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from plldb_shim import rfc6455
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

texts = st.text(max_size=200) | st.integers(60, 1_000).map(lambda size: "ä" * size)
# Where lengths change their form.
sizes = st.sampled_from([0, 1, 2, 3, 4, 5, 125, 126, 127, 128, 65_535, 65_536, 131_072])


def decoded(data: bytes, cuts: Iterable[int] = ()) -> list[tuple[int, bytes]]:
    """What comes out when the data comes in pieces."""
    decoder = rfc6455.Decoder()
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    found = []
    for start, end in itertools.pairwise(places):
        decoder.feed(data[start:end])
        while (one := decoder.next()) is not None:
            found.append(one)
    return found


def received_by_a_server(data: bytes) -> list[Frame]:
    server = ServerProtocol(state=OPEN, max_size=None)
    server.receive_data(data)
    assert server.parser_exc is None
    return [event for event in server.events_received() if isinstance(event, Frame)]


class TestFramesOut:
    @given(st.sampled_from([rfc6455.TEXT, rfc6455.BINARY]), st.binary(max_size=400))
    def test_a_server_reads_them(self, opcode: int, payload: bytes) -> None:
        (frame,) = received_by_a_server(rfc6455.frame(opcode, payload))
        assert (frame.opcode, frame.fin, bytes(frame.data)) == (opcode, True, payload)

    @given(sizes)
    def test_of_any_length(self, size: int) -> None:
        payload = secrets.token_bytes(size)
        (frame,) = received_by_a_server(rfc6455.frame(rfc6455.BINARY, payload))
        assert bytes(frame.data) == payload

    @given(st.binary(max_size=125))
    def test_control_frames(self, payload: bytes) -> None:
        (frame,) = received_by_a_server(rfc6455.frame(rfc6455.PONG, payload))
        assert (frame.opcode, bytes(frame.data)) == (Opcode.PONG, payload)

    def test_the_end(self) -> None:
        (frame,) = received_by_a_server(rfc6455.close_frame(1002))
        assert Close.parse(frame.data).code == 1002
        (frame,) = received_by_a_server(rfc6455.close_frame(rfc6455.NO_STATUS))
        assert frame.data == b""

    def test_each_has_a_mask_of_its_own(self) -> None:
        """So that nobody can make the client send what a proxy would take for a request."""
        assert len({rfc6455.frame(rfc6455.TEXT, b"same")[2:6] for _ in range(20)}) == 20


@st.composite
def streams(draw: Any) -> tuple[bytes, list[tuple[int, bytes]]]:
    """(what a server sends, what there is in it): messages in parts, and control frames between."""
    data, expected = b"", []
    for text in draw(st.lists(texts, max_size=4)):
        payload = text.encode()
        cuts = draw(st.lists(st.integers(0, len(payload)), max_size=4))
        places = [0, *sorted(cuts), len(payload)]
        last = len(places) - 2
        for number, (start, end) in enumerate(itertools.pairwise(places)):
            opcode = Opcode.TEXT if number == 0 else Opcode.CONT
            frame = Frame(opcode, payload[start:end], fin=number == last)
            data += frame.serialize(mask=False)
            if number != last and draw(st.booleans()):
                control = draw(st.sampled_from([Opcode.PING, Opcode.PONG]))
                data += Frame(control, b"there?").serialize(mask=False)
                expected.append((int(control), b"there?"))
        expected.append((rfc6455.TEXT, payload))
    return data, expected


class TestFramesIn:
    @given(streams(), st.lists(st.integers(0, 1 << 20), max_size=20))
    def test_messages_are_put_together(
        self, stream: tuple[bytes, list[tuple[int, bytes]]], cuts: list[int]
    ) -> None:
        data, expected = stream
        assert decoded(data, cuts) == expected

    @given(streams())
    def test_also_byte_by_byte(self, stream: tuple[bytes, list[tuple[int, bytes]]]) -> None:
        data, expected = stream
        if len(data) < 2_000:
            assert decoded(data, range(len(data))) == expected

    @given(sizes)
    def test_of_any_length(self, size: int) -> None:
        payload = secrets.token_bytes(size)
        data = Frame(Opcode.BINARY, payload).serialize(mask=False)
        assert decoded(data) == [(rfc6455.BINARY, payload)]

    @given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
    @example(b"\x89\x00\x81\x05Hello", [1, 3])
    @example(b"\x81\xfe", [])
    def test_whatever_comes_is_understood_or_refused(self, data: bytes, cuts: list[int]) -> None:
        """And the same, in whatever pieces."""

        def outcome(cuts: Iterable[int]) -> Any:
            decoder, found = rfc6455.Decoder(), []
            places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
            try:
                for start, end in itertools.pairwise(places):
                    decoder.feed(data[start:end])
                    while (one := decoder.next()) is not None:
                        found.append(one)
            except rfc6455.BrokenProtocolError as error:
                return found, error.code
            return found, None

        assert outcome(cuts) == outcome([])

    def wrong(self) -> Iterator[tuple[bytes, int]]:
        hello = Frame(Opcode.TEXT, b"hello").serialize(mask=False)
        part = Frame(Opcode.TEXT, b"hello", fin=False).serialize(mask=False)
        rest = Frame(Opcode.CONT, b"hello").serialize(mask=False)
        yield rfc6455.frame(rfc6455.TEXT, b"hello"), 1002  # masked
        for bit in (0x40, 0x20, 0x10):
            yield bytes([hello[0] | bit]) + hello[1:], 1002
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            yield bytes([0x80 | opcode, 0]), 1002
        yield rest, 1002
        yield part + hello, 1002
        yield b"\x09\x00", 1002  # a ping in parts
        yield b"\x89\x7e\x00\x7e" + b"x" * 126, 1002  # a long ping
        yield b"\x82\x7e\x00\x7d" + b"x" * 125, 1002  # more bytes of length than it takes
        yield b"\x82\x7f" + (65_535).to_bytes(8, "big"), 1002
        yield b"\x82\x7f" + (1 << 63).to_bytes(8, "big"), 1009
        yield b"\x82\x7f" + (131_073).to_bytes(8, "big"), 1009
        half = Frame(Opcode.TEXT, b"x" * 65_537, fin=False).serialize(mask=False)
        yield half + Frame(Opcode.CONT, b"x" * 65_536).serialize(mask=False), 1009

    def test_what_is_wrong_is_refused(self) -> None:
        for data, code in self.wrong():
            with pytest.raises(rfc6455.BrokenProtocolError) as raised:
                decoded(data)
            assert raised.value.code == code, data[:20]
            assert isinstance(raised.value, OSError)

    def test_text_is_utf_8(self) -> None:
        assert rfc6455.text_of("ä🐍".encode()) == "ä🐍"
        for wrong in (b"\xff", b"\xed\xa0\x80", "ä".encode()[:1]):
            with pytest.raises(rfc6455.BrokenProtocolError) as raised:
                rfc6455.text_of(wrong)
            assert raised.value.code == 1007

    @given(st.integers(0, 65_535), st.text(max_size=30))
    def test_codes_of_the_end(self, code: int, reason: str) -> None:
        payload = code.to_bytes(2, "big") + reason.encode()
        try:
            Close.parse(payload)
        except Exception:  # noqa: BLE001 - whatever websockets says of it
            with pytest.raises(rfc6455.BrokenProtocolError):
                rfc6455.close_code(payload)
        else:
            assert rfc6455.close_code(payload) == code

    def test_no_code_of_the_end(self) -> None:
        assert rfc6455.close_code(b"") == rfc6455.NO_STATUS
        for wrong in (b"\x03", b"\x03\xe8\xff"):
            with pytest.raises(rfc6455.BrokenProtocolError):
                rfc6455.close_code(wrong)


class TestHandshake:
    def test_a_server_takes_the_request(self) -> None:
        key = rfc6455.new_key()
        server = ServerProtocol()
        headers = {"Authorization": "Bearer t"}
        server.receive_data(rfc6455.request("host:1", "/stage?sessionId=1", headers, key))
        (request,) = server.events_received()
        assert isinstance(request, Request)
        assert request.path == "/stage?sessionId=1"
        assert (request.headers["host"], request.headers["authorization"]) == ("host:1", "Bearer t")
        response = server.accept(request)
        assert response.status_code == 101
        server.send_response(response)
        data = b"".join(server.data_to_send()) + b"\x81\x02{}"
        found = rfc6455.split_response(data)
        assert found is not None
        rfc6455.check_response(found[0], key)
        assert found[1] == b"\x81\x02{}"

    def test_keys_are_new_each_time(self) -> None:
        assert len({rfc6455.new_key() for _ in range(20)}) == 20

    def test_the_rfcs_example(self) -> None:
        rfc6455.check_response(ACCEPTED, KEY)

    def test_a_response_is_read_when_it_is_complete(self) -> None:
        whole = ACCEPTED + b"\r\n\r\n"
        for end in range(len(whole)):
            assert rfc6455.split_response(whole[:end]) is None
        assert rfc6455.split_response(whole) == (ACCEPTED, b"")

    def test_a_response_without_an_end_is_refused(self) -> None:
        with pytest.raises(rfc6455.BrokenProtocolError):
            rfc6455.split_response(b"x" * 20_000)

    @pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 426, 429, 500, 502, 503, 504])
    def test_refusals_are_told_apart(self, status: int) -> None:
        response = Response(status, "No", ServerProtocol().reject(403, "no").headers).serialize()
        found = rfc6455.split_response(response)
        assert found is not None
        with pytest.raises(rfc6455.UpgradeRefusedError) as raised:
            rfc6455.check_response(found[0], KEY)
        assert raised.value.status == status
        assert raised.value.is_busy == (status in (429, 500, 502, 503, 504))
        assert raised.value.is_denied == (status in (401, 403))

    @pytest.mark.parametrize(
        "response",
        [
            b"",
            b"SSH-2.0-OpenSSH_9.2",
            b"HTTP/1.1",
            b"HTTP/1.1 abc No",
            b"HTTP/1.1 1010 No",
            b"HTTP/2 101 Switching",
            b"HTTP/1.1 101 Switching Protocols",
            ACCEPTED.replace(b"WebSocket", b"h2c"),
            ACCEPTED.replace(b", Upgrade", b""),
            ACCEPTED.replace(b"s3pP", b"S3pP"),
            ACCEPTED + b"\r\nSec-WebSocket-Extensions: permessage-deflate",
            ACCEPTED + b"\r\nSec-WebSocket-Protocol: mqtt",
        ],
    )
    def test_what_is_no_websocket_is_refused(self, response: bytes) -> None:
        with pytest.raises(rfc6455.BrokenProtocolError):
            rfc6455.check_response(response, KEY)
