"""One identity for each target, found by botocore in this process and renewed for hours."""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import time_machine

from plldb.aws import Target
from plldb.config import EmulatorAddress, TargetSettings
from plldb.credentials import Credentials
from plldb.errors import CredentialsError, EndpointError
from tests.unit.fakes import Answer, LocalServer, Request, local_server
from tests.unit.polling import poll

ROLE = "arn:aws:iam::000000000000:role/work"
MFA = "arn:aws:iam::000000000000:mfa/me"
WORK_AS_ROLE = f"""
[profile base]
aws_access_key_id = BASE
aws_secret_access_key = s
[profile work]
role_arn = {ROLE}
source_profile = base
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes AWS's configuration file, with credentials among it."""
    path = tmp_path / "config"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    return lambda text: path.write_text(textwrap.dedent(text)) and None


@dataclass
class Sts:
    """Gives a role's credentials, numbered; ``lifetime`` is in seconds."""

    lifetime: float = 3600
    requests: list[dict[str, str]] = field(default_factory=list)
    signers: list[str] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        given = {name: values[0] for name, values in parse_qs(request.body).items()}
        self.signers.append(request.credential_scope[0])
        if given["Action"] == "GetCallerIdentity":
            return Answer(200, _xml("GetCallerIdentity", "<Account>000000000000</Account>"))
        self.requests.append(given)
        end = (datetime.now(UTC) + timedelta(seconds=self.lifetime)).isoformat()
        return Answer(
            200,
            _xml(
                "AssumeRole",
                f"<Credentials><AccessKeyId>ROLE-{len(self.requests)}</AccessKeyId>"
                f"<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
                f"<Expiration>{end}</Expiration></Credentials><AssumedRoleUser>"
                f"<AssumedRoleId>r:me</AssumedRoleId><Arn>{ROLE}</Arn></AssumedRoleUser>",
            ),
        )


def _xml(action: str, result: str) -> str:
    return f"<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"


@contextmanager
def serving(
    sts: Sts, profile: str = "work", **options: Any
) -> Iterator[tuple[Target, LocalServer]]:
    with local_server(sts.answer) as server:
        address = EmulatorAddress(server.url, server.url)
        settings = TargetSettings("emulator", "eu-west-1", profile, address)
        with Target(settings, **options) as target:
            yield target, server


_to_close = ExitStack()


@pytest.fixture(autouse=True)
def _closing() -> Iterator[None]:
    """Targets of a test end with it."""
    with _to_close:
        yield


def open_target(settings: TargetSettings) -> Target:
    return _to_close.enter_context(Target(settings))


class TestMfa:
    @pytest.fixture(autouse=True)
    def _profile(self, write: Callable[[str], None]) -> None:
        write(WORK_AS_ROLE + f"mfa_serial = {MFA}\n")

    def test_the_code_is_asked_for_once(self) -> None:
        sts, questions = Sts(), []
        with serving(sts, ask=lambda text: questions.append(text) or "123456") as (target, _):
            assert target.load_credentials().access_key_id == "ROLE-1"
            assert target.account_id == "000000000000"
            assert target.load_credentials().access_key_id == "ROLE-1"
        assert questions == [f"Enter MFA code for {MFA}: "]
        (request,) = sts.requests
        assert (request["SerialNumber"], request["TokenCode"]) == (MFA, "123456")
        assert sts.signers == ["BASE", "ROLE-1"]

    def test_it_is_asked_for_again_when_they_end(self) -> None:
        sts, codes = Sts(lifetime=1), iter(["111111", "222222"])
        with serving(sts, ask=lambda _: next(codes)) as (target, _):
            first = target.load_credentials()
            assert first.access_key_id == "ROLE-1"
            sts.lifetime = 3600
            poll(lambda: time.time() > (first.expires_at or 0))
            assert target.account_id == "000000000000"
            assert target.load_credentials().access_key_id == "ROLE-2"
        assert [one["TokenCode"] for one in sts.requests] == ["111111", "222222"]
        assert sts.signers[-1] == "ROLE-2"

    def test_it_is_not_asked_for_at_each_call_of_short_ones(self) -> None:
        """Botocore insists on new ones for the last 10 minutes."""
        sts, questions = Sts(lifetime=300), []
        with serving(sts, ask=lambda text: questions.append(text) or "123456") as (target, _):
            for _ in range(5):
                target.client("sts").get_caller_identity()
        assert len(questions) == 1

    def test_where_nobody_can_be_asked_it_says_so(self) -> None:
        with serving(Sts()) as (target, server):
            with pytest.raises(CredentialsError, match="MFA code is needed") as raised:
                target.load_credentials()
            assert "terminal" in str(raised.value.hint)
            assert server.requests == []

    def test_a_reason_that_can_be_told_is(self) -> None:
        def ask(_: str) -> str:
            raise EOFError("a debugger has the terminal now.")

        with (
            serving(Sts(), ask=ask) as (target, _),
            pytest.raises(CredentialsError, match="a debugger has the terminal now"),
        ):
            target.load_credentials()


class TestChains:
    def test_a_role_of_a_role_of_a_process(
        self, write: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its calls for a role go where all of them go, whatever the environment says."""
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OTHER")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
        monkeypatch.setenv("AWS_PROFILE", "other")
        keys = {"Version": 1, "AccessKeyId": "PROCESS", "SecretAccessKey": "s"}
        (tmp_path / "keys").write_text(json.dumps(keys))
        write(
            f"""
            [profile process]
            credential_process = cat {tmp_path / "keys"}
            [profile first]
            role_arn = {ROLE}
            source_profile = process
            [profile work]
            role_arn = {ROLE}
            source_profile = first
            """
        )
        sts = Sts()
        with serving(sts) as (target, _):
            assert target.account_id == "000000000000"
            assert target.load_credentials().access_key_id == "ROLE-2"
        assert sts.signers == ["PROCESS", "ROLE-1", "ROLE-2"]

    def test_they_are_renewed_for_every_client_alike(self, write: Callable[[str], None]) -> None:
        write(WORK_AS_ROLE)
        sts = Sts(lifetime=2)
        with serving(sts) as (target, _):
            clients = [target.client("sts"), target.patient_client("sts", 10)]

            def are_renewed() -> bool:
                for client in clients:
                    client.get_caller_identity()
                    assert sts.signers[-1] == f"ROLE-{len(sts.requests)}"
                return len(sts.requests) == 3

            poll(are_renewed)


class TestSources:
    def test_a_process_that_fails_says_why(self, write: Callable[[str], None]) -> None:
        write("[profile work]\ncredential_process = sh -c 'echo no agent >&2; exit 1'\n")
        with pytest.raises(CredentialsError, match="no agent"):
            open_target(TargetSettings("aws", "eu-west-1", "work")).load_credentials()

    @pytest.mark.parametrize(
        ("command", "reason"),
        [
            ("no-such-login", "no-such-login"),
            ("echo no json", "Expecting value"),
            ("echo {}", "Version"),
            ("echo []", "list"),
            (
                """echo '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b",
                "SessionToken": "c", "Expiration": "2099-01-01T00:00:00"}'""",
                "offset-naive",
            ),
        ],
    )
    def test_a_process_that_makes_no_sense_is_an_error_of_ours(
        self, write: Callable[[str], None], command: str, reason: str
    ) -> None:
        write(f"[profile work]\ncredential_process = {' '.join(command.split())}\n")
        for call in (Target.load_credentials, lambda target: target.account_id):
            with pytest.raises(CredentialsError, match=reason):
                call(open_target(TargetSettings("aws", "eu-west-1", "work")))

    @pytest.mark.parametrize(
        "text",
        [
            f"[profile work]\nrole_arn = {ROLE}\nsource_profile = gone\n",
            f"[profile work]\nrole_arn = {ROLE}\ncredential_source = Moon\n",
            f"[profile work]\nrole_arn = {ROLE}\nsource_profile = other\n"
            f"[profile other]\nrole_arn = {ROLE}\nsource_profile = work\n",
        ],
    )
    def test_a_profile_that_makes_no_sense_is_the_profiles_fault(
        self, write: Callable[[str], None], text: str
    ) -> None:
        write(text)
        with pytest.raises(CredentialsError) as raised:
            open_target(TargetSettings("aws", "eu-west-1", "work")).load_credentials()
        assert "profile" in str(raised.value.hint)

    def test_a_network_that_is_down_is_no_fault_of_the_profile(
        self, write: Callable[[str], None]
    ) -> None:
        write(WORK_AS_ROLE)
        url = "http://127.0.0.1:1"
        settings = TargetSettings("emulator", "eu-west-1", "work", EmulatorAddress(url, url))
        with pytest.raises(EndpointError, match=url):
            Target(settings).load_credentials()

    def test_no_credentials_at_all(self) -> None:
        with pytest.raises(CredentialsError, match="no AWS credentials"):
            open_target(TargetSettings("aws", "eu-west-1")).load_credentials()

    def test_an_sso_login_that_is_missing_names_the_command(
        self, write: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        write(
            """
            [profile work]
            sso_session = company
            sso_account_id = 000000000000
            sso_role_name = dev
            [sso-session company]
            sso_region = eu-west-1
            sso_start_url = https://company.example/start
            """
        )
        with pytest.raises(CredentialsError) as raised:
            open_target(TargetSettings("aws", "eu-west-1", "work")).load_credentials()
        assert "aws sso login" in str(raised.value.hint)

    def test_keys_of_the_environment_win_over_a_profile_that_nobody_named(
        self, write: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write("[profile other]\naws_access_key_id = OTHER\naws_secret_access_key = s\n")
        for name, value in {
            "AWS_PROFILE": "other",
            "AWS_ACCESS_KEY_ID": "ENV",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_SESSION_TOKEN": "t",
        }.items():
            monkeypatch.setenv(name, value)
        target = open_target(TargetSettings("aws", "eu-west-1"))
        assert target.load_credentials() == Credentials("ENV", "s", "t")
        named = open_target(TargetSettings("aws", "eu-west-1", "other"))
        assert named.load_credentials() == Credentials("OTHER", "s")

    def test_temporary_ones_that_a_tool_writes_anew_are_read_anew(
        self, write: Callable[[str], None]
    ) -> None:
        text = "[profile work]\naws_access_key_id = {0}\naws_secret_access_key = s\n"
        write(text.format("FIRST") + "aws_session_token = t\n")
        sts = Sts()
        with serving(sts) as (target, _):
            assert target.load_credentials() == Credentials("FIRST", "s", "t")
            write(text.format("SECOND") + "aws_session_token = t\n")
            with time_machine.travel(datetime.now(UTC) + timedelta(minutes=2)):
                assert target.load_credentials() == Credentials("SECOND", "s", "t")
                assert target.account_id == "000000000000"
        assert sts.signers == ["SECOND"]

    def test_a_users_own_keys_are_lasting(self, write: Callable[[str], None]) -> None:
        write("[profile work]\naws_access_key_id = USER\naws_secret_access_key = s\n")
        found = open_target(TargetSettings("aws", "eu-west-1", "work")).load_credentials()
        assert found.are_lasting
        assert "'s'" not in repr(found)
