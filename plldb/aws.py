"""The one place that makes AWS clients and turns their exceptions into ours.

A ``Target`` is AWS or an emulator; the code above it does not ask which, except where the two
really differ (``is_aws``).
"""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Self
from urllib.parse import urlsplit

import boto3
import botocore.auth
import botocore.config
import botocore.exceptions as botocore_errors
import botocore.parsers
import botocore.session
import localstack_client.session
from requests import PreparedRequest, Response, codes
from requests.auth import AuthBase
from requests_aws4auth import AWS4Auth

from plldb.certificates import collect_certificates
from plldb.clock_skew import ClockSkew
from plldb.config import TargetSettings
from plldb.credentials import Credentials, NobodyToAskError, ProfileSession, ask_nobody, freeze
from plldb.errors import (
    AccessDeniedError,
    AwsError,
    CredentialsError,
    EndpointError,
    PlldbError,
    TargetError,
)
from plldb.network_refusals import find_refusal

logger = logging.getLogger(__name__)

_LOCALSTACK_NAME = ".localhost.localstack.cloud"

_ACCESS_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_BAD_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
# Of one call: a proxy's time may be wrong and then AWS's right, but no clock leaps for ever.
_CORRECTIONS = 2
_CREDENTIALS_HINT = "Check the profile: 'aws sts get-caller-identity --profile NAME' must succeed."
_LOGIN_HINT = "Run 'aws %s' in another terminal; what is attached goes on with it by itself."
_HINTS_OF_CREDENTIALS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    (
        (NobodyToAskError,),
        "It is asked for in a terminal that nobody else uses; while attached, again within a "
        "minute. A longer duration_seconds in the profile has it asked less often.",
    ),
    (
        (botocore_errors.SSOError, botocore_errors.TokenRetrievalError),
        _LOGIN_HINT % "sso login --profile NAME",
    ),
    ((botocore_errors.LoginError,), _LOGIN_HINT % "login --profile NAME"),
    (
        (
            botocore_errors.NoCredentialsError,
            botocore_errors.PartialCredentialsError,
            botocore_errors.CredentialRetrievalError,
            botocore_errors.InvalidConfigError,
            botocore_errors.InfiniteLoopConfigError,
            botocore_errors.UnknownCredentialError,
        ),
        _CREDENTIALS_HINT,
    ),
)


class Target:
    """AWS clients for one target, region and set of credentials; made once and reused.

    A context manager, which closes their connections at the end.
    """

    def __init__(self, settings: TargetSettings, ask: Callable[[str], str] = ask_nobody) -> None:
        """``ask`` asks the user for an MFA code; it raises EOFError if there is nobody."""
        self._settings = settings
        self._ask = ask
        # By service and region.
        self._clients: dict[tuple[str, str], Any] = {}
        self._to_close = ExitStack()
        self._clock = ClockSkew()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections of all clients that were made here."""
        self._clients.clear()
        self._to_close.close()

    @property
    def is_aws(self) -> bool:
        return self._settings.kind == "aws"

    @cached_property
    def _session(self) -> Any:
        settings = self._settings
        if settings.emulator is not None and settings.profile is None:
            return _open_emulator_session(settings, settings.emulator.endpoint_url)
        url = settings.emulator.endpoint_url if settings.emulator else None
        with aws_errors("load the AWS profile"):
            return boto3.Session(
                profile_name=settings.profile,
                region_name=settings.region,
                botocore_session=ProfileSession(
                    settings.profile, url, settings.service_endpoints, self._ask
                ),
            )

    def _session_of(self, region: str) -> Any:
        """An emulator's makes clients of its own region only."""
        if region == self.region or isinstance(self._session, boto3.Session):
            return self._session
        assert self._settings.emulator is not None  # the other kind of session
        settings = replace(self._settings, region=region)
        return _open_emulator_session(settings, self._settings.emulator.endpoint_url)

    @property
    def _profile_bundle(self) -> str | None:
        """The certificates that the profile names."""
        if not isinstance(self._session, boto3.Session):
            return None
        named = self._session._session.get_scoped_config().get("ca_bundle")
        return str(named) if named else None

    def certificate_environment(self) -> dict[str, str]:
        """For another process, which does not read the profile: what it names."""
        named = self._profile_bundle
        return {"AWS_CA_BUNDLE": str(Path(named).expanduser())} if named else {}

    @cached_property
    def ca_bundle(self) -> Path | None:
        """A file with the certificates to trust, for as long as this target is open.

        None where nothing is encrypted. Raises TargetError.
        """
        if not self.uses_tls:
            return None
        certificates = collect_certificates(os.environ, self._profile_bundle)
        with NamedTemporaryFile(prefix="plldb-", suffix=".pem", delete=False) as file:
            self._to_close.callback(weakref.finalize(self, os.unlink, file.name))
            file.write(certificates)
        if isinstance(self._session, boto3.Session):
            # For the calls by which botocore comes to credentials.
            self._session._session.set_config_variable("ca_bundle", file.name)
        return Path(file.name)

    @cached_property
    def region(self) -> str:
        region: str | None = self._session.region_name
        if not region:
            raise TargetError(
                "No AWS region is set for this profile.",
                "Give --region, or set AWS_REGION or the profile's region.",
            )
        return region

    @cached_property
    def account_id(self) -> str:
        with aws_errors("find out the account"):
            return str(self.client("sts").get_caller_identity()["Account"])

    @property
    def partition(self) -> str:
        """``aws``, ``aws-cn``, …"""
        if not self.is_aws:
            return "aws"
        return str(self._session.get_partition_for_region(self.region))

    @property
    def description(self) -> str:
        """Where calls go, in the words of a message: an endpoint, or AWS; and the region."""
        emulator = self._settings.emulator
        where = emulator.endpoint_url if emulator else "AWS"
        return f"{where} ({self.region})"

    @property
    def uses_tls(self) -> bool:
        emulator = self._settings.emulator
        return emulator is None or emulator.endpoint_url.startswith("https://")

    @property
    def execute_api_base_url(self) -> str:
        """The execute-api base as the helper stack's functions see it; empty on AWS."""
        emulator = self._settings.emulator
        return _join_execute_api_base(emulator.inside_url) if emulator else ""

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client, of the target's region or another one.

        Failing calls raise botocore's exceptions: see ``aws_errors``.
        """
        region = region or self.region
        if (service, region) not in self._clients:
            config = _make_client_config(self.is_aws)
            self._clients[service, region] = self._make_client(service, config, region)
        return self._clients[service, region]

    def patient_client(self, service: str, seconds: int) -> Any:
        """One for a call that may take so long, and that is not to be made twice."""
        patience = botocore.config.Config(
            read_timeout=seconds,
            retries={"mode": "standard", "total_max_attempts": 1},
            # Or what is between here and AWS takes the connection for one that nobody uses.
            tcp_keepalive=True,
        )
        config = _make_client_config(self.is_aws).merge(patience)
        return self._make_client(service, config, self.region)

    def _make_client(self, service: str, config: botocore.config.Config, region: str) -> Any:
        with aws_errors(f"make a client for {service}"):
            verify = None if self.ca_bundle is None else str(self.ca_bundle)
            client = self._session_of(region).client(
                service, config=config, region_name=region, verify=verify
            )
            _ClockCorrection(client, self._clock, self._session.get_credentials()).install()
        _log_calls(client)
        self._to_close.callback(client.close)
        logger.debug("%s is at %s", service, client.meta.endpoint_url)
        return client

    def execute_api_url(self, api_id: str, aws_url: str) -> str:
        """The URL at which an API of this target is reached from here.

        ``aws_url`` is its URL on AWS, ``scheme://host/stage``. An emulator serves the same API
        under its own endpoint by path, because host names such as ``*.localhost`` do not resolve
        everywhere.
        """
        emulator = self._settings.emulator
        if emulator is None:
            return aws_url.rstrip("/")
        aws = urlsplit(aws_url)
        base = _join_execute_api_base(emulator.endpoint_url)
        if aws.scheme in ("ws", "wss"):
            base = "ws" + base.removeprefix("http")
        return f"{base}/{api_id}/{aws.path.strip('/')}"

    def function_url(self, url_id: str, aws_url: str) -> str:
        """The URL at which a function with a URL is reached from here; ``aws_url`` is that on AWS,
        ``https://host/path``.
        """
        emulator = self._settings.emulator
        if emulator is None:
            return aws_url
        return (
            f"{emulator.endpoint_url}/_aws/lambda-url/{url_id}/{urlsplit(aws_url).path.strip('/')}"
        )

    def object_url(self, bucket: str, key: str) -> str:
        """The URL of an object, as CloudFormation takes it; with the bucket in its path, since
        other names do not resolve everywhere.
        """
        emulator = self._settings.emulator
        base = emulator.inside_url if emulator else self.client("s3").meta.endpoint_url
        return f"{base}/{bucket}/{key}"

    def reachable_url(self, url: str) -> str:
        """A URL that the target or a function of the helper stack handed out, as reached from here.

        LocalStack names itself by a public name, whose port need not be the one outside of its
        container: https://docs.localstack.cloud/aws/capabilities/networking/
        """
        emulator = self._settings.emulator
        if emulator is None:
            return url
        parts = urlsplit(url)
        if f".{parts.hostname}".endswith(_LOCALSTACK_NAME):
            return emulator.endpoint_url + parts._replace(scheme="", netloc="").geturl()
        rest = url.removeprefix(emulator.inside_url)
        is_inside = rest != url and not rest[:1].strip("/?")
        return emulator.endpoint_url + rest if is_inside else url

    def endpoint_environment(self) -> dict[str, str]:
        """The variables with which an SDK in another process finds this target and no other."""
        if emulator := self._settings.emulator:
            # The second one wins over the first wherever it is true.
            return {
                "AWS_ENDPOINT_URL": emulator.endpoint_url,
                "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
            }
        return {
            f"AWS_ENDPOINT_URL_{service.upper()}": url
            for service, url in self._settings.service_endpoints.items()
        }

    def load_credentials(self) -> Credentials:
        """The credentials that everything here is signed with, renewed first if they have to be.

        This may ask for an MFA code, start a credential_process, or use the network. Raises
        CredentialsError, EndpointError or AwsError.
        """
        with _translating_credential_errors("load the credentials"):
            found = self._find_credentials()
            frozen = None if found is None else freeze(found)
        if frozen is None:
            raise CredentialsError("There are no AWS credentials.", _CREDENTIALS_HINT)
        return frozen

    def _find_credentials(self) -> Any:
        """Botocore's, or None. The calls by which it finds them trust what all the others do."""
        _ = self.ca_bundle
        return self._session.get_credentials()

    def execute_api_auth(self) -> AuthBase:
        """SigV4 for requests to an API under AWS_IAM; refreshes expiring credentials itself.

        A request that is refused since the local clock is off is signed again with the right time.
        """
        with _translating_credential_errors("load the credentials"):
            credentials = self._find_credentials()
        if credentials is None:
            raise CredentialsError("There are no AWS credentials.", _CREDENTIALS_HINT)
        signature = AWS4Auth(
            region=self.region, service="execute-api", refreshable_credentials=credentials
        )
        return _CorrectedSignature(signature, self._clock)


class _CorrectedSignature(AuthBase):
    """AWS4Auth with the time that a refusal taught; see ``ClockSkew``."""

    def __init__(self, signature: AWS4Auth, clock: ClockSkew) -> None:
        self._signature = signature
        self._clock = clock

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.hooks["response"].append(self._sign_again)
        return self._sign(request)

    def _sign(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["x-amz-date"] = self._clock.timestamp()
        with _translating_credential_errors("sign the request"):
            signed: PreparedRequest = self._signature(request)
        return signed

    def _sign_again(self, refused: Response, **arguments: Any) -> Response:
        """Once, as requests' own HTTPDigestAuth does it."""
        if refused.status_code != codes.forbidden:
            return refused
        if not self._clock.learn(refused.headers.get("Date")):
            return refused
        # The connection is free once the refusal is read.
        _ = refused.content
        refused.close()
        request = refused.request.copy()
        del request.headers["Authorization"]
        answer: Response = refused.connection.send(self._sign(request), **arguments)
        answer.history.append(refused)
        answer.request = request
        return answer


class _ClockCorrection:
    """The same for a boto3 client, which does not do it: https://github.com/boto/boto3/issues/1252"""

    def __init__(self, client: Any, clock: ClockSkew, credentials: Any) -> None:
        self._client = client
        self._clock = clock
        self._credentials = credentials

    def install(self) -> None:
        events = self._client.meta.events
        events.register_first("needs-retry", self._retry_delay)
        events.register_last("request-created", self._sign_again)

    def _retry_delay(self, response: Any, attempts: int = 1, **_: Any) -> int | None:
        """In seconds; None leaves it to the others whether a call is made again."""
        if response is None or attempts > _CORRECTIONS:
            return None
        http, parsed = response
        is_refused = http.status_code in (codes.bad_request, codes.unauthorized, codes.forbidden)
        date = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        return 0 if is_refused and self._clock.learn(date) else None

    def _sign_again(self, request: Any, **_: Any) -> None:
        """Replaces a signature by one of the right time."""
        if not self._clock.seconds or "Authorization" not in request.headers:
            return
        meta = self._client.meta
        name = meta.service_model.signing_name
        base = botocore.auth.S3SigV4Auth if name == "s3" else botocore.auth.SigV4Auth
        clock = self._clock

        class Signature(base):  # type: ignore[valid-type, misc]
            def _modify_request_before_signing(self, request: Any) -> None:
                request.context["timestamp"] = clock.timestamp()
                super()._modify_request_before_signing(request)

        frozen = self._credentials.get_frozen_credentials()
        Signature(frozen, name, meta.region_name).add_auth(request)


def _log_calls(client: Any) -> None:
    """Has each call logged: what it was, what came of it, and how long it took."""
    service = client.meta.service_model.service_name

    def remember_start(context: dict[str, Any], **_: Any) -> None:
        context["plldb_began"] = time.perf_counter()

    def log_answer(model: Any, context: dict[str, Any], parsed: dict[str, Any], **_: Any) -> None:
        answer = parsed.get("ResponseMetadata", {})
        logger.debug(
            "%s %s: %s in %.0f ms, repeated %d times",
            *(service, model.name, answer.get("HTTPStatusCode")),
            (time.perf_counter() - context["plldb_began"]) * 1000,
            answer.get("RetryAttempts", 0),
        )

    def log_failure(
        event_name: str, context: dict[str, Any], exception: Exception, **_: Any
    ) -> None:
        logger.debug(
            "%s: %s after %.0f ms",
            *(event_name.removeprefix("after-call-error."), type(exception).__name__),
            (time.perf_counter() - context["plldb_began"]) * 1000,
        )

    client.meta.events.register("before-call", remember_start)
    client.meta.events.register("after-call", log_answer)
    client.meta.events.register("after-call-error", log_failure)


def _open_emulator_session(settings: TargetSettings, endpoint_url: str) -> Any:
    """localstack-client's session, with all services at one endpoint.

    It takes the endpoint from AWS_ENDPOINT_URL, which may name another one in this environment; and
    it makes its clients by boto3's default session, which fails if AWS_PROFILE names a profile that
    is not there.
    """
    no_profile = {"profile": (None, None, None, None)}
    boto3.setup_default_session(botocore_session=botocore.session.Session(session_vars=no_profile))
    with environment_variable("AWS_ENDPOINT_URL", endpoint_url):
        return localstack_client.session.Session(
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=settings.secret_access_key,
            aws_session_token=None,
            region_name=settings.region,
        )


@contextmanager
def environment_variable(name: str, value: str) -> Iterator[None]:
    """Sets a variable of this process, for a library that reads it."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _make_client_config(is_aws: bool) -> botocore.config.Config:
    """Retries as AWS advises; AWS_ENDPOINT_URL never redirects a client that is meant for AWS."""
    return botocore.config.Config(  # type: ignore[call-arg]  # the stubs lack the last but one
        retries={"mode": "standard", "total_max_attempts": 5 if is_aws else 2},
        connect_timeout=10 if is_aws else 5,
        ignore_configured_endpoint_urls=True,
        # Virtual-hosted bucket names do not resolve on localhost.
        s3=None if is_aws else {"addressing_style": "path"},
        user_agent_extra="plldb",
    )


def _join_execute_api_base(endpoint_url: str) -> str:
    return f"{endpoint_url}/_aws/execute-api"


# Of an answer that can't be read, as much is shown.
_LONGEST_ANSWER = 300
_ERRORS_OF_BOTOCORE = (
    botocore_errors.BotoCoreError,
    botocore_errors.ClientError,
    # No BotoCoreError, for whatever reason.
    botocore.parsers.ResponseParserError,
)


@contextmanager
def aws_errors(action: str) -> Iterator[None]:
    """Turn botocore's exceptions into a PlldbError: "Could not <action>: <reason>"."""
    try:
        yield
    except _ERRORS_OF_BOTOCORE as error:
        raise translate_error(error, action) from error


@contextmanager
def _translating_credential_errors(action: str) -> Iterator[None]:
    """Each signature may have to renew the credentials first, over the network."""
    with aws_errors(action):
        try:
            yield
        except RuntimeError as error:
            # Botocore's own for renewed credentials that have expired as well.
            reason = f"Could not {action}: {_shorten_reason(error)}"
            raise CredentialsError(reason, _CREDENTIALS_HINT) from error


def error_code(error: botocore_errors.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def translate_error(error: Exception, action: str) -> PlldbError:
    """The PlldbError for one of botocore's exceptions."""
    failed = f"Could not {action}"
    if isinstance(error, botocore_errors.ClientError):
        return _translate_refusal(error, failed)
    for kinds, hint in _HINTS_OF_CREDENTIALS:
        if isinstance(error, kinds):
            return CredentialsError(f"{failed}: {_shorten_reason(error)}", hint)
    match error:
        case botocore_errors.ProfileNotFound():
            return CredentialsError(
                f"{failed}: {error}.",
                "'aws configure list-profiles' lists them; check --profile and AWS_PROFILE.",
            )
        case botocore_errors.HTTPClientError() | botocore_errors.ConnectionError():
            where = str(error.kwargs.get("endpoint_url") or "AWS")
            if refusal := find_refusal(where, error):
                return refusal
            return EndpointError(
                f"{failed}: {_shorten_reason(error)}",
                "Check that the endpoint is right and up: 'plldb local status' for an emulator, "
                "--region and the network for AWS.",
            )
    return _translate_the_rest(error, failed)


def _translate_the_rest(error: Exception, failed: str) -> AwsError:
    if not isinstance(error, botocore.parsers.ResponseParserError):
        return AwsError(f"{failed}: {_shorten_reason(error)}", "Check --region and the flags.")
    # It ends with the answer itself.
    answer = str(error).strip().rpartition("\n")[2][:_LONGEST_ANSWER]
    return AwsError(
        f"{failed}: the answer is none of AWS's: {answer}",
        "An emulator failed at it: change what it was asked for, or look at its log.",
    )


def _translate_refusal(error: botocore_errors.ClientError, failed: str) -> PlldbError:
    code = error_code(error)
    reason = str(error.response.get("Error", {}).get("Message") or error)
    message = f"{failed}: {_shorten_reason(reason)} ({code}, {error.operation_name})"
    if "MultiFactorAuthentication" in reason or "tokenCode" in reason:
        return CredentialsError(message, "Try again with the code that the device shows now.")
    if code in _BAD_CREDENTIALS:
        return CredentialsError(message, _CREDENTIALS_HINT)
    if code in _ACCESS_DENIED:
        hint = f"Allow these credentials the action behind {error.operation_name}, then try again."
        return AccessDeniedError(message, hint, code=code)
    return AwsError(message, code=code)


def _shorten_reason(text: object) -> str:
    """The first line, without a trailing full stop or what follows it on other lines."""
    lines = str(text).strip().splitlines()
    return lines[0] if lines else "no reason was given"
