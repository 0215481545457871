"""Who signed a request, and whether the signature is that of the secret.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

from botocore.utils import normalize_url_path

ALGORITHM = "AWS4-HMAC-SHA256"
PART = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]+)")
EMPTY_HASH = hashlib.sha256(b"").hexdigest()
UNRESERVED = "-_.~"


@dataclass(frozen=True)
class Signature:
    """What a request says of its signature. ``scope`` is ``DATE/REGION/SERVICE/aws4_request``."""

    access_key: str
    scope: str
    signed_headers: tuple[str, ...]
    value: str
    timestamp: str
    expires_seconds: int | None = None

    @property
    def is_in_query(self) -> bool:
        return self.expires_seconds is not None

    def has_expired(self, now: datetime) -> bool:
        """Of a presigned URL only. One whose time can't be read has."""
        if self.expires_seconds is None:
            return False
        try:
            signed_at = datetime.strptime(self.timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            return True
        return now > signed_at + timedelta(seconds=self.expires_seconds)


def access_key_of(request: Any) -> str | None:
    """The access key of a request signed with SigV4, in its header or its query; else None."""
    signature = signature_of(request)
    return signature.access_key if signature else None


def signature_of(request: Any) -> Signature | None:
    """The signature of an HTTP or WebSocket request, from its header or its query; else None."""
    header = request.headers.get("Authorization", "")
    if header.startswith(ALGORITHM):
        parts = dict(PART.findall(header))
        timestamp = request.headers.get("X-Amz-Date", "")
        return _signature(parts, timestamp, None)
    if request.args.get("X-Amz-Signature"):
        parts = {
            name: request.args.get(f"X-Amz-{name}", "")
            for name in ("Credential", "SignedHeaders", "Signature")
        }
        expires = request.args.get("X-Amz-Expires", "")
        seconds = int(expires) if expires.isdecimal() else 0
        return _signature(parts, request.args.get("X-Amz-Date", ""), seconds)
    return None


def _signature(
    parts: dict[str, str], timestamp: str, expires_seconds: int | None
) -> Signature | None:
    access_key, _, scope = parts.get("Credential", "").partition("/")
    if not access_key or not scope:
        return None
    return Signature(
        access_key=access_key,
        scope=scope,
        signed_headers=tuple(parts.get("SignedHeaders", "").lower().split(";")),
        value=parts.get("Signature", ""),
        timestamp=timestamp,
        expires_seconds=expires_seconds,
    )


def is_genuine(signature: Signature, request: Any, secret: str) -> bool:
    """Whether ``secret`` gives this signature for the request as it was received."""
    canonical = canonical_request(signature, request)
    text = "\n".join((ALGORITHM, signature.timestamp, signature.scope, _hash(canonical.encode())))
    key = f"AWS4{secret}".encode()
    for part in signature.scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    expected = hmac.digest(key, text.encode(), "sha256").hex()
    return hmac.compare_digest(expected.encode(), signature.value.encode())


def canonical_request(signature: Signature, request: Any) -> str:
    path, _, query = request.environ["RAW_URI"].partition("?")
    headers = [f"{name}:{_header(request, name)}" for name in signature.signed_headers]
    return "\n".join(
        (
            "GET" if request.method == "WEBSOCKET" else request.method,
            quote(normalize_url_path(path), safe=f"/{UNRESERVED}"),
            "&".join(f"{name}={value}" for name, value in sorted(_pairs(query))),
            *headers,
            "",
            ";".join(signature.signed_headers),
            _payload_hash(request),
        )
    )


def _pairs(query: str) -> Iterable[tuple[str, str]]:
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name and name != "X-Amz-Signature":
            yield _encoded(name), _encoded(value)


def _encoded(text: str) -> str:
    return quote(unquote(text), safe=UNRESERVED)


def _header(request: Any, name: str) -> str:
    return ",".join(" ".join(value.split()) for value in request.headers.getlist(name))


def _payload_hash(request: Any) -> str:
    if request.method == "WEBSOCKET":
        return EMPTY_HASH
    return _hash(request.get_data())


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
