"""The boundary to AWS: foreign errors become ours, and calls go where they are meant to go.

Real AWS is proven here at the HTTP boundary: public code runs with a profile from a temporary
AWS configuration, and what it would send is looked at: host, region and signature.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions as foreign
import pytest
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from hypothesis import given
from hypothesis import strategies as st

from plldb.aws import Target, aws_errors, translate_error
from plldb.bootstrap.operations import BootstrapOperation
from plldb.config import EmulatorAddress, Options, SettingsResolver, TargetSettings
from plldb.debugger.api_client import ApiClient
from plldb.errors import (
    AccessDeniedError,
    AwsError,
    CredentialsError,
    EndpointError,
    PlldbError,
    StackError,
    TargetError,
)
from plldb.stacks import find_helper_stack, find_stack
from tests.unit.fakes import (
    ACCOUNT,
    Answer,
    Request,
    Wire,
    client_error,
    count_connections,
    local_server,
)

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMIbPxRfiCYEXAMPLEKEY"

# --- Errors ---------------------------------------------------------------------------------------


class TestTranslation:
    @pytest.mark.parametrize(
        "error",
        [
            foreign.NoCredentialsError(),
            foreign.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
            foreign.CredentialRetrievalError(provider="process", error_msg="exit 1"),
            foreign.TokenRetrievalError(provider="sso", error_msg="expired"),
            foreign.SSOTokenLoadError(error_msg="no token"),
            foreign.UnauthorizedSSOTokenError(),
            foreign.LoginRefreshRequired(),
            foreign.ProfileNotFound(profile="nope"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_missing_or_stale_credentials(self, error: Exception) -> None:
        ours = translate_error(error, "look")
        assert isinstance(ours, CredentialsError)
        assert ours.message.startswith("Could not look: ")
        assert ours.hint

    @pytest.mark.parametrize(
        "code",
        [
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidToken",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ],
    )
    def test_credentials_that_the_service_refuses(self, code: str) -> None:
        ours = translate_error(client_error(code, "bad token", "DescribeStacks"), "look")
        assert type(ours) is CredentialsError
        assert ours.message == f"Could not look: bad token ({code}, DescribeStacks)"

    def test_a_wrong_mfa_code_is_no_missing_right(self) -> None:
        said = "MultiFactorAuthentication failed with invalid MFA one time pass code."
        ours = translate_error(client_error("AccessDenied", said, "AssumeRole"), "load them")
        assert isinstance(ours, CredentialsError)
        assert "the code that the device shows now" in str(ours.hint)

    @pytest.mark.parametrize(
        "code", ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"]
    )
    def test_a_missing_permission_names_the_operation(self, code: str) -> None:
        ours = translate_error(client_error(code, "no", "CreateStack"), "make it")
        assert isinstance(ours, AccessDeniedError)
        assert ours.code == code
        assert "CreateStack" in str(ours.hint)

    def test_any_other_refusal_keeps_its_code(self) -> None:
        ours = translate_error(client_error("LimitExceeded", "full", "CreateStack"), "make it")
        assert type(ours) is AwsError
        assert (ours.code, ours.exit_code) == ("LimitExceeded", 1)
        assert ours.message == "Could not make it: full (LimitExceeded, CreateStack)"

    @pytest.mark.parametrize(
        "error",
        [
            foreign.EndpointConnectionError(endpoint_url="http://h:1"),
            foreign.ConnectTimeoutError(endpoint_url="http://h:1"),
            foreign.ReadTimeoutError(endpoint_url="http://h:1"),
            foreign.ConnectionClosedError(endpoint_url="http://h:1"),
            foreign.ProxyConnectionError(proxy_url="http://p:1"),
            foreign.SSLError(endpoint_url="https://h:1", error="bad certificate"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_an_endpoint_that_does_not_answer(self, error: Exception) -> None:
        ours = translate_error(error, "look")
        assert isinstance(ours, EndpointError)
        assert "plldb local status" in str(ours.hint)

    @pytest.mark.parametrize(
        "error",
        [
            foreign.NoRegionError(),
            foreign.ParamValidationError(report="bad"),
            foreign.UnknownServiceError(service_name="x", known_service_names=["y"]),
            foreign.ConfigParseError(path="/x", error="y"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_the_rest_of_botocores_own(self, error: Exception) -> None:
        assert type(translate_error(error, "look")) is AwsError

    def test_an_answer_that_is_none_of_aws_s(self) -> None:
        """MiniStack answers so where it fails by a bug of its own."""
        answer = Answer(500, '{"__type": "InternalError", "message": "not iterable"}')
        with local_server(lambda _: answer) as server:
            client = boto3.client(
                "cloudformation",
                endpoint_url=server.url,
                region_name="us-east-1",
                aws_access_key_id="x",
                aws_secret_access_key="x",
                config=Config(retries={"max_attempts": 0}),
            )
            with pytest.raises(AwsError, match="not iterable"), aws_errors("look"):
                client.list_stacks()

    def test_a_message_is_one_line_however_long_the_reason(self) -> None:
        ours = translate_error(client_error("X", "first\nsecond\nthird", "Y"), "look")
        assert "\n" not in ours.message

    def test_a_refusal_without_a_message_still_says_something(self) -> None:
        ours = translate_error(foreign.ClientError({}, "HeadBucket"), "look")
        assert "HeadBucket" in ours.message

    def test_the_cause_is_kept(self) -> None:
        error = client_error("X")
        with pytest.raises(AwsError) as raised, aws_errors("look"):
            raise error
        assert raised.value.__cause__ is error

    def test_a_bug_stays_what_it_is(self) -> None:
        with pytest.raises(ZeroDivisionError), aws_errors("look"):
            _ = 1 / 0

    def test_our_own_errors_pass(self) -> None:
        error = StackError("ours")
        with pytest.raises(StackError) as raised, aws_errors("look"):
            raise error
        assert raised.value is error


# --- Where an API is ------------------------------------------------------------------------------


def emulator_target(url: str = "http://127.0.0.1:4566", inside: str = "http://in:1") -> Target:
    return Target(TargetSettings("emulator", "us-east-1", emulator=EmulatorAddress(url, inside)))


class TestExecuteApiUrls:
    @pytest.mark.parametrize(
        "url",
        [
            "https://abc.execute-api.eu-west-1.amazonaws.com/plldb",
            "https://abc.execute-api.cn-north-1.amazonaws.com.cn/plldb",
            "wss://abc.execute-api.eu-west-1.amazonaws.com/plldb",
        ],
    )
    def test_on_aws_they_are_awss_own(self, url: str) -> None:
        target = Target(TargetSettings("aws", "eu-west-1"))
        assert target.execute_api_url("abc", url) == url
        assert target.execute_api_url("abc", url + "/") == url
        assert target.execute_api_base_url == ""

    @pytest.mark.parametrize(
        ("endpoint", "aws_url", "expected"),
        [
            ("http://h:1", "https://a.b/plldb", "http://h:1/_aws/execute-api/abc/plldb"),
            ("http://h:1", "wss://a.b/plldb", "ws://h:1/_aws/execute-api/abc/plldb"),
            ("http://h:1", "ws://a.b:4566/plldb", "ws://h:1/_aws/execute-api/abc/plldb"),
            ("https://h:1", "wss://a.b/plldb/", "wss://h:1/_aws/execute-api/abc/plldb"),
        ],
    )
    def test_on_an_emulator_they_are_paths_under_its_endpoint(
        self, endpoint: str, aws_url: str, expected: str
    ) -> None:
        assert emulator_target(endpoint).execute_api_url("abc", aws_url) == expected

    @pytest.mark.parametrize("path", ["", "/", "/a/b"])
    def test_so_are_those_of_functions(self, path: str) -> None:
        url = f"https://abc.lambda-url.eu-west-1.on.aws{path}"
        expected = f"http://h:1/_aws/lambda-url/abc/{path.strip('/')}"
        assert emulator_target("http://h:1").function_url("abc", url) == expected
        assert Target(TargetSettings("aws", "eu-west-1")).function_url("abc", url) == url

    def test_functions_get_the_base_as_seen_from_inside(self) -> None:
        assert emulator_target().execute_api_base_url == "http://in:1/_aws/execute-api"


class TestReachableUrls:
    """What functions hand out names the emulator as they see it."""

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("http://in:1/bucket/key?X-Amz-Signature=1", "http://h:2/bucket/key?X-Amz-Signature=1"),
            ("http://in:1", "http://h:2"),
            ("http://other:1/bucket", "http://other:1/bucket"),
            ("http://in:12/bucket", "http://in:12/bucket"),
            ("http://in:1.example/bucket", "http://in:1.example/bucket"),
            ("", ""),
        ],
    )
    def test_on_an_emulator_they_lead_to_its_endpoint(self, url: str, expected: str) -> None:
        assert emulator_target("http://h:2").reachable_url(url) == expected

    @given(path=st.text(st.characters(categories=["L", "N"])), query=st.text(max_size=20))
    def test_all_but_the_endpoint_is_kept(self, path: str, query: str) -> None:
        target = emulator_target("http://h:2")
        assert target.reachable_url(f"http://in:1/{path}?{query}") == f"http://h:2/{path}?{query}"

    def test_localstack_by_its_public_name_is_at_the_endpoint_too(self) -> None:
        for host in ("s3.localhost.localstack.cloud:4566", "localhost.localstack.cloud"):
            url = f"http://{host}/bucket/a%20key?X-Amz-Signature=1"
            expected = "http://h:2/bucket/a%20key?X-Amz-Signature=1"
            assert emulator_target("http://h:2").reachable_url(url) == expected
        url = "http://evil-localhost.localstack.cloud/"
        assert emulator_target("http://h:2").reachable_url(url) == url

    def test_on_aws_they_stay_as_they_are(self) -> None:
        url = "https://bucket.s3.eu-west-1.amazonaws.com/key?X-Amz-Signature=1"
        assert Target(TargetSettings("aws", "eu-west-1")).reachable_url(url) == url


class TestEndpointEnvironment:
    """How a user's code, run here, finds the target."""

    def test_an_emulator_is_at_one_endpoint_and_nothing_has_an_sdk_ignore_it(self) -> None:
        assert emulator_target("http://h:2").endpoint_environment() == {
            "AWS_ENDPOINT_URL": "http://h:2",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
        }

    def test_aws_is_where_an_sdk_looks_by_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://h:2")
        assert Target(TargetSettings("aws", "eu-west-1")).endpoint_environment() == {}

    def test_but_for_services_that_have_an_endpoint_of_their_own(self) -> None:
        url = "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com"
        settings = TargetSettings("aws", "eu-west-1", service_endpoints={"sts": url})
        assert Target(settings).endpoint_environment() == {"AWS_ENDPOINT_URL_STS": url}


def test_a_target_tells_people_where_it_is() -> None:
    assert emulator_target().description == "http://127.0.0.1:4566 (us-east-1)"
    assert Target(TargetSettings("aws", "eu-west-1")).description == "AWS (eu-west-1)"


# --- Real AWS -------------------------------------------------------------------------------------


@pytest.fixture
def aws_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile ``work``, as a user would have it; and another account in the environment."""
    config, credentials = tmp_path / "config", tmp_path / "credentials"
    config.write_text("[profile work]\nregion = eu-west-1\n[profile nowhere]\noutput = json\n")
    credentials.write_text(
        f"[work]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAANOTHERACCOUNT00")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")


class WiredTarget(Target):
    """Its calls go to the wire, and nowhere else."""

    def __init__(self, wire: Wire, settings: TargetSettings) -> None:
        super().__init__(settings)
        self._wire = wire

    def client(self, service: str) -> Any:
        client = super().client(service)
        client.meta.events.register("before-send", self._wire.before_send, unique_id="wire")
        return client


def resolve(flags: Options, environ: dict[str, str] | None = None) -> TargetSettings:
    """Where calls go while no emulator runs."""
    return SettingsResolver(flags, environ or {}).resolve_target(lambda: None)


def aws_target(wire: Wire, flags: Options, environ: dict[str, str] | None = None) -> Target:
    return WiredTarget(wire, resolve(flags, environ))


def create_session(target: Target, wire: Wire, url: str = "https://x.example/plldb") -> str:
    auth = target.execute_api_auth()
    with ApiClient(url, auth, adapter=wire.adapter()) as api:
        return api.create_session("app")


def aws_answers(region: str, domain: str) -> Callable[[Request], Answer]:
    """An account in which a helper stack is deployed, but no bucket is."""
    outputs = {
        "ManagementApiId": "rest1",
        "ManagementApiUrl": f"https://rest1.execute-api.{region}.{domain}/plldb",
        "WebSocketApiId": "ws1",
        "WebSocketUrl": f"wss://ws1.execute-api.{region}.{domain}/plldb",
        "SessionsTableName": "PLLDBSessions",
        "DebuggerTableName": "PLLDBDebugger",
        "InstrumentationFunctionName": "plldb-instrument",
    }
    members = "".join(
        f"<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>"
        for key, value in outputs.items()
    )
    stacks = (
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member>"
        f"<StackName>plldb</StackName><StackId>arn:aws:cloudformation:{region}:x</StackId>"
        "<StackStatus>CREATE_COMPLETE</StackStatus>"
        "<CreationTime>2026-01-01T00:00:00Z</CreationTime>"
        "<Tags><member><Key>plldb:version</Key><Value>0</Value></member></Tags>"
        f"<Outputs>{members}</Outputs>"
        "</member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
    )
    caller = (
        "<GetCallerIdentityResponse><GetCallerIdentityResult>"
        f"<Account>{ACCOUNT}</Account><Arn>arn:aws:iam::{ACCOUNT}:user/x</Arn>"
        "</GetCallerIdentityResult></GetCallerIdentityResponse>"
    )

    def respond(request: Request) -> Answer:
        service = request.credential_scope[3]
        if service == "sts":
            return Answer(200, caller)
        if service == "cloudformation":
            return Answer(200, stacks)
        if service == "execute-api":
            return Answer(201, json.dumps({"sessionId": "11111111-2222-4333-8444-555555555555"}))
        assert request.method == "HEAD"
        return Answer(404)

    return respond


REGIONS = [("eu-west-1", "amazonaws.com"), ("cn-north-1", "amazonaws.com.cn")]


@pytest.mark.usefixtures("aws_profile")
class TestRealAwsByProfile:
    @pytest.mark.parametrize(("region", "domain"), REGIONS)
    def test_setup_looks_at_the_account_of_the_profile(self, region: str, domain: str) -> None:
        wire = Wire(aws_answers(region, domain))
        target = aws_target(wire, Options(profile="work", region=region))

        plan = BootstrapOperation.for_setup(target, "plldb").plan()

        bucket = f"plldb-core-infrastructure-{region}-{ACCOUNT}"
        assert str(plan[0]) == f"create bucket {bucket}"
        assert str(plan[-1]) == "update stack plldb"
        hosts = {request.credential_scope[3]: request.host for request in wire.requests}
        assert hosts == {
            "sts": f"sts.{region}.{domain}",
            "s3": f"{bucket}.s3.{region}.{domain}",
            "cloudformation": f"cloudformation.{region}.{domain}",
        }
        for request in wire.requests:
            key_id, _, signed_region, service, terminator = request.credential_scope
            assert (key_id, signed_region, terminator) == (KEY_ID, region, "aws4_request"), service
            assert request.url.startswith("https://")
            assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 ")

    @pytest.mark.parametrize(("region", "domain"), REGIONS)
    def test_a_session_is_opened_at_the_helper_stacks_own_api(
        self, region: str, domain: str
    ) -> None:
        wire = Wire(aws_answers(region, domain))
        target = aws_target(wire, Options(profile="work", region=region))
        helper = find_helper_stack(target, "plldb")

        session_id = create_session(target, wire, helper.management_api_url)

        assert session_id == "11111111-2222-4333-8444-555555555555"
        request = wire.requests[-1]
        assert (request.method, request.url) == (
            "POST",
            f"https://rest1.execute-api.{region}.{domain}/plldb/sessions",
        )
        assert json.loads(request.body) == {"stackName": "app"}
        key_id, day, *scope = request.credential_scope
        assert (key_id, scope) == (KEY_ID, [region, "execute-api", "aws4_request"])
        assert request.headers["x-amz-date"].startswith(day)
        assert helper.websocket_url == f"wss://ws1.execute-api.{region}.{domain}/plldb"

    @pytest.mark.parametrize(
        ("service", "call"),
        [
            ("cloudformation", lambda client: client.describe_stacks()),
            ("sts", lambda client: client.get_caller_identity()),
        ],
    )
    def test_the_profiles_region_is_used_if_none_is_given(
        self, service: str, call: Callable[[Any], Any]
    ) -> None:
        wire = Wire(aws_answers("eu-west-1", "amazonaws.com"))
        target = aws_target(wire, Options(profile="work"))
        call(target.client(service))
        assert wire.hosts() == {f"{service}.eu-west-1.amazonaws.com"}
        assert target.region == "eu-west-1"

    @pytest.mark.parametrize(
        "variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_CLOUDFORMATION"]
    )
    @pytest.mark.parametrize(
        "flags", [Options(profile="work"), Options(target="aws", region="r-1")]
    )
    def test_an_endpoint_url_in_the_environment_never_redirects_it(
        self, variable: str, flags: Options, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
        wire = Wire(aws_answers("eu-west-1", "amazonaws.com"))
        target = aws_target(wire, flags, {variable: "http://127.0.0.1:1"})
        assert target.account_id == ACCOUNT
        find_stack(target, "plldb")
        assert all(host.endswith(".amazonaws.com") for host in wire.hosts())
        assert len(wire.hosts()) == 2

    @pytest.mark.parametrize(
        ("service", "key"),
        [("sts", "sts"), ("cloudformation", "cloudformation"), ("events", "eventbridge")],
    )
    def test_an_endpoint_of_aws_for_a_service_is_where_its_calls_go(
        self, service: str, key: str
    ) -> None:
        url = f"https://vpce-1.{service}.eu-west-1.vpce.amazonaws.com"
        settings = TargetSettings(
            "aws", "eu-west-1", profile="work", service_endpoints={key: url, "s3": "https://s3.x"}
        )
        with Target(settings) as target:
            assert target.client(service).meta.endpoint_url == url
            assert target.client("lambda").meta.endpoint_url.endswith(".eu-west-1.amazonaws.com")

    def test_target_aws_takes_the_credentials_of_the_environment(self) -> None:
        wire = Wire(aws_answers("eu-west-1", "amazonaws.com"))
        target = aws_target(wire, Options(target="aws", region="eu-west-1"))
        assert target.account_id == ACCOUNT
        assert wire.requests[0].credential_scope[0] == "AKIAANOTHERACCOUNT00"

    def test_a_session_token_is_signed_along(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SESSION_TOKEN", "the-token")
        wire = Wire(aws_answers("eu-west-1", "amazonaws.com"))
        target = aws_target(wire, Options(target="aws", region="eu-west-1"))
        create_session(target, wire)
        assert wire.requests[-1].headers["x-amz-security-token"] == "the-token"

    def test_the_account_is_asked_for_once(self) -> None:
        wire = Wire(aws_answers("eu-west-1", "amazonaws.com"))
        target = aws_target(wire, Options(profile="work"))
        assert [target.account_id, target.account_id] == [ACCOUNT, ACCOUNT]
        assert len(wire.requests) == 1

    @pytest.mark.parametrize(
        ("region", "partition"),
        [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
    )
    def test_partitions(self, region: str, partition: str) -> None:
        target = Target(resolve(Options(profile="work", region=region)))
        assert (target.partition, target.is_aws, target.uses_tls) == (partition, True, True)

    def test_a_profile_without_region_asks_for_one(self) -> None:
        target = Target(resolve(Options(profile="nowhere")))
        with pytest.raises(TargetError) as raised:
            _ = target.region
        assert "--region" in str(raised.value.hint)

    def test_an_unknown_profile_is_named(self) -> None:
        target = Target(resolve(Options(profile="nope")))
        with pytest.raises(CredentialsError, match="nope") as raised:
            target.client("sts")
        assert "list-profiles" in str(raised.value.hint)

    def test_a_refused_call_is_an_error_of_ours(self) -> None:
        body = (
            "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>old</Message></Error>"
            "</ErrorResponse>"
        )
        target = aws_target(Wire(lambda _: Answer(403, body)), Options(profile="work"))
        with pytest.raises(CredentialsError, match="old"):
            _ = target.account_id


class TestRenewedCredentials:
    """Those of SSO or of a role expire, and every signature may have to renew them first."""

    @pytest.fixture(autouse=True)
    def _monkeypatch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._set = monkeypatch.setattr

    def target(self, renew: Callable[[], dict[str, str]]) -> Target:
        """Its credentials have a minute left, within which botocore insists on new ones."""
        expiring = RefreshableCredentials.create_from_metadata(
            credentials(timedelta(minutes=1)), refresh_using=renew, method="test"
        )
        self._set(boto3.Session, "get_credentials", lambda _: expiring)
        return Target(TargetSettings("aws", "eu-west-1"))

    def test_a_request_is_signed_with_the_new_ones(self) -> None:
        wire = Wire(aws_answers("eu-west-1", "amazonaws.com"))
        target = self.target(lambda: credentials(timedelta(hours=1)) | {"token": "new"})
        create_session(target, wire)
        assert wire.requests[-1].headers["x-amz-security-token"] == "new"

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (foreign.CredentialRetrievalError(provider="p", error_msg="x"), CredentialsError),
            (foreign.UnauthorizedSSOTokenError(), CredentialsError),
            (client_error("ExpiredToken", "old", "AssumeRole"), CredentialsError),
            (foreign.ConnectTimeoutError(endpoint_url="https://sts"), EndpointError),
            (client_error("AccessDenied", "no", "AssumeRole"), AccessDeniedError),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_that_they_can_not_be_had_is_an_error_of_ours(
        self, error: Exception, kind: type[PlldbError]
    ) -> None:
        def renew() -> dict[str, str]:
            raise error

        wire = Wire(aws_answers("eu-west-1", "amazonaws.com"))
        with pytest.raises(PlldbError, match="Could not sign the request") as raised:
            create_session(self.target(renew), wire)
        assert type(raised.value) is kind
        assert raised.value.hint
        assert wire.requests == []

    def test_so_are_new_ones_that_have_expired_too(self) -> None:
        wire = Wire(aws_answers("eu-west-1", "amazonaws.com"))
        with pytest.raises(CredentialsError, match="still expired"):
            create_session(self.target(lambda: credentials(timedelta(minutes=-1))), wire)
        assert wire.requests == []


def credentials(lifetime: timedelta) -> dict[str, str]:
    return {
        "access_key": KEY_ID,
        "secret_key": SECRET,
        "token": "old",
        "expiry_time": (datetime.now(UTC) + lifetime).isoformat(),
    }


def test_aws_without_any_credentials_says_so() -> None:
    with Target(TargetSettings("aws", "eu-west-1")) as target:
        with pytest.raises(CredentialsError):
            target.execute_api_auth()
        with pytest.raises(CredentialsError):
            _ = target.account_id


# --- Emulators ------------------------------------------------------------------------------------


def answer_as_sts(_: Request) -> Answer:
    return Answer(
        200,
        "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>000000000000</Account>"
        "</GetCallerIdentityResult></GetCallerIdentityResponse>",
    )


class TestEmulator:
    @pytest.mark.parametrize(
        "environ",
        [
            {},
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
            {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1"},
            {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET},
            {"AWS_SESSION_TOKEN": "real"},
            {"LOCALSTACK_HOST": "127.0.0.1:1", "USE_SSL": "1"},
            {"AWS_PROFILE": "nope"},
        ],
        ids=str,
    )
    def test_calls_go_to_its_endpoint_with_its_own_credentials_whatever_the_environment_says(
        self, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        before = dict(os.environ)
        with local_server(answer_as_sts) as server, emulator_target(server.url) as target:
            assert target.account_id == "000000000000"
        assert dict(os.environ) == before
        (request,) = server.requests
        key_id, _, *scope = request.credential_scope
        assert (key_id, scope) == ("test", ["us-east-1", "sts", "aws4_request"])
        assert "x-amz-security-token" not in request.headers

    def test_two_of_them_are_two_places(self) -> None:
        with (
            local_server(answer_as_sts) as one,
            local_server(answer_as_sts) as other,
            emulator_target(one.url) as target_one,
            emulator_target(other.url) as target_other,
        ):
            for target in (target_one, target_other, target_one):
                target.client("sts").get_caller_identity()
        assert (len(one.requests), len(other.requests)) == (2, 1)

    def test_all_connections_are_closed_at_the_end(self) -> None:
        with local_server(answer_as_sts) as server:
            with emulator_target(server.url) as target:
                target.client("sts").get_caller_identity()
                target.patient_client("sts", seconds=5).get_caller_identity()
                assert count_connections(server) == 2
            assert count_connections(server) == 0

    def test_buckets_are_paths_and_not_host_names(self) -> None:
        with local_server(lambda _: Answer(404)) as server, emulator_target(server.url) as target:
            client = target.client("s3")
            with pytest.raises(foreign.ClientError):
                client.head_bucket(Bucket="some-bucket")
        assert (server.requests[0].host, server.requests[0].path) == ("127.0.0.1", "/some-bucket")

    def test_one_that_is_not_there_is_an_endpoint_error(self) -> None:
        with local_server(answer_as_sts) as server:
            url = server.url
        with (
            emulator_target(url) as target,
            pytest.raises(EndpointError, match="Could not find out the account"),
        ):
            _ = target.account_id

    @pytest.mark.parametrize(("endpoint", "tls"), [("http://h:1", False), ("https://h:1", True)])
    def test_tls_is_told_by_its_url(self, endpoint: str, tls: bool) -> None:
        target = emulator_target(endpoint)
        assert (target.is_aws, target.uses_tls, target.partition) == (False, tls, "aws")
