"""Large payloads go to presigned URLs as they are, and what goes wrong tells no URL."""

from __future__ import annotations

import logging
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plldb import __version__
from plldb.debugger.payload_transfer import PayloadTransfer
from plldb.errors import EndpointError, PlldbError, SessionError
from tests.unit.fakes import Answer, local_server

# urllib3 leaves a connection to be closed by the garbage collector after a failure.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

SIGNATURE = "X-Amz-Signature=5ecre7"


def presigned(url: str) -> str:
    return f"{url}/bucket/debug/0a1b2c3d?{SIGNATURE}&X-Amz-Expires=900"


def everything_said_by(error: BaseException | None) -> str:
    """The text of an error and of all that led to it."""
    texts = []
    while error is not None:
        texts += [str(error), repr(error), str(getattr(error, "hint", ""))]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " ".join(texts)


@contextmanager
def bytes_server(answer: bytes) -> Iterator[str]:
    """Answers each connection so, whatever is asked."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_text_is_put_as_it_is() -> None:
    text = '{"result": "' + "\N{GRINNING FACE}é" * 100_000 + '"}'
    with local_server(lambda _: Answer()) as bucket, PayloadTransfer() as transfer:
        transfer.upload(presigned(bucket.url), text)
    (request,) = bucket.requests
    assert (request.method, request.url) == ("PUT", presigned(bucket.url))
    assert request.body == text


def test_a_text_is_got_as_it_is() -> None:
    text = '"' + "\N{GRINNING FACE}é" * 100_000 + '"'
    with local_server(lambda _: Answer(body=text)) as bucket, PayloadTransfer() as transfer:
        assert transfer.download(presigned(bucket.url)) == text
    (request,) = bucket.requests
    assert (request.method, request.url) == ("GET", presigned(bucket.url))


def test_no_credentials_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 refuses what is signed twice; and nobody else's password is sent there."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login eve password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with local_server(lambda _: Answer()) as bucket, PayloadTransfer() as transfer:
        transfer.download(presigned(bucket.url))
        transfer.upload(presigned(bucket.url), "{}")
    for request in bucket.requests:
        assert "authorization" not in request.headers
        assert request.headers["user-agent"] == f"plldb/{__version__}"
        # That would have to be signed.
        assert "content-type" not in request.headers


def test_it_goes_where_the_bucket_can_be_reached_from_here() -> None:
    with local_server(lambda _: Answer(body="here")) as bucket:

        def reach(url: str) -> str:
            return url.replace("http://inside:4566", bucket.url)

        with PayloadTransfer(reach) as transfer:
            assert transfer.download(presigned("http://inside:4566")) == "here"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(status: int) -> None:
    answers = [Answer(status, headers={"Retry-After": "3600"}), Answer(body="here")]
    with local_server(lambda _: answers.pop(0)) as bucket, PayloadTransfer() as transfer:
        assert transfer.download(presigned(bucket.url)) == "here"
    assert len(bucket.requests) == 2


class TestFailures:
    def fail(self, url: str) -> list[PlldbError]:
        errors = []
        with PayloadTransfer() as transfer:
            for work in (
                lambda: transfer.download(presigned(url)),
                lambda: transfer.upload(presigned(url), "{}"),
            ):
                with pytest.raises(PlldbError) as raised:
                    work()
                errors.append(raised.value)
        return errors

    @pytest.mark.parametrize("status", [403, 404])
    def test_a_refusal_is_final(self, status: int) -> None:
        with local_server(lambda _: Answer(status, f"<Error>{SIGNATURE}</Error>")) as bucket:
            errors = self.fail(bucket.url)
        assert len(bucket.requests) == 2
        for error in errors:
            assert type(error) is SessionError
            assert str(status) in error.message

    def test_a_network_that_is_down_may_be_up_again(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            errors = self.fail(f"http://127.0.0.1:{probe.getsockname()[1]}")
        assert [type(error) for error in errors] == [EndpointError, EndpointError]

    @pytest.mark.parametrize("header", [b"", b"Content-Encoding: gzip\r\n"])
    def test_what_is_no_text_is_told(self, header: bytes) -> None:
        """A function's token lets it put anything into the bucket."""
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + header + b"\r\n\xff\xfe"
        with (
            bytes_server(answer) as url,
            PayloadTransfer() as transfer,
            pytest.raises(PlldbError) as raised,
        ):
            transfer.download(presigned(url))
        assert SIGNATURE not in everything_said_by(raised.value)

    @pytest.mark.parametrize("url", ["nonsense://x", "http://[bad", "no url"])
    def test_a_url_that_is_none(self, url: str) -> None:
        for error in self.fail(url):
            assert SIGNATURE not in everything_said_by(error)

    def test_no_url_is_told_nor_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, logger="plldb")
        with local_server(lambda _: Answer(403)) as bucket:
            errors = self.fail(bucket.url)
        errors += self.fail("http://127.0.0.1:9")
        for error in errors:
            assert SIGNATURE not in everything_said_by(error)
        ours = [record for record in caplog.records if record.name.startswith("plldb")]
        assert ours
        assert not any(SIGNATURE in record.getMessage() for record in ours)
