"""Who signed a request. Presence only: signatures are not verified, as elsewhere in LocalStack."""

import re
from typing import Any

CREDENTIAL = re.compile(r"^AWS4-HMAC-SHA256 .*?Credential=([^/,\s]+)/")


def access_key_of(request: Any) -> str | None:
    """The access key of a request signed with SigV4, in its header or its query; else None."""
    if match := CREDENTIAL.match(request.headers.get("Authorization", "")):
        return match[1]
    if request.args.get("X-Amz-Signature"):
        credential: str = request.args.get("X-Amz-Credential", "")
        return credential.partition("/")[0] or None
    return None
