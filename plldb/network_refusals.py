"""Who stands between here and AWS and refuses: named as what it is, whatever library met it.

A certificate that is not trusted, a proxy that lets nothing through, and a VPC endpoint that knows
no such API are no lack of rights, and are mended elsewhere. Libraries wrap the first two in errors
that say little, or quote what is secret.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping

from plldb.errors import EndpointError

_CERTIFICATE_HINT = (
    "If a proxy of your company signs certificates, name the file with its own: "
    "AWS_CA_BUNDLE=FILE. A clock that is days off does that, too."
)
_USERS_HINT = (
    "Name the proxy with user and password, special characters of which as %40 and so on: "
    "HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
)
_PROXY_HINT = (
    "Have whoever runs the proxy allow the host, or name another proxy by HTTPS_PROXY; or, where "
    "there is a way without, name the host in NO_PROXY."
)
# By this, API Gateway refuses before it looks at a signature or an authorizer:
# https://repost.aws/knowledge-center/api-gateway-vpc-connections
_ERROR_TYPE, _FORBIDDEN = "x-amzn-errortype", "ForbiddenException"
_VPC_HINT = (
    "In a VPC that has an endpoint for execute-api with private DNS, the names of all APIs lead to "
    "that endpoint, which knows private ones only: attach from elsewhere, or have private DNS "
    "turned off for it. A firewall of the API (WAF) answers so, too."
)
# Of http.client, by which both botocore and requests go.
_TUNNEL_FAILED = re.compile(r"Tunnel connection failed: (\d{3})\b")
_AUTHENTICATION_REQUIRED = 407


def find_refusal(where: str, error: BaseException) -> EndpointError | None:
    """The error to raise for a refusal, however far down libraries have wrapped it.

    None for any other error. ``where`` is what was to be reached, as it may be shown.
    """
    causes = list(_walk(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            is_proxys = any("connect to proxy" in str(one) for one in causes)
            return refuse_certificate("the proxy" if is_proxys else where, cause)
        if found := _TUNNEL_FAILED.search(str(cause)):
            return refuse_by_proxy(where, int(found[1]))
    return None


def refuse_certificate(where: str, error: ssl.SSLCertVerificationError) -> EndpointError:
    """The error for a server whose certificate is not trusted; ``where`` may be shown."""
    return EndpointError(
        f"The certificate of {where} is not trusted: {error.verify_message}.", _CERTIFICATE_HINT
    )


def refuse_by_proxy(where: str, status: int) -> EndpointError:
    """The error for a proxy that answers CONNECT with another status than 200."""
    if status == _AUTHENTICATION_REQUIRED:
        return EndpointError(
            f"The proxy on the way to {where} takes no other than its users (407).", _USERS_HINT
        )
    return EndpointError(
        f"The proxy does not let anybody through to {where} ({status}).", _PROXY_HINT
    )


def find_vpc_refusal(where: str, headers: Mapping[str, str]) -> EndpointError | None:
    """The error for an answer 403 that is no lack of rights; None for any other.

    ``headers`` are the answer's, with names in any case; they may end with a URL of a document.
    """
    kind = next((headers[name] for name in headers if name.lower() == _ERROR_TYPE), "")
    if kind.partition(":")[0] != _FORBIDDEN:
        return None
    return EndpointError(
        f"{where} was refused before anybody looked at permissions: 403 {_FORBIDDEN}.", _VPC_HINT
    )


def _walk(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what was wrapped in it, from outside to inside."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        reason = getattr(error, "reason", None) or getattr(error, "kwargs", {}).get("error")
        inner = next((one for one in error.args if isinstance(one, BaseException)), None)
        error = (
            (reason if isinstance(reason, BaseException) else inner)
            or error.__cause__
            or error.__context__
        )
