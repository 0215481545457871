"""Signatures as botocore makes them are found, and held against the secret."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from localstack_tokenfree.signatures import access_key_of, is_genuine, signature_of

KEY, SECRET = "AKIAEXAMPLE", "secret/with+signs"
URL = "http://localhost:4566/_aws/execute-api/abc/test"
# The last is one letter and an umlaut, as it goes over the wire.
PATHS = ["", "/@connections/a%3D", "?b=2&a=1", "?text=a%20b%2Bc&empty=", "/%C3%BC"]


class Headers(dict[str, str]):
    """Names in any case, one value each."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)

    def getlist(self, name: str) -> list[str]:
        return [self[name]] if name in self else []


def received(request: AWSRequest, method: str | None = None) -> Any:
    """The signed request as the emulator sees it."""
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    headers = Headers({name.lower(): _text(each) for name, each in prepared.headers.items()})
    headers.setdefault("host", parts.netloc)
    return SimpleNamespace(
        method=method or request.method,
        headers=headers,
        args=dict(parse_qsl(parts.query)),
        environ={"RAW_URI": f"{parts.path}?{parts.query}" if parts.query else parts.path},
        get_data=lambda: request.body or b"",
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_signature_in_the_header(path: str, method: str) -> None:
    data = b"hello" if method == "POST" else b""
    request = AWSRequest(method, URL + path, data=data)
    SigV4Auth(Credentials(KEY, SECRET), "execute-api", "us-east-1").add_auth(request)
    seen = received(request)
    signature = signature_of(seen)
    assert signature is not None
    assert access_key_of(seen) == KEY
    assert is_genuine(signature, seen, SECRET)
    assert not is_genuine(signature, seen, "another")
    seen.get_data = lambda: b"changed"
    assert not is_genuine(signature, seen, SECRET)


@pytest.mark.parametrize("path", ["", "?b=2&a=1"])
def test_signature_in_the_query_of_a_handshake(path: str) -> None:
    request = AWSRequest("GET", URL + path)
    credentials = Credentials(KEY, SECRET, "session-token")
    SigV4QueryAuth(credentials, "execute-api", "us-east-1", expires=60).add_auth(request)
    seen = received(request, method="WEBSOCKET")
    signature = signature_of(seen)
    assert signature is not None
    assert is_genuine(signature, seen, SECRET)
    now = datetime.now(UTC)
    assert not signature.has_expired(now)
    assert signature.has_expired(now + timedelta(seconds=120))


@pytest.mark.parametrize(
    "header", ["", "Bearer token", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=only"]
)
def test_unsigned(header: str) -> None:
    request = SimpleNamespace(headers={"Authorization": header}, args={})
    assert signature_of(request) is None
