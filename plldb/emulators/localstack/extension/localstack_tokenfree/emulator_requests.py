"""What LocalStack's own services send to an API by its name on AWS reaches the emulator.

Topics with ``https`` subscriptions, API destinations of event buses, Step Functions and HTTP
integrations of REST APIs send by ``requests``; their URLs are those of the template, which name an
API or a custom domain as AWS does.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from localstack import config
from localstack.utils.patch import patch
from requests import PreparedRequest, Response, Session

from .addresses import find_address
from .apigatewayv2.domains import DOMAINS

Send = Callable[..., Response]


def install() -> None:
    patch(Session.send)(_send)


def _send(original: Send, session: Session, request: PreparedRequest, **options: Any) -> Response:
    url = request.url or ""
    host = urlsplit(url).netloc
    if find_address(host, "") is None and not DOMAINS.has(host.partition(":")[0]):
        return original(session, request, **options)
    here = request.copy()
    here.url = config.internal_service_url() + url.partition("://")[2].removeprefix(host)
    here.headers.setdefault("Host", host)
    return original(session, here, **options | {"proxies": {}})
