"""What is wrong with a client's opening handshake, if anything. No sockets here.

API Gateway's documentation says nothing of it, so that the protocol's own rules hold:
https://www.rfc-editor.org/rfc/rfc6455#section-4.2
"""

import base64
import binascii
from collections.abc import Callable, Sequence

from ..http_api.answers import HttpAnswer, message

VERSION = "13"
KEY_BYTES = 16
BAD_REQUEST = message(400, "Bad Request")
# https://www.rfc-editor.org/rfc/rfc9110#name-426-upgrade-required
UPGRADE_REQUIRED = message(426, "Upgrade Required", ("upgrade", "websocket"))
OTHER_VERSION = message(
    426, "Upgrade Required", ("upgrade", "websocket"), ("sec-websocket-version", VERSION)
)


def refusal(
    method: str, protocol: str, values_of: Callable[[str], Sequence[str]]
) -> HttpAnswer | None:
    """How a request that asks for an upgrade is answered, or None if the upgrade may begin.

    ``protocol`` is like ``HTTP/1.1``; ``values_of`` has the values of a header by its name in lower
    case.
    """
    versions = list(values_of("sec-websocket-version"))
    keys = list(values_of("sec-websocket-key"))
    tokens = ",".join(values_of("connection")).lower().split(",")
    if (
        method != "GET"
        or protocol < "HTTP/1.1"
        or len(values_of("host")) != 1
        or "upgrade" not in (token.strip() for token in tokens)
        or len(versions) != 1
        or len(keys) != 1
        or not _is_nonce(keys[0])
    ):
        return BAD_REQUEST
    return None if versions[0] == VERSION else OTHER_VERSION


def _is_nonce(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == KEY_BYTES
    except (binascii.Error, ValueError):
        return False
