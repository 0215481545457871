"""How a tool finds the target, and no other: ``plldb exec``. It does so by variables, mostly.

Tools of AWS and those of others read them by way of their SDK, or by themselves:
https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from plldb.config import TargetSettings
from plldb.option_names import name_variable
from plldb.proxies import exempt_loopback

# Whatever selects credentials, an account or an endpoint, of AWS's SDKs old and new: another one
# than the target's must not win.
_SELECTING = frozenset(
    {
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_ACCOUNT_ID",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_DEFAULT_PROFILE",
        "AWS_DEFAULT_REGION",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SECRET_KEY",
        "AWS_SECURITY_TOKEN",
        "AWS_SESSION_TOKEN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        # Of plldb, which may be what the tool calls.
        *map(name_variable, ("profile", "target", "region", "endpoint_url")),
    }
)
_ENDPOINTS = "AWS_ENDPOINT_URL"
# Version 1 of the AWS CLI calls AWS for SQS, whatever the variables say:
# https://github.com/aws/aws-cli/blob/develop/awscli/customizations/overridesslcommonname.py
_ENDPOINT_OPTION = "--endpoint-url"
# SDKs refuse a custom endpoint with these.
_NOT_OF_AN_EMULATOR = frozenset(
    {"AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT", "AWS_S3_USE_ARN_REGION"}
)
# Nothing of what happens on an emulator is anybody else's business, and a machine without a network
# need not wait for it. The user's own wins.
_QUIET = {
    "SAM_CLI_TELEMETRY": "0",
    "CDK_DISABLE_CLI_TELEMETRY": "true",
    "CHECKPOINT_DISABLE": "1",
    "SLS_TELEMETRY_DISABLED": "1",
}
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-imds-credentials.html
_NO_INSTANCE = {"AWS_EC2_METADATA_DISABLED": "true"}


def make_tool_environment(
    environ: Mapping[str, str],
    settings: TargetSettings,
    region: str,
    credentials: Mapping[str, str],
    find_address: Callable[[str], str | None],
) -> dict[str, str]:
    """All variables of the tool: ``environ`` without what selects another target, and the target's.

    ``credentials`` are variables by which SDKs come to plldb's own credentials. ``find_address``
    gives the IPv4 address of a host, or None.
    """
    ours = dict(credentials) | {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    ours[name_variable("region")] = region
    kept = {name: value for name, value in environ.items() if not _selects(name)}
    if settings.emulator is None:
        ours[name_variable("target")] = "aws"
        ours |= {
            f"{_ENDPOINTS}_{service.upper()}": url
            for service, url in settings.service_endpoints.items()
        }
        return kept | ours
    url = settings.emulator.endpoint_url
    kept = {name: value for name, value in kept.items() if name not in _NOT_OF_AN_EMULATOR}
    ours |= {_ENDPOINTS: url, name_variable("endpoint_url"): url}
    ours["PLLDB_INSIDE_ENDPOINT_URL"] = settings.emulator.inside_url
    if by_address := _name_by_address(url, find_address):
        ours[f"{_ENDPOINTS}_S3"] = by_address
    tool = _QUIET | kept | ours | _NO_INSTANCE
    return tool | exempt_loopback(tool)


def name_endpoint(command: Sequence[str], settings: TargetSettings) -> list[str]:
    """The command, with an emulator's endpoint as an option where the variable does not do."""
    program, *arguments = command
    is_named = any(one.partition("=")[0] == _ENDPOINT_OPTION for one in arguments)
    is_deaf = Path(program).stem == "aws" and "sqs" in arguments
    if settings.emulator is None or is_named or not is_deaf:
        return [program, *arguments]
    return [program, _ENDPOINT_OPTION, settings.emulator.endpoint_url, *arguments]


def name_emulator_keys(settings: TargetSettings) -> dict[str, str]:
    """An emulator's access key, for SDKs and for plldb as the tool may call it."""
    key, secret = settings.access_key_id, settings.secret_access_key
    return {
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "PLLDB_EMULATOR_ACCESS_KEY_ID": key,
        "PLLDB_EMULATOR_SECRET_ACCESS_KEY": secret,
    }


def _selects(name: str) -> bool:
    return name in _SELECTING or name == _ENDPOINTS or name.startswith(f"{_ENDPOINTS}_")


def _name_by_address(url: str, find_address: Callable[[str], str | None]) -> str | None:
    """The same endpoint by its host's address; None if it is so already, or can't be.

    By that, SDKs put the bucket into the path: no variable says so, and names such as
    bucket.localhost do not resolve everywhere.
    https://github.com/boto/botocore/blob/develop/botocore/data/s3/2006-03-01/endpoint-rule-set-1.json
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    # A certificate is a name's, mostly.
    if parts.scheme != "http" or _is_address(host):
        return None
    address = find_address(host)
    if address is None:
        return None
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit((parts.scheme, f"{address}{port}", "", "", ""))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
