"""The one place that makes AWS clients and turns their exceptions into ours.

A ``Target`` is AWS or an emulator; the code above it does not ask which, except where the two
really differ (``is_aws``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.config
import botocore.exceptions as botocore_errors
import botocore.session
import localstack_client.session
from localstack_client.config import get_service_endpoints
from requests_aws4auth import AWS4Auth

from plldb.config import TargetSettings
from plldb.errors import (
    AccessDeniedError,
    AwsError,
    CredentialsError,
    EndpointError,
    PlldbError,
    TargetError,
)

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
_CREDENTIAL_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_AWS_FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
_CREDENTIALS_HINT = "Check the profile: 'aws sts get-caller-identity --profile NAME' must succeed."


class Target:
    """AWS clients for one target, region and set of credentials; made once and reused."""

    def __init__(self, settings: TargetSettings) -> None:
        self._settings = settings
        self._clients: dict[str, Any] = {}

    @property
    def is_aws(self) -> bool:
        return self._settings.kind == "aws"

    @cached_property
    def _session(self) -> Any:
        emulator = self._settings.emulator
        if emulator is not None:
            return _EmulatorSession(
                emulator.endpoint_url,
                aws_access_key_id=self._settings.access_key_id,
                aws_secret_access_key=self._settings.secret_access_key,
                aws_session_token=None,
                region_name=self._settings.region,
            )
        with aws_errors("load the AWS profile"):
            return boto3.Session(
                profile_name=self._settings.profile, region_name=self._settings.region
            )

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
        return _execute_api_base(emulator.inside_url) if emulator else ""

    def client(self, service: str) -> Any:
        """A boto3 client. Failing calls raise botocore's exceptions: see ``aws_errors``."""
        if service not in self._clients:
            self._clients[service] = self._make_client(service, _client_config(self.is_aws))
        return self._clients[service]

    def patient_client(self, service: str, seconds: int) -> Any:
        """One for a call that may take so long, and that is not to be made twice."""
        patience = botocore.config.Config(
            read_timeout=seconds, retries={"mode": "standard", "total_max_attempts": 1}
        )
        return self._make_client(service, _client_config(self.is_aws).merge(patience))

    def _make_client(self, service: str, config: botocore.config.Config) -> Any:
        with aws_errors(f"make a client for {service}"):
            return self._session.client(service, config=config, region_name=self.region)

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
        base = _execute_api_base(emulator.endpoint_url)
        if aws.scheme == "wss":
            base = "ws" + base.removeprefix("http")
        return f"{base}/{api_id}/{aws.path.strip('/')}"

    def reachable_url(self, url: str) -> str:
        """A URL that the helper stack's functions handed out, as it is reached from here."""
        emulator = self._settings.emulator
        if emulator is None:
            return url
        rest = url.removeprefix(emulator.inside_url)
        is_inside = rest != url and not rest[:1].strip("/?")
        return emulator.endpoint_url + rest if is_inside else url

    def child_environment(self) -> dict[str, str]:
        """The variables with which another process reaches this target as this one does."""
        settings = self._settings
        if settings.emulator is not None:
            return {
                "AWS_ENDPOINT_URL": settings.emulator.endpoint_url,
                "AWS_ACCESS_KEY_ID": settings.access_key_id,
                "AWS_SECRET_ACCESS_KEY": settings.secret_access_key,
            }
        if profile := settings.profile or os.environ.get("AWS_PROFILE"):
            files = {name: os.environ[name] for name in _AWS_FILES if name in os.environ}
            return {"AWS_PROFILE": profile} | files
        return self._frozen_credentials()

    def _frozen_credentials(self) -> dict[str, str]:
        """As they are now; those of an instance role expire after some hours."""
        with aws_errors("load the credentials"):
            credentials = self._session.get_credentials()
            if credentials is None:
                return {}
            frozen = credentials.get_frozen_credentials()
        values = (frozen.access_key, frozen.secret_key, frozen.token)
        return {
            name: value
            for name, value in zip(_CREDENTIAL_VARIABLES, values, strict=True)
            if value is not None
        }

    def execute_api_auth(self) -> AWS4Auth:
        """SigV4 for requests to an API under AWS_IAM; refreshes expiring credentials itself."""
        with aws_errors("load the credentials"):
            credentials = self._session.get_credentials()
        if credentials is None:
            raise CredentialsError("There are no AWS credentials.", _CREDENTIALS_HINT)
        return AWS4Auth(
            region=self.region, service="execute-api", refreshable_credentials=credentials
        )


class _EmulatorSession(localstack_client.session.Session):  # type: ignore[misc]
    """localstack-client's session, bound to one endpoint whatever AWS_ENDPOINT_URL says."""

    def __init__(self, endpoint_url: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._service_endpoint_mapping: dict[str, str] = dict.fromkeys(
            get_service_endpoints(), endpoint_url
        )
        # A session of its own: AWS_PROFILE may name a profile that is not there.
        no_profile = {"profile": (None, None, None, None)}
        self._session: Any = boto3.Session(
            botocore_session=botocore.session.Session(session_vars=no_profile)
        )

    def client(self, service_name: str, **kwargs: Any) -> Any:
        return self._session.client(
            service_name,
            endpoint_url=self._service_endpoint_mapping[service_name],
            **kwargs | self.common_protected_kwargs,
        )


def _client_config(is_aws: bool) -> botocore.config.Config:
    """Retries as AWS advises; AWS_ENDPOINT_URL never redirects a client that is meant for AWS."""
    return botocore.config.Config(  # type: ignore[call-arg]  # the stubs lack the last but one
        retries={"mode": "standard", "total_max_attempts": 5 if is_aws else 2},
        connect_timeout=10 if is_aws else 5,
        ignore_configured_endpoint_urls=True,
        # Virtual-hosted bucket names do not resolve on localhost.
        s3=None if is_aws else {"addressing_style": "path"},
        user_agent_extra="plldb",
    )


def _execute_api_base(endpoint_url: str) -> str:
    return f"{endpoint_url}/_aws/execute-api"


@contextmanager
def aws_errors(action: str) -> Iterator[None]:
    """Turn botocore's exceptions into a PlldbError: "Could not <action>: <reason>"."""
    try:
        yield
    except (botocore_errors.BotoCoreError, botocore_errors.ClientError) as error:
        raise translated(error, action) from error


def error_code(error: botocore_errors.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def translated(error: Exception, action: str) -> PlldbError:
    """The PlldbError for one of botocore's exceptions."""
    failed = f"Could not {action}"
    if isinstance(error, botocore_errors.ClientError):
        return _translated_refusal(error, failed)
    match error:
        case botocore_errors.ProfileNotFound():
            return CredentialsError(
                f"{failed}: {error}.",
                "'aws configure list-profiles' lists them; check --profile and AWS_PROFILE.",
            )
        case (
            botocore_errors.NoCredentialsError()
            | botocore_errors.PartialCredentialsError()
            | botocore_errors.CredentialRetrievalError()
            | botocore_errors.TokenRetrievalError()
            | botocore_errors.SSOError()
            | botocore_errors.LoginError()
        ):
            return CredentialsError(f"{failed}: {_sentence(error)}", _CREDENTIALS_HINT)
        case botocore_errors.HTTPClientError() | botocore_errors.ConnectionError():
            return EndpointError(
                f"{failed}: {_sentence(error)}",
                "Check that the endpoint is right and up: 'plldb local status' for an emulator, "
                "--region and the network for AWS.",
            )
    return AwsError(f"{failed}: {_sentence(error)}", "Check --region and the flags.")


def _translated_refusal(error: botocore_errors.ClientError, failed: str) -> PlldbError:
    code = error_code(error)
    reason = str(error.response.get("Error", {}).get("Message") or error)
    message = f"{failed}: {_sentence(reason)} ({code}, {error.operation_name})"
    if code in _BAD_CREDENTIALS:
        return CredentialsError(message, _CREDENTIALS_HINT)
    if code in _ACCESS_DENIED:
        hint = f"Allow these credentials the action behind {error.operation_name}, then try again."
        return AccessDeniedError(message, hint, code=code)
    return AwsError(message, code=code)


def _sentence(text: object) -> str:
    """The first line, without a trailing full stop or what follows it on other lines."""
    lines = str(text).strip().splitlines()
    return lines[0] if lines else "no reason was given"
