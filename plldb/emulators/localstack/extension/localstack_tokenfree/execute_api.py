"""Every name of an API leads here: requests and upgrades are handed to what serves the API.

Earlier in LocalStack's chain than its own routes, which know REST APIs only, and leave what they
don't know to S3.
"""

import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from localstack.aws import handlers
from localstack.constants import AWS_REGION_US_EAST_1, DEFAULT_AWS_ACCOUNT_ID
from localstack.services.apigateway.models import apigateway_stores
from rolo import Request, Response

from .access import SignatureError, check_signature, is_allowed
from .access_logs import check_destination
from .addresses import Address, Mapped, find_address, managed_connection, split_stage
from .apigatewayv2.domains import DOMAINS
from .apigatewayv2.ignored import tell_what_is_ignored
from .apigatewayv2.store import STORE
from .http_api.answers import HttpAnswer, message
from .http_api.http_authorization import FORBIDDEN, Authorization
from .http_api.http_gateway import TOO_MANY_REQUESTS, HttpGateway
from .http_api.http_integrations import Functions
from .http_api.http_request import HttpRequest
from .http_api.outgoing import OF_THE_CONNECTION, read_json
from .http_api.signing_keys import SigningKeys
from .rest_iam import caller_identity
from .serving import INVOCATION_THREADS
from .websocket.conditions import Keys
from .websocket.events import new_trace_id
from .websocket.gateway import CONNECTIONS, connect
from .websocket.management import manage_connection
from .websocket.opening_handshake import UPGRADE_REQUIRED
from .websocket.policy import INVOKE
from .websocket.transport import refuse

UPGRADE = "WEBSOCKET"
NOT_FOUND = message(404, "Not Found")


def install() -> None:
    functions = Functions()
    authorization = Authorization(functions, SigningKeys(read_json))
    STORE.on_cache_reset(authorization.forget)
    STORE.on_stage_gone(CONNECTIONS.leave)
    STORE.also_check(check_destination)
    STORE.also_check(tell_what_is_ignored)
    handlers.preprocess_request.append(
        ExecuteApi(HttpGateway(STORE.find_stage, functions, authorization))
    )
    handlers.run_custom_finalizers.append(refuse_upgrade)


class ExecuteApi:
    """A handler of LocalStack's chain, which ends with it if the request is for one of ours."""

    def __init__(self, http_gateway: HttpGateway) -> None:
        self._http_gateway = http_gateway
        self._room = threading.BoundedSemaphore(max(1, INVOCATION_THREADS * 3 // 4))

    def __call__(self, chain: Any, context: Any, response: Response) -> None:
        answer = self._answer(context.request)
        if answer is not None:
            response.headers.clear()
            response.update_from(answer)
            handlers.log_response(chain, context, response)
            # An API's answer is its own. What comes next would add LocalStack's CORS headers to it.
            chain.terminate()

    def _answer(self, request: Any) -> Response | None:
        """None leaves the request to LocalStack, which serves REST APIs and all the rest."""
        host, path = request.host, _raw_path(request)
        if address := find_address(host, path):
            return self._by_name(request, address)
        domain = host.partition(":")[0]
        if not DOMAINS.has(domain):
            return None
        served = DOMAINS.find(domain, path)
        if served is None:
            forbidden = response_of(FORBIDDEN)
            return refuse(request, forbidden) if request.method == UPGRADE else forbidden
        if protocol_of(served.api_id) == "WEBSOCKET":
            return over_websocket(request, served.api_id, served.stage, served.path, True)
        mapped = Mapped(domain, served.stage, served.path)
        return self._over_http(request, Address(served.api_id, path), mapped)

    def _by_name(self, request: Any, address: Address) -> Response | None:
        protocol = protocol_of(address.api_id)
        if protocol == "HTTP" and request.method != UPGRADE:
            return self._over_http(request, address)
        if protocol == "WEBSOCKET":
            return over_websocket(request, address.api_id, *split_stage(address.path))
        if request.method == UPGRADE:
            return refuse(request, response_of(FORBIDDEN))
        if is_rest_api(address.api_id):
            return None
        unknown = f"The API id '{address.api_id}' does not correspond to a deployed API Gateway API"
        return response_of(message(404, unknown))

    def _over_http(
        self, request: Any, address: Address, mapped: Mapped | None = None
    ) -> Response | None:
        """Functions invoke others in turn, so some of the threads for invocations are left for
        that: who comes when the others are taken is throttled, as on AWS."""
        if request.method == UPGRADE:
            return refuse(request, response_of(FORBIDDEN))
        if not self._room.acquire(blocking=False):
            return response_of(TOO_MANY_REQUESTS)
        try:
            answer = self._http_gateway.handle(
                address.api_id,
                http_request(request, address.path),
                lambda arn, keys: identity_of(request, arn, keys),
                mapped,
            )
        finally:
            self._room.release()
        return response_of(answer)


def refuse_upgrade(_chain: Any, context: Any, _response: Response) -> None:
    """An upgrade for which there is nobody would get 200 and no body from rolo."""
    request = context.request
    if request.method == UPGRADE and not (request.is_upgraded() or request.is_rejected()):
        refuse(request, response_of(NOT_FOUND))


def _raw_path(request: Any) -> str:
    """The path as the client wrote it, of a request or an upgrade."""
    written = str(request.environ.get("RAW_URI") or quote(request.path))
    return written.partition("?")[0] if written.startswith("/") else urlsplit(written).path


def protocol_of(api_id: str) -> str | None:
    api = STORE.find_api(api_id)
    return str(api["ProtocolType"]) if api else None


def is_rest_api(api_id: str) -> bool:
    """LocalStack keeps all deployments in one place, whatever the account and region."""
    everywhere = apigateway_stores[DEFAULT_AWS_ACCOUNT_ID][AWS_REGION_US_EAST_1]
    return api_id in everywhere.active_deployments


def over_websocket(
    request: Any, api_id: str, stage: str, path: str, is_custom_domain: bool = False
) -> Response:
    """A stage takes upgrades, ``@connections`` below it the backend's calls; all else is
    forbidden. Slashes may be doubled, as clients do whose endpoint ends with one."""
    rest = [part for part in path.split("/") if part] or [""]
    if request.method == UPGRADE:
        if rest != [""] or not stage:
            return refuse(request, response_of(FORBIDDEN))
        return connect(request, api_id, stage, is_custom_domain)
    if connection_id := managed_connection(request.method, rest):
        return manage_connection(request, api_id, stage, connection_id)
    if rest == [""] and STORE.find_stage(api_id, stage):
        return response_of(UPGRADE_REQUIRED)
    return response_of(FORBIDDEN)


def http_request(request: Request, path: str) -> HttpRequest:
    """What the client sent, with the headers that API Gateway adds."""
    source_ip = request.remote_addr or "127.0.0.1"
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    names = {name for name, _ in headers}
    added = {
        "x-amzn-trace-id": new_trace_id(),
        "x-forwarded-for": source_ip,
        "x-forwarded-port": str(request.server[1] if request.server else ""),
        "x-forwarded-proto": request.scheme,
    }
    return HttpRequest(
        method=request.method,
        path=path,
        query=request.query_string.decode("latin-1"),
        headers=[*headers, *((n, v) for n, v in added.items() if n not in names)],
        body=request.get_data(),
        source_ip=source_ip,
        protocol=request.environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
    )


def identity_of(request: Any, arn: str, keys: Keys) -> Mapping[str, str] | None:
    """Who signed, if the signature holds and IAM allows it; else None."""
    try:
        access_key = check_signature(request)
    except SignatureError:
        return None
    if not is_allowed(access_key, INVOKE, arn, keys):
        return None
    return caller_identity(access_key, arn.split(":")[3])


def _as_latin_1(text: str) -> str:
    """Other text goes out in UTF-8; WSGI wants its bytes as if they were Latin-1."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode().decode("latin-1")
    return text


def response_of(answer: HttpAnswer) -> Response:
    response = Response(answer.body, status=answer.status)
    response.headers.clear()
    for name, value in answer.headers:
        if name not in OF_THE_CONNECTION:
            response.headers.add(name, _as_latin_1(value))
    return response
