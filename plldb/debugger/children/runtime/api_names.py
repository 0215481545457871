"""On an emulator, the names that AWS gives APIs lead to it, for boto3 and botocore.

``boto3.client("apigatewaymanagementapi", endpoint_url=f"https://{domainName}/{stage}")`` is how
most WebSocket applications reach their clients. Nobody answers there: the request goes to the
emulator, signed as it is and with its own Host, by which the emulator knows the API.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from .import_hook import ImportHook

if TYPE_CHECKING:
    from types import ModuleType

# What plldb sets for an emulator, and for nothing else.
_ENDPOINT = "AWS_ENDPOINT_URL"
_API = re.compile(
    r"[a-z]+://(?P<host>[a-z0-9]+\.execute-api\.[a-z0-9.-]+(:\d+)?)(?P<rest>.*)", re.I
)


def lead_to_emulator() -> None:
    ImportHook({"botocore.httpsession": _redirect_requests}).install()


def _redirect_requests(httpsession: ModuleType) -> None:
    send = httpsession.URLLib3Session.send

    def send_to_emulator(session: Any, request: Any) -> Any:
        named = _API.fullmatch(request.url)
        endpoint = os.environ.get(_ENDPOINT)
        if named and endpoint:
            request.url = endpoint.rstrip("/") + named["rest"]
            request.headers["Host"] = named["host"]
        return send(session, request)

    httpsession.URLLib3Session.send = send_to_emulator
