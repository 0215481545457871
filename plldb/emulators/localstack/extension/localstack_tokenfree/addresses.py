"""Which API a request is for: by the host that AWS gives it, or by a path on any host. No I/O.

==========================================  ===============================================
``{api}.execute-api.{region}.amazonaws.com``  what AWS calls it: clients that reach this machine
                                              by another way keep it as their Host
``{api}.execute-api.localhost.localstack.cloud``  a public name for 127.0.0.1
``/_aws/execute-api/{api}/...``               on any host
==========================================  ===============================================
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

_HOST = re.compile(r"(?P<api>[a-z0-9-]+)\.execute-api\.[a-z0-9.-]+(:\d+)?", re.IGNORECASE)
_PATH = re.compile(r"/_aws/execute-api/(?P<api>[^/]+)(?P<rest>/.*)?", re.DOTALL)
_PRIVATE = re.compile(r".*-?vpce-", re.IGNORECASE)


@dataclass(frozen=True)
class Address:
    """``path`` is what follows the API, as the client wrote it; it begins with a slash."""

    api_id: str
    path: str


@dataclass(frozen=True)
class Mapped:
    """Where a custom domain's mapping leads: a stage, and the rest of the path."""

    domain: str
    stage: str
    path: str


def find_address(host: str, path: str) -> Address | None:
    """None for every request that is not for an API. Names of VPC endpoints are LocalStack's."""
    if match := _PATH.fullmatch(path):
        return Address(match["api"].lower(), match["rest"] or "/")
    match = _HOST.fullmatch(host)
    if match is None or _PRIVATE.match(match["api"]):
        return None
    return Address(match["api"].lower(), path or "/")


def managed_connection(method: str, parts: Sequence[str]) -> str | None:
    """The id of the connection that a request to ``@connections/ID`` is about, whose parts are as
    the client wrote them; None for other requests.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    apigateway-how-to-call-websocket-api-connections.html
    """
    is_known = method in ("DELETE", "GET", "POST")
    if is_known and len(parts) == 2 and unquote(parts[0]) == "@connections":
        return unquote(parts[1])
    return None


def name_on_aws(api_id: str, region: str) -> str:
    """The host that AWS gives an API."""
    return f"{api_id}.execute-api.{region}.amazonaws.com"


def split_stage(path: str) -> tuple[str, str]:
    """``/dev/pets/1`` -> ``dev`` and ``/pets/1``; ``/%24default/`` -> ``$default`` and ``/``."""
    stage, _, rest = path.removeprefix("/").partition("/")
    return unquote(stage), f"/{rest}"
