"""Children get plldb's credentials, and no others: by any reader of the protocol."""

from __future__ import annotations

import json
import socket
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from plldb.aws import Target
from plldb.config import EmulatorAddress, TargetSettings
from plldb.credentials import Credentials
from plldb.debugger.children.credential_server import CredentialServer, Grant, serving_target
from plldb.errors import CredentialsError
from tests.unit.debugger.local_code import HERE, Project, error, value
from tests.unit.fakes import Answer, Request, local_server

SOON = time.time() + 3600


def keys(name: str, expires_at: float | None = SOON) -> Credentials:
    return Credentials(f"ID-{name}", f"secret-{name}", f"token-{name}", expires_at)


@pytest.fixture
def server() -> Iterator[CredentialServer]:
    with CredentialServer() as server:
        yield server


def get(grant: Grant, path: str | None = None, method: str = "GET", **headers: str) -> Any:
    """Status and body of what a plain HTTP client gets."""
    url = urlsplit(grant.uri)
    connection = HTTPConnection(url.hostname or "", url.port, timeout=20)
    try:
        connection.request(
            method, path or url.path, headers={"Authorization": grant.token} | headers
        )
        answer = connection.getresponse()
        content = answer.read().decode()
        return answer.status, json.loads(
            content
        ) if "json" in answer.headers.get_content_type() else content
    finally:
        connection.close()


class TestProtocol:
    """https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html"""

    def test_a_plain_client_reads_it(self, server: CredentialServer) -> None:
        status, body = get(server.grant(lambda: keys("a")))
        assert (status, set(body)) == (
            200,
            {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"},
        )
        assert (body["AccessKeyId"], body["Token"]) == ("ID-a", "token-a")
        assert datetime.fromisoformat(body["Expiration"]).timestamp() == int(SOON)

    def test_those_without_an_end_are_asked_for_again_in_an_hour(
        self, server: CredentialServer
    ) -> None:
        _, body = get(server.grant(lambda: Credentials("id", "secret")))
        assert body["Token"] == ""
        left = datetime.fromisoformat(body["Expiration"]).timestamp() - time.time()
        assert 3000 < left <= 3601

    def test_it_listens_on_this_machine_alone(self, server: CredentialServer) -> None:
        grant = server.grant(lambda: keys("a"))
        url = urlsplit(grant.uri)
        assert (url.scheme, url.hostname) == ("http", "127.0.0.1")
        with socket.socket() as other, pytest.raises(OSError, match="refused"):
            other.connect(("127.0.0.2", url.port))

    def test_a_token_opens_its_own_provider(self, server: CredentialServer) -> None:
        grants = [server.grant(lambda name=name: keys(name)) for name in "ab"]
        assert [get(grant)[1]["AccessKeyId"] for grant in grants] == ["ID-a", "ID-b"]
        assert len({grant.token for grant in grants}) == 2
        assert all(len(grant.token) >= 43 for grant in grants)
        server.revoke(grants[0])
        assert [get(grant)[0] for grant in grants] == [401, 200]

    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({"Authorization": ""}, 401),
            ({"Authorization": "Bearer x"}, 401),
            ({"Authorization": "ä"}, 401),
            ({"Host": "evil.example"}, 403),
            ({"Host": "localhost"}, 403),
            ({"Host": ""}, 403),
            ({"path": "/"}, 404),
            ({"path": "/credentials/../credentials"}, 404),
            ({"path": "http://evil.example/credentials"}, 403),
            ({"method": "POST"}, 501),
            ({"method": "OPTIONS"}, 501),
        ],
        ids=str,
    )
    def test_nobody_else_gets_them(
        self, server: CredentialServer, changes: dict[str, str], status: int
    ) -> None:
        asked: list[None] = []
        grant = server.grant(lambda: asked.append(None) or keys("a"))
        found, body = get(grant, **changes)
        assert found == status
        assert "secret" not in str(body)
        assert asked == []

    def test_a_token_is_not_shown(self, server: CredentialServer) -> None:
        grant = server.grant(lambda: keys("a"))
        assert grant.token not in repr(grant)
        assert "secret" not in repr(keys("a"))
        assert "token-a" not in repr(keys("a"))

    def test_that_there_are_none_is_said_in_every_sdks_words(
        self, server: CredentialServer
    ) -> None:
        """And why is not: the handler's error goes to whoever called the function."""

        def fail() -> Credentials:
            raise CredentialsError("The token has expired.", "Run 'aws sso login'.")

        status, body = get(server.grant(fail))
        assert status == 400
        assert (
            body["message"]
            == body["Message"]
            == ("plldb has no valid AWS credentials now: its terminal says why.")
        )
        assert body["code"] == body["Code"] == "CredentialsUnavailable"

    def test_who_waits_holds_nobody_up(self, server: CredentialServer) -> None:
        is_free = threading.Event()
        slow, quick = (
            server.grant(lambda: keys("s") if is_free.wait(20) else keys("late")),
            server.grant(lambda: keys("q")),
        )
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(get, slow)
            assert get(quick)[1]["AccessKeyId"] == "ID-q"
            assert not waiting.done()
            is_free.set()
            assert waiting.result()[1]["AccessKeyId"] == "ID-s"

    def test_after_its_end_nothing_listens(self) -> None:
        with CredentialServer() as server:
            grant = server.grant(lambda: keys("a"))
        with pytest.raises(ConnectionRefusedError):
            get(grant)


IDENTITY = """
    import boto3

    def handler(event, context):
        credentials = boto3.Session().get_credentials()
        frozen = credentials.get_frozen_credentials()
        return [credentials.method, frozen.access_key, frozen.secret_key, frozen.token]
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "code").mkdir()
    return Project(tmp_path / "code")


class TestChildren:
    """With the real SDK in a real process."""

    def test_an_sdk_finds_them(self, project: Project, server: CredentialServer) -> None:
        project.write(IDENTITY)
        grant = server.grant(lambda: keys("a"))
        outcome = project.invoke(credentials=grant.environment)
        assert value(outcome) == ["container-role", "ID-a", "secret-a", "token-a"]

    def test_it_asks_again_before_they_end(
        self, project: Project, server: CredentialServer
    ) -> None:
        """As long as they end within 10 minutes, it does so for each request that it signs."""
        project.write(
            """
            import boto3

            def handler(event, context):
                credentials = boto3.Session().get_credentials()
                return [credentials.get_frozen_credentials().access_key for _ in range(3)]
            """
        )
        names = iter("abcdef")
        grant = server.grant(lambda: keys(next(names), time.time() + 60))
        assert value(project.invoke(credentials=grant.environment)) == ["ID-b", "ID-c", "ID-d"]

    def test_that_there_are_none_reaches_the_handler(
        self, project: Project, server: CredentialServer
    ) -> None:
        def fail() -> Credentials:
            raise CredentialsError("The SSO token has expired.", "Run 'aws sso login'.")

        project.write(IDENTITY)
        found = error(project.invoke(credentials=server.grant(fail).environment))
        assert found["errorType"] == "CredentialRetrievalError"
        assert "plldb has no valid AWS credentials now" in found["errorMessage"]
        assert "SSO" not in found["errorMessage"]

    @pytest.mark.parametrize("variables", [{}, {"AWS_PROFILE": "mine"}], ids=["none", "a profile"])
    def test_a_developers_own_files_and_variables_are_not_looked_at(
        self,
        project: Project,
        server: CredentialServer,
        variables: dict[str, str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        home = tmp_path / "home"
        (home / ".aws").mkdir(parents=True)
        theirs = "aws_access_key_id = mine\naws_secret_access_key = mine\n"
        (home / ".aws" / "credentials").write_text(f"[default]\n{theirs}[mine]\n{theirs}")
        (home / ".boto").write_text(f"[Credentials]\n{theirs}")
        for name, text in {
            "HOME": str(home),
            "AWS_ACCESS_KEY_ID": "mine",
            "AWS_SECRET_ACCESS_KEY": "mine",
            "AWS_PROFILE": "mine",
        }.items():
            monkeypatch.setenv(name, text)
        monkeypatch.delenv("AWS_CONFIG_FILE")
        monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE")
        project.write(IDENTITY)
        grant = server.grant(lambda: keys("a"))
        outcome = project.invoke(credentials=grant.environment, variables=variables)
        assert value(outcome)[1] == "ID-a"

    def test_a_process_that_the_code_starts_has_them_as_well(
        self, project: Project, server: CredentialServer
    ) -> None:
        code = "import boto3; print(boto3.Session().get_credentials().access_key)"
        project.write(
            f"""
            import subprocess

            def handler(event, context):
                command = [{sys.executable!r}, "-c", {code!r}]
                return subprocess.run(command, capture_output=True, text=True).stdout.strip()
            """
        )
        grant = server.grant(lambda: keys("a"))
        assert value(project.invoke(credentials=grant.environment)) == "ID-a"


def answer_as_sts(_: Request) -> Answer:
    return Answer(
        200,
        "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>000000000000</Account>"
        "</GetCallerIdentityResult></GetCallerIdentityResponse>",
    )


class TestTarget:
    """A child calls the target that plldb calls, with the same keys."""

    CALL = textwrap.dedent(
        """
        import os
        import boto3

        def handler(event, context):
            boto3.client("sts").get_caller_identity()
            return os.environ.get("AWS_ACCESS_KEY_ID")
        """
    )

    def signers(self, project: Project, target: Target, requests: list[Request]) -> Any:
        """Who signed plldb's call and the child's, and the key id in the child's environment."""
        project.write(self.CALL)
        assert target.account_id == "000000000000"
        with serving_target(target) as credentials:
            seen = value(project.invoke(credentials=credentials, python=HERE))
        return [request.credential_scope[0] for request in requests], seen

    def test_an_emulator(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mine")
        with local_server(answer_as_sts) as server:
            address = EmulatorAddress(server.url, server.url)
            with Target(TargetSettings("emulator", "us-east-1", emulator=address)) as target:
                found = self.signers(project, target, server.requests)
        assert found == (["test", "test"], "test")

    @pytest.mark.parametrize("token", ["", "the-token"], ids=["a user", "a session"])
    def test_a_profile_with_an_endpoint(
        self, project: Project, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = "[dev]\naws_access_key_id = dev\naws_secret_access_key = x\n"
        text += f"aws_session_token = {token}\n" if token else ""
        (tmp_path / "credentials").write_text(text)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
        with local_server(answer_as_sts) as server:
            address = EmulatorAddress(server.url, server.url)
            settings = TargetSettings("emulator", "us-east-1", "dev", address)
            with Target(settings) as target:
                found = self.signers(project, target, server.requests)
        assert found == (["dev", "dev"], None if token else "dev")
        assert {one.headers.get("x-amz-security-token") for one in server.requests} == {
            token or None
        }
