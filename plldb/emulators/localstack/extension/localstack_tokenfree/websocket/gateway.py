"""Connecting: authorizer, ``$connect``, then the socket; and the routes of its messages."""

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rolo import Response
from rolo.websocket import WebSocketDisconnectedError, WebSocketRequest

from ..apigatewayv2.store import STORE, Record, StageView
from . import events, policy
from .events import ConnectionFacts, Event, Handshake
from .expressions import has_identity, select_route_key
from .integrations import IntegrationError, call_function, call_integration, status_of
from .transport import Socket, refuse

LOG = logging.getLogger(__name__)


class RefusedError(Exception):
    """The handshake ends with this response instead of a WebSocket."""

    def __init__(self, status: int, body: Mapping[str, Any] | str) -> None:
        super().__init__(status)
        self.status = status
        self.body = body if isinstance(body, str) else json.dumps(body)

    def response(self) -> Response:
        return Response(self.body, status=self.status, mimetype="application/json")


@dataclass
class Connection:
    """An accepted connection. Routes are looked up anew each time: a deployment takes effect."""

    facts: ConnectionFacts
    authorizer: Mapping[str, Any] | None
    socket: Socket = field(init=False)

    def stage(self) -> StageView | None:
        return STORE.find_stage(self.facts.api_id, self.facts.stage)

    def on_message(self, message: str | bytes) -> None:
        stage = self.stage()
        route = select_route(stage, message) if stage else None
        if stage is None or route is None:
            self._send_error("Forbidden", events.new_id())
            return
        event = events.message_event(self.facts, self.authorizer, route["RouteKey"], message)
        try:
            answer = call_route(stage, route, event)
        except IntegrationError as error:
            LOG.warning("Route %s of %s failed: %s", route["RouteKey"], stage.api_id, error)
            self._send_error("Internal server error", event["requestContext"]["requestId"])
            return
        if (body := response_body(route, answer)) is not None:
            self.socket.send(body)

    def on_close(self, code: int, reason: str) -> None:
        """AWS delivers ``$disconnect`` at best once, and nobody hears of its failure."""
        stage = self.stage()
        route = stage.configuration.routes.get("$disconnect") if stage else None
        if stage is None or route is None:
            return
        event = events.disconnect_event(self.facts, self.authorizer, code, reason)
        try:
            call_route(stage, route, event)
        except IntegrationError as error:
            LOG.warning("$disconnect of %s failed: %s", stage.api_id, error)

    def _send_error(self, message: str, request_id: str) -> None:
        self.socket.send(json.dumps(events.error_message(self.facts, message, request_id)))


class Connections:
    """Everybody who is connected now, by connection id."""

    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connection: Connection) -> None:
        with self._lock:
            self._connections[connection.facts.connection_id] = connection

    def remove(self, connection: Connection) -> None:
        with self._lock:
            self._connections.pop(connection.facts.connection_id, None)

    def find(self, api_id: str, stage: str, connection_id: str) -> Connection | None:
        connection = self._connections.get(connection_id)
        if connection and (connection.facts.api_id, connection.facts.stage) == (api_id, stage):
            return connection
        return None


CONNECTIONS = Connections()


def connect(request: WebSocketRequest, api_id: str, stage: str) -> Response:
    """Endpoint of ``ws://HOST/_aws/execute-api/{api_id}/{stage}``.

    Returns as soon as the socket is open; no thread waits for messages.
    """
    try:
        view = STORE.find_stage(api_id, stage)
        if view is None:
            raise RefusedError(403, {"message": "Forbidden"})
        open_connection(request, view)
    except RefusedError as refusal:
        return refuse(request, refusal.response())
    except WebSocketDisconnectedError:
        LOG.debug("A client of %s left during the handshake", api_id)
    return Response(status=101)


def open_connection(request: WebSocketRequest, stage: StageView) -> None:
    facts = ConnectionFacts(
        connection_id=events.new_id(),
        api_id=stage.api_id,
        region=stage.region,
        stage=stage.name,
        stage_variables=stage.variables,
        connected_at=datetime.now(UTC),
        handshake=handshake_of(request),
    )
    authorizer = None
    subprotocol = None
    if route := stage.configuration.routes.get("$connect"):
        authorizer = authorize(stage, route, facts)
        answer = run_connect(stage, route, facts, authorizer)
        subprotocol = chosen_subprotocol(answer)
    connection = Connection(facts, authorizer)

    def register(socket: Socket) -> None:
        connection.socket = socket
        CONNECTIONS.add(connection)

    Socket.accept(
        request,
        subprotocol,
        listener=connection,
        register=register,
        on_gone=lambda: CONNECTIONS.remove(connection),
    )


def handshake_of(request: WebSocketRequest) -> Handshake:
    source_ip = request.remote_addr or ""
    forwarded = [
        ("X-Forwarded-For", source_ip),
        ("X-Forwarded-Port", str(request.server[1] if request.server else "")),
        ("X-Forwarded-Proto", "https" if request.scheme in ("https", "wss") else "http"),
    ]
    hop_by_hop = ("connection", "upgrade")
    headers = [(k, v) for k, v in request.headers.items() if k.lower() not in hop_by_hop]
    return Handshake(
        headers=headers + forwarded,
        query=dict(request.args.lists()),
        source_ip=source_ip,
    )


def authorize(stage: StageView, route: Record, facts: ConnectionFacts) -> dict[str, Any] | None:
    """Run the REQUEST authorizer of ``$connect``, if it has one.

    401 without its identity sources, 403 when denied, 500 when it fails:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    apigateway-websocket-api-lambda-auth.html
    """
    if route.get("AuthorizationType") != "CUSTOM":
        return None
    authorizer = stage.configuration.authorizers.get(route.get("AuthorizerId", ""))
    if authorizer is None:
        raise RefusedError(500, {"message": None})
    handshake = facts.handshake
    sources = authorizer.get("IdentitySource") or []
    if not has_identity(
        sources, handshake.single_headers(), handshake.single_query(), stage.variables
    ):
        raise RefusedError(401, {"message": "Unauthorized"})
    method_arn = f"{stage.arn}/$connect"
    event = events.authorizer_event(facts, method_arn)
    request_id = event["requestContext"]["requestId"]
    began = datetime.now(UTC)
    try:
        answer = call_function(authorizer["AuthorizerUri"], stage.region, event)
        verdict = policy.evaluate(answer, method_arn)
        context = policy.context(answer)
    except (IntegrationError, policy.MalformedAnswerError) as error:
        if getattr(error, "message", "") == "Unauthorized":  # how a function asks for a 401
            raise RefusedError(401, {"message": "Unauthorized"}) from error
        LOG.warning("The authorizer of %s failed: %s", stage.api_id, error)
        failure = events.error_message(facts, "Internal server error", request_id)
        raise RefusedError(500, failure) from error
    if verdict is not policy.Verdict.ALLOW:
        raise RefusedError(403, {"Message": denial(verdict)})
    latency = int((datetime.now(UTC) - began).total_seconds() * 1000)
    return context | {"integrationLatency": latency}


def denial(verdict: policy.Verdict) -> str:
    explicit = " with an explicit deny" if verdict is policy.Verdict.DENY else ""
    return f"User is not authorized to access this resource{explicit}"


def run_connect(
    stage: StageView, route: Record, facts: ConnectionFacts, authorizer: dict[str, Any] | None
) -> Any:
    """The answer of ``$connect``. Only a 2xx lets the client in; other statuses reach it."""
    event = events.connect_event(facts, authorizer)
    try:
        answer = call_route(stage, route, event)
        status = status_of(answer)
    except IntegrationError as error:
        LOG.warning("$connect of %s failed: %s", stage.api_id, error)
        request_id = event["requestContext"]["requestId"]
        failure = events.error_message(facts, "Internal server error", request_id)
        raise RefusedError(502, failure) from error
    if not 200 <= status < 300:
        raise RefusedError(status, str(answer.get("body") or ""))
    return answer


def chosen_subprotocol(answer: Any) -> str | None:
    """``$connect`` picks one by answering with the Sec-WebSocket-Protocol header.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    websocket-connect-route-subprotocol.html
    """
    headers = answer.get("headers") or {}
    return {name.lower(): value for name, value in headers.items()}.get("sec-websocket-protocol")


def select_route(stage: StageView, message: str | bytes) -> Record | None:
    configuration = stage.configuration
    key = select_route_key(configuration.api["RouteSelectionExpression"], message)
    routes = configuration.routes
    return (routes.get(key) if key else None) or routes.get("$default")


def call_route(stage: StageView, route: Record, event: Event) -> Any:
    integration_id = (route.get("Target") or "").removeprefix("integrations/")
    integration = stage.configuration.integrations.get(integration_id)
    if integration is None:
        raise IntegrationError(f"route {route['RouteKey']} has no integration")
    return call_integration(integration, stage.region, event)


def response_body(route: Record, answer: Any) -> str | None:
    """What a two-way route sends back: the body, where the route has a response expression."""
    if not route.get("RouteResponseSelectionExpression") or not isinstance(answer, Mapping):
        return None
    body = answer.get("body")
    return body if isinstance(body, str) else None
