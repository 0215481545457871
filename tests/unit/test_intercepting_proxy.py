"""Behind a company's proxy, which opens TLS with certificates of its own: all that talks to AWS.

One variable names the proxy, and one the company's certificates. The proxy may want a password, and
may speak TLS itself.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from requests.auth import HTTPBasicAuth
from websockets.asyncio.server import ServerConnection, serve

from plldb.aws import Target, aws_errors
from plldb.bootstrap.cloudformation.lambda_functions.shared.signed_request import SignedRequest
from plldb.config import TargetSettings
from plldb.debugger.api_client import ApiClient
from plldb.debugger.connection import open_session
from plldb.debugger.payload_transfer import PayloadTransfer
from plldb.debugger.protocol import SessionProtocol, Wish
from plldb.debugger.signed_claims import SignedClaims
from plldb.debugger.timing import Timing
from plldb.errors import EndpointError
from tests.unit.fakes import Answer, Request, local_server
from tests.unit.test_certificates import CONFIG, HEALTH, IDENTITY, ROLE, SESSION_ID

USER, PASSWORD = "dev@corp", "s3:cr/et"
# Names that nothing but the proxy resolves.
SERVICE, SOCKET = "https://sts.eu-west-1.example", "wss://ws1.execute-api.example/plldb"
VARIABLES = [
    *("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "WSS_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "wss_proxy"),
]


class Proxy:
    """CONNECT, and then TLS with a certificate for whatever was asked for.

    What comes out of it goes to a server of this machine: one for HTTP, one for WebSockets.
    """

    def __init__(self, company: trustme.CA, backends: dict[str, int], own_tls: bool) -> None:
        self._company = company
        self._backends = backends
        self._own = self._certify("127.0.0.1") if own_tls else None
        self.asked: list[str] = []
        self.port = 0

    def _certify(self, host: str) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._company.issue_cert(host).configure_cert(context)
        return context

    @contextlib.asynccontextmanager
    async def running(self) -> object:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._own)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whoever does not trust the certificate hangs up.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            target = head.split(" ", 2)[1]
            host = target.rpartition(":")[0]
            self.asked.append(target)
            credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if f"proxy-authorization: basic {credentials}".lower() not in head.lower():
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n")
                writer.write(b'Proxy-Authenticate: Basic realm="corp"\r\nContent-Length: 0\r\n\r\n')
                await writer.drain()
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await writer.drain()
                await writer.start_tls(self._certify(host))
                await self._pipe(reader, writer, self._backends[host])
        writer.transport.abort()

    @staticmethod
    async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", port)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            with contextlib.suppress(OSError, RuntimeError):
                sink.close()

        await asyncio.gather(copy(reader, outer), copy(inner, writer))


def respond(request: Request) -> Answer:
    if request.method == "GET":
        return Answer(200, HEALTH.decode())
    return Answer(200, (ROLE if "AssumeRole" in request.body else IDENTITY).decode())


@contextlib.contextmanager
def proxy_running(company: trustme.CA, own_tls: bool) -> Iterator[Proxy]:
    """A proxy with servers behind it, all in one thread."""
    proxies: list[Proxy] = []
    ready, done = threading.Event(), threading.Event()

    async def stay(websocket: ServerConnection) -> None:
        await websocket.wait_closed()

    async def run(http_port: int) -> None:
        async with serve(stay, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            backends = {"sts.eu-west-1.example": http_port, "ws1.execute-api.example": port}
            proxy = Proxy(company, backends, own_tls)
            async with proxy.running():
                proxies.append(proxy)
                ready.set()
                await asyncio.get_running_loop().run_in_executor(None, done.wait)

    with local_server(respond) as http:
        port = int(http.url.rpartition(":")[2])
        thread = threading.Thread(target=lambda: asyncio.run(run(port)))
        thread.start()
        try:
            assert ready.wait(30)
            yield proxies[0]
        finally:
            done.set()
            thread.join()


@pytest.fixture(scope="module")
def company() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module", params=["http", "https"])
def proxy(request: pytest.FixtureRequest, company: trustme.CA) -> Iterator[tuple[str, Proxy]]:
    with proxy_running(company, request.param == "https") as proxy:
        yield request.param, proxy


@pytest.fixture(autouse=True)
def _environment(proxy: tuple[str, Proxy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config").write_text(CONFIG)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    scheme, running = proxy
    monkeypatch.setenv(
        "HTTPS_PROXY", f"{scheme}://dev%40corp:s3%3Acr%2Fet@127.0.0.1:{running.port}"
    )
    yield
    # Where a proxy refuses, http.client and others leave their socket to the collector.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def _trusting(
    _environment: None, company: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one variable that names the company's certificates."""
    company.cert_pem.write_to_path(str(tmp_path / "company.pem"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "company.pem"))


def make_target(profile: str | None = None) -> Target:
    endpoints = {"sts": SERVICE}
    return Target(TargetSettings("aws", "us-east-1", profile, service_endpoints=endpoints))


def use_boto3(target: Target) -> None:
    with aws_errors("ask"):
        target.patient_client("sts", 10).get_caller_identity()


def use_role(_: Target) -> None:
    with make_target("work") as target:
        assert target.load_credentials().access_key_id == "role"


def use_management_api(target: Target) -> None:
    with ApiClient(SERVICE, HTTPBasicAuth("a", "b"), target.ca_bundle) as api:
        assert api.health().is_healthy


def use_bucket(target: Target) -> None:
    with PayloadTransfer(ca_bundle=target.ca_bundle) as transfer:
        assert transfer.download(f"{SERVICE}/key?signature=x") == HEALTH.decode()


def use_websocket(target: Target) -> None:
    async def connect() -> None:
        protocol, stop = SessionProtocol(SESSION_ID, Wish(), Timing()), asyncio.Event()
        connection = await open_session(SOCKET, protocol, print, stop, Timing(), target.ca_bundle)
        assert connection is not None
        run = asyncio.create_task(connection.run())
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)

    asyncio.run(connect())


ALL = [use_boto3, use_role, use_management_api, use_bucket, use_websocket]


@pytest.mark.parametrize("use", ALL)
class TestEachUse:
    @pytest.mark.usefixtures("_trusting")
    def test_one_variable_is_enough(
        self, use: Callable[[Target], None], proxy: tuple[str, Proxy]
    ) -> None:
        asked = len(proxy[1].asked)
        with make_target() as target:
            use(target)
        assert len(proxy[1].asked) > asked, "it went past the proxy"

    def test_without_it_the_certificate_is_what_is_named(
        self, use: Callable[[Target], None]
    ) -> None:
        with (
            make_target() as target,
            pytest.raises(EndpointError, match=r"The certificate of .+ is not trusted: ") as raised,
        ):
            use(target)
        assert "AWS_CA_BUNDLE=FILE" in str(raised.value.hint)
        for secret in (PASSWORD, "s3%3Acr%2Fet", SESSION_ID, "signature"):
            assert secret not in raised.value.message

    @pytest.mark.usefixtures("_trusting")
    def test_a_wrong_password_is_the_proxys_refusal(
        self,
        use: Callable[[Target], None],
        proxy: tuple[str, Proxy],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        scheme, running = proxy
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://me:wrong@127.0.0.1:{running.port}")
        with make_target() as target, pytest.raises(EndpointError, match=r"407") as raised:
            use(target)
        assert "wrong" not in raised.value.message
        assert "HTTPS_PROXY=" in str(raised.value.hint)


def claim(target: Target) -> bool:
    """Whether the answer came that says it; the second one goes over the same connection."""

    async def work() -> bool:
        request: SignedRequest = {"url": f"{SERVICE}/", "headers": {}, "body": "{}"}
        async with SignedClaims(ca_bundle=target.ca_bundle) as claims:
            return await claims.take(request) and await claims.take(request)

    return asyncio.run(work())


class TestClaims:
    """What becomes of them is no error: the helper stack is asked instead."""

    @pytest.mark.usefixtures("_trusting")
    def test_they_go_through_it(self, proxy: tuple[str, Proxy]) -> None:
        asked = len(proxy[1].asked)
        with make_target() as target:
            assert claim(target)
        assert proxy[1].asked[asked:] == ["sts.eu-west-1.example:443"]

    def test_nobody_is_trusted_for_it(self) -> None:
        with make_target() as target:
            assert not claim(target)

    @pytest.mark.usefixtures("_trusting")
    def test_it_may_refuse(self, proxy: tuple[str, Proxy], monkeypatch: pytest.MonkeyPatch) -> None:
        scheme, running = proxy
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://me:wrong@127.0.0.1:{running.port}")
        with make_target() as target:
            assert not claim(target)
