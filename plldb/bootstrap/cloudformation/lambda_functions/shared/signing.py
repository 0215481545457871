"""Signature Version 4, for the few requests that an invocation waits for.

botocore derives the key anew for each request, and looks for what may be signed in many ways; here
it is derived once a day, and all headers are signed.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"
_END = "aws4_request"


def sign_post(
    credentials: Any,
    service: str,
    region: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
) -> dict[str, str]:
    """The headers of a POST, with its signature among them.

    ``credentials`` are botocore's, frozen. The URL has no query.
    """
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    where = urlsplit(url)
    signed = {"Host": where.netloc, **headers, "X-Amz-Date": now}
    if credentials.token:
        signed["X-Amz-Security-Token"] = credentials.token
    lines = sorted((name.lower(), value.strip()) for name, value in signed.items())
    names = ";".join(name for name, _ in lines)
    request = "\n".join(
        [
            "POST",
            # What is encoded in a URL is so once more here, of all services but S3.
            quote(where.path or "/", safe="/~"),
            "",
            *(f"{name}:{value}" for name, value in lines),
            "",
            names,
            sha256(body).hexdigest(),
        ]
    )
    day = now[:8]
    scope = f"{day}/{region}/{service}/{_END}"
    text = "\n".join([_ALGORITHM, now, scope, sha256(request.encode()).hexdigest()])
    key = _derive_key(credentials.secret_key, day, region, service)
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    signed["Authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return signed


@lru_cache(maxsize=8)
def _derive_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, _END):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
