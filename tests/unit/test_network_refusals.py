"""A refusal on the way is found however deep it lies, and nothing else is taken for one."""

from __future__ import annotations

import ssl

import pytest
from botocore.exceptions import ConnectTimeoutError, HTTPClientError, ProxyConnectionError
from requests.exceptions import ProxyError
from requests.exceptions import SSLError as RequestsSslError
from urllib3.exceptions import MaxRetryError
from urllib3.exceptions import ProxyError as Urllib3ProxyError
from urllib3.exceptions import SSLError as Urllib3SslError

from plldb.network_refusals import find_refusal, find_vpc_refusal

_URL = "http://user:secret@proxy.corp:3128"


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate in certificate chain"
    return error


def tunnel(status: str) -> OSError:
    return OSError(f"Tunnel connection failed: {status}")


def retried(error: Exception) -> MaxRetryError:
    return MaxRetryError(None, "/", error)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (untrusted(), "The certificate of the bucket is not trusted: self-signed"),
        (RequestsSslError(retried(Urllib3SslError(untrusted()))), "The certificate of the bucket"),
        (
            ProxyError(retried(Urllib3ProxyError("Unable to connect to proxy", untrusted()))),
            "The certificate of the proxy is not trusted",
        ),
        (
            ProxyConnectionError(
                proxy_url=_URL,
                error=Urllib3ProxyError("Unable to connect to proxy", tunnel("407 Authenticate")),
            ),
            r"The proxy on the way to the bucket .+ \(407\)",
        ),
        (ProxyError(retried(tunnel("403 Forbidden"))), r"let anybody through to the bucket \(403"),
        (HTTPClientError(error=tunnel("502 Bad Gateway")), r"\(502\)"),
    ],
)
def test_each_is_named_as_what_it_is(error: Exception, message: str) -> None:
    refusal = find_refusal("the bucket", error)
    assert refusal is not None
    assert refusal.hint
    assert "secret" not in refusal.message
    with pytest.raises(type(refusal), match=message):
        raise refusal


@pytest.mark.parametrize(
    "error",
    [
        OSError("Connection refused"),
        ConnectTimeoutError(endpoint_url="https://x"),
        ProxyConnectionError(proxy_url=_URL, error=OSError("Name or service not known")),
        ssl.SSLError(1, "wrong version number"),
    ],
)
def test_what_is_no_refusal(error: Exception) -> None:
    assert find_refusal("the bucket", error) is None


@pytest.mark.parametrize(
    ("headers", "is_vpcs"),
    [
        ({"x-amzn-ErrorType": "ForbiddenException"}, True),
        ({"X-Amzn-Errortype": "ForbiddenException:http://internal.amazon.com/coral/"}, True),
        ({"x-amzn-errortype": "AccessDeniedException"}, False),
        ({"x-amzn-errortype": "MissingAuthenticationTokenException"}, False),
        ({}, False),
    ],
)
def test_a_vpcs_endpoint_is_told_from_missing_rights(
    headers: dict[str, str], is_vpcs: bool
) -> None:
    refusal = find_vpc_refusal("POST https://api/sessions", headers)
    assert (refusal is not None) is is_vpcs
    if refusal is not None:
        assert "private DNS" in str(refusal.hint)
        assert "Allow these credentials" not in str(refusal.hint)
