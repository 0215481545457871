"""Inside functions, AWS's names of APIs lead to the emulator, for boto3 and botocore.

``boto3.client("apigatewaymanagementapi", endpoint_url=f"https://{domainName}/{stage}")`` is what
most applications do. The request goes to the emulator instead, signed as it is, with its own Host,
by which the emulator knows the API. Runs in the function's process: standard library only.
"""

import importlib.abc
import importlib.machinery
import re
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

PATCHED = "botocore.httpsession"
NAME = re.compile(
    r"[a-z0-9-]+\.execute-api\.([a-z0-9-]+\.amazonaws\.com(\.cn)?|localhost\.localstack\.cloud)(:\d+)?"
)


def install(endpoint: str) -> None:
    """``endpoint`` is the emulator's URL. Nothing is imported before the function does it."""
    if endpoint:
        sys.meta_path.insert(0, _Finder(endpoint))


def redirect(url: str, endpoint: str) -> tuple[str, str] | None:
    """-> the URL to call and the Host to say; None for a URL that is no API's."""
    host = urlsplit(url).netloc
    if not NAME.fullmatch(host.lower()):
        return None
    return endpoint.rstrip("/") + url.partition(host)[2], host


class _Finder(importlib.abc.MetaPathFinder):
    """Finds botocore's HTTP session as everybody does, whichever copy the function brings."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != PATCHED:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._endpoint)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any, endpoint: str) -> None:
        self._loader = loader
        self._endpoint = endpoint

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _redirect_requests_of(module.URLLib3Session, self._endpoint)


def _redirect_requests_of(session: Any, endpoint: str) -> None:
    send = session.send

    def send_to_emulator(self: Any, request: Any) -> Any:
        if redirected := redirect(request.url, endpoint):
            request.url, request.headers["Host"] = redirected
        return send(self, request)

    session.send = send_to_emulator
