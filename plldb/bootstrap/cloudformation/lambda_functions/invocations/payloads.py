"""Events and results that are too large for a record: objects in the artifacts bucket.

They pass through presigned URLs, so that neither functions nor debuggers need a right in S3.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any, Protocol

# A URL that somebody waits for is used at once.
_EXPIRES_SECONDS = 900


class Payloads(Protocol):
    def new_upload(self) -> dict[str, str]:
        """``{"key", "url"}``: PUT the payload to the URL, then name it by its key."""
        ...

    def download_url(self, key: str) -> str: ...

    def is_key(self, text: str) -> bool:
        """Whether it has the form of a key that ``new_upload`` gave."""
        ...


class S3Payloads:
    """``client`` gives a boto3 S3 client; presigning makes no call."""

    def __init__(self, client: Callable[[], Any], bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._key = re.compile(re.escape(prefix) + r"[0-9a-f]{32}")

    def new_upload(self) -> dict[str, str]:
        key = f"{self._prefix}{uuid.uuid4().hex}"
        return {"key": key, "url": self._presigned("put_object", key)}

    def download_url(self, key: str) -> str:
        return self._presigned("get_object", key)

    def is_key(self, text: str) -> bool:
        return self._key.fullmatch(text) is not None

    def _presigned(self, operation: str, key: str) -> str:
        return str(
            self._client().generate_presigned_url(
                operation,
                Params={"Bucket": self._bucket, "Key": key},
                ExpiresIn=_EXPIRES_SECONDS,
            )
        )
