"""Which API a request is for: by the host that AWS gives it, or by a path on any host. No I/O.

==========================================  ===============================================
``{api}.execute-api.{region}.amazonaws.com``  what AWS calls it: clients that reach this machine
                                              by another way keep it as their Host
``{api}.execute-api.localhost.localstack.cloud``  a public name for 127.0.0.1
``/_aws/execute-api/{api}/...``               on any host
==========================================  ===============================================
"""

import re
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


def name_on_aws(api_id: str, region: str) -> str:
    """The host that AWS gives an API."""
    return f"{api_id}.execute-api.{region}.amazonaws.com"


def split_stage(path: str) -> tuple[str, str]:
    """``/dev/pets/1`` -> ``dev`` and ``/pets/1``; ``/%24default/`` -> ``$default`` and ``/``."""
    stage, _, rest = path.removeprefix("/").partition("/")
    return unquote(stage), f"/{rest}"
