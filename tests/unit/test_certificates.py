"""A company's certificates, however they are named, count for all that talks to the target."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from requests.auth import HTTPBasicAuth
from websockets.asyncio.server import ServerConnection, serve

from plldb.aws import Target, aws_errors
from plldb.certificates import collect_certificates
from plldb.config import EmulatorAddress, TargetSettings
from plldb.debugger.api_client import ApiClient
from plldb.debugger.connection import open_session
from plldb.debugger.payload_transfer import PayloadTransfer
from plldb.debugger.protocol import SessionProtocol, Wish
from plldb.debugger.timing import Timing
from plldb.errors import EndpointError, TargetError

SESSION_ID = "0a1b2c3d-2222-4333-8444-5e6f708192a3"
FILES = ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]
# What STS and the management API answer, each reading its own part of it.
IDENTITY = b"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<GetCallerIdentityResult><Arn>arn</Arn><UserId>u</UserId><Account>1</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""
ROLE = b"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleResult><Credentials><AccessKeyId>role</AccessKeyId><SecretAccessKey>s</SecretAccessKey>
<SessionToken>t</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>
</AssumeRoleResult></AssumeRoleResponse>"""
CONFIG = """
[profile work]
role_arn = arn:aws:iam::000000000000:role/work
credential_source = Environment
"""
HEALTH = b'{"status": "ok", "time": 1, "tables": {}}'


@pytest.fixture(scope="module")
def company() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def context(company: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    company.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def url(context: ssl.SSLContext) -> Iterator[str]:
    """A server whose certificate the company signed."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(ROLE if b"AssumeRole" in body else IDENTITY)

        def do_GET(self) -> None:
            self._answer(HEALTH)

        def _answer(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Whoever does not trust it hangs up."""

    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def bundle(company: trustme.CA, tmp_path: Path) -> Path:
    """A file with the company's certificate."""
    company.cert_pem.write_to_path(str(tmp_path / "company.pem"))
    return tmp_path / "company.pem"


def make_target(url: str) -> Target:
    """AWS, but for STS."""
    return Target(TargetSettings("aws", "us-east-1", service_endpoints={"sts": url}))


def use_boto3(target: Target, url: str, _: ssl.SSLContext) -> None:
    with aws_errors("ask"):
        target.patient_client("sts", 5).get_caller_identity()


def use_role(_target: Target, url: str, _: ssl.SSLContext) -> None:
    """Botocore makes a client of its own to find the credentials."""
    settings = TargetSettings("aws", "us-east-1", "work", service_endpoints={"sts": url})
    with Target(settings) as target:
        assert target.load_credentials().access_key_id == "role"


def use_management_api(target: Target, url: str, _: ssl.SSLContext) -> None:
    with ApiClient(url, HTTPBasicAuth("a", "b"), target.ca_bundle) as api:
        assert api.health().is_healthy


def use_bucket(target: Target, url: str, _: ssl.SSLContext) -> None:
    with PayloadTransfer(ca_bundle=target.ca_bundle) as transfer:
        assert transfer.download(f"{url}/key?signature=x") == HEALTH.decode()


def use_websocket(target: Target, _url: str, context: ssl.SSLContext) -> None:
    async def connect() -> None:
        async def stay(websocket: ServerConnection) -> None:
            await websocket.wait_closed()

        async with serve(stay, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            protocol = SessionProtocol(SESSION_ID, Wish(), Timing())
            stop = asyncio.Event()
            connection = await open_session(
                f"wss://127.0.0.1:{port}", protocol, print, stop, Timing(), target.ca_bundle
            )
            assert connection is not None
            run = asyncio.create_task(connection.run())
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)

    asyncio.run(connect())


Use = Callable[[Target, str, ssl.SSLContext], None]
ALL = [use_boto3, use_role, use_management_api, use_bucket, use_websocket]


@pytest.fixture(autouse=True)
def _nothing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(CONFIG)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in [*FILES, "SSL_CERT_DIR"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.mark.parametrize("use", ALL)
class TestEachUse:
    @pytest.mark.parametrize("name", FILES)
    def test_it_trusts_what_a_variable_names(
        self,
        use: Use,
        name: str,
        url: str,
        context: ssl.SSLContext,
        bundle: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv(name, str(bundle))
        with make_target(url) as target:
            use(target, url, context)

    def test_it_trusts_all_that_several_name(
        self,
        use: Use,
        url: str,
        context: ssl.SSLContext,
        company: trustme.CA,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A folder as well as a file."""
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
        (tmp_path / "certificates").mkdir()
        company.cert_pem.write_to_path(str(tmp_path / "certificates" / "company.crt"))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "certificates"))
        with make_target(url) as target:
            use(target, url, context)

    def test_it_says_that_it_is_the_certificate(
        self, use: Use, url: str, context: ssl.SSLContext
    ) -> None:
        with (
            make_target(url) as target,
            pytest.raises(EndpointError, match=r"The certificate of .+ is not trusted: ") as raised,
        ):
            use(target, url, context)
        assert "AWS_CA_BUNDLE=FILE" in str(raised.value.hint)
        assert SESSION_ID not in raised.value.message
        assert "signature" not in raised.value.message


class TestCollection:
    def test_the_profiles_is_one_of_them(self, company: trustme.CA, bundle: Path) -> None:
        found = collect_certificates({}, str(bundle))
        assert found.strip() == company.cert_pem.bytes().strip()

    def test_the_code_is_told_what_the_profile_names(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It reads no profile."""
        (tmp_path / "config").write_text("[profile work]\nca_bundle = /company.pem\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        with Target(TargetSettings("aws", "us-east-1", "work")) as target:
            assert target.certificate_environment() == {"AWS_CA_BUNDLE": "/company.pem"}
        with Target(TargetSettings("aws", "us-east-1")) as target:
            assert target.certificate_environment() == {}

    def test_where_none_is_named_they_are_the_public_ones(self) -> None:
        context = ssl.create_default_context(cadata=collect_certificates({}, None).decode("ascii"))
        assert context.cert_store_stats()["x509_ca"] > 50

    @pytest.mark.parametrize(
        ("content", "message"),
        [(None, "can't be read: No such file"), (b"x", "has no certificate in PEM")],
    )
    def test_what_is_named_has_to_be_there(
        self, content: bytes | None, message: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "company.pem"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(TargetError, match=rf"^SSL_CERT_FILE is .+company.pem, which {message}"):
            collect_certificates({"SSL_CERT_FILE": str(file)}, None)

    def test_of_a_folder_what_can_not_be_read_is_passed_over(
        self, company: trustme.CA, tmp_path: Path
    ) -> None:
        """Nor need each of several folders be there."""
        company.cert_pem.write_to_path(str(tmp_path / "company.pem"))
        (tmp_path / "gone.0").symlink_to(tmp_path / "no-such-file")
        (tmp_path / "folder").mkdir()
        found = collect_certificates({"SSL_CERT_DIR": f"{tmp_path}:{tmp_path}/none"}, None)
        assert found.strip() == company.cert_pem.bytes().strip()

    def test_the_file_goes_with_the_target(self, url: str) -> None:
        with make_target(url) as target:
            bundle = target.ca_bundle
            assert bundle is not None
            assert bundle.exists()
        assert not bundle.exists()

    def test_what_is_not_encrypted_needs_none(self) -> None:
        address = EmulatorAddress("http://127.0.0.1:9", "http://127.0.0.1:9")
        with Target(TargetSettings("emulator", "us-east-1", emulator=address)) as target:
            assert target.ca_bundle is None
