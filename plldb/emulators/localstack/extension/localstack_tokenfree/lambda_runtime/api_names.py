"""Inside functions, AWS's names of APIs and services lead to the emulator, for boto3 and botocore.

``boto3.client("apigatewaymanagementapi", endpoint_url=f"https://{domainName}/{stage}")`` is what
most applications do. The request goes to the emulator instead, signed as it is, with its own Host,
by which the emulator knows the API. So do signed requests to services by AWS's names: of clients
with an ``endpoint_url``, and of a botocore that is too old for ``AWS_ENDPOINT_URL``. Runs in the
function's process: standard library only.
"""

import importlib.abc
import importlib.machinery
import re
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

_PATCHED = "botocore.httpsession"
_URL = re.compile(r"[a-z]+://(?P<host>[a-z0-9.-]+(:\d+)?)(?P<rest>.*)", re.DOTALL | re.IGNORECASE)
_API = re.compile(r"[a-z0-9]+\.execute-api\.", re.IGNORECASE)
_SERVICE = re.compile(r"[a-z0-9.-]+\.amazonaws\.com(\.cn)?", re.IGNORECASE)
_SIGNED = "AWS4-HMAC-SHA256"


def install(endpoint: str) -> None:
    """``endpoint`` is the emulator's URL. Nothing is imported before the function does it."""
    if endpoint:
        sys.meta_path.insert(0, _Finder(endpoint.rstrip("/")))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds botocore's HTTP session as everybody does, whichever copy the function brings."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _PATCHED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        loader: Any = spec and spec.loader
        if loader is None:
            return None
        execute = loader.exec_module

        def execute_and_redirect(module: Any) -> None:
            execute(module)
            _redirect_requests_of(module.URLLib3Session, self._endpoint)

        loader.exec_module = execute_and_redirect
        return spec


def _redirect_requests_of(session: Any, endpoint: str) -> None:
    send = session.send

    def send_to_emulator(self: Any, request: Any) -> Any:
        named = _URL.fullmatch(request.url)
        if named and _leads_here(named["host"], request.headers.get("Authorization", "")):
            request.url = f"{endpoint}{named['rest']}"
            request.headers["Host"] = named["host"]
        return send(self, request)

    session.send = send_to_emulator


def _leads_here(host: str, authorization: str | bytes) -> bool:
    if _API.match(host):
        return True
    text = authorization if isinstance(authorization, str) else authorization.decode("latin-1")
    return bool(_SERVICE.fullmatch(host)) and text.startswith(_SIGNED)
