"""Connecting: admission, ``$connect``, then the socket; and the routes of its messages."""

import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from rolo import Response
from rolo.websocket import WebSocketDisconnectedError, WebSocketRequest

from ..access_log_line import integration_variables, outcome
from ..access_logs import ACCESS_LOGS
from ..apigatewayv2.store import STORE, Record, StageView
from ..throttling import THROTTLE
from . import events
from .admission import (
    TOO_MANY,
    Admitted,
    RefusedError,
    admit,
    forbidden,
    is_true,
    refuse_if_closed,
    require_api_key,
    scope_of,
)
from .events import ConnectionFacts, Event, Handshake
from .executors import DeadlineError, within
from .expressions import Scope, select_route_key
from .functions import IntegrationError
from .integrations import Call, Reply, call_integration
from .request_models import is_valid
from .transport import ABNORMAL, DISCONNECT_TURNS, Socket, refuse

LOG = logging.getLogger(__name__)
TRACE_HEADER = "X-Amzn-Trace-Id"


class MessageError(Exception):
    """API Gateway answers a message with this text instead of the route's integration; ``fault`` is
    what is behind it, for the access log."""

    def __init__(self, text: str, status: int, fault: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.fault = fault


@dataclass
class Connection:
    """An accepted connection. Routes are looked up anew each time: a deployment takes effect.

    ``last_stage`` is what its stage was, once that is deleted.
    """

    facts: ConnectionFacts
    authorizer: Mapping[str, Any] | None
    socket: Socket = field(init=False)
    last_stage: StageView | None = None

    def stage(self) -> StageView | None:
        return STORE.find_stage(self.facts.api_id, self.facts.stage)

    def on_message(self, message: str) -> None:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/
        websocket-api-develop-routes.html
        """
        stage = self.stage()
        if stage is None:
            self._send_error("Forbidden", events.new_id())
            return
        facts = facts_now(self.facts, stage)
        context = events.message_context(facts, self.authorizer)
        scope = replace(scope_of(facts, context), body=message)
        try:
            route = chosen_route(stage, scope)
            context["routeKey"] = route["RouteKey"]
            event = events.message_event(facts, context, message)
            reply = answer_message(stage, route, event, scope)
        except MessageError as error:
            self._send_error(str(error), context["requestId"])
            failed = integration_variables(None, None, error.fault)
            ACCESS_LOGS.write(stage, context, failed, outcome(error.status, str(error)))
        else:
            if reply.body is not None and is_two_way(stage, route):
                self.socket.send(reply.body)
            log_reply(stage, context, reply)

    def on_close(self, code: int, reason: str) -> None:
        """AWS delivers ``$disconnect`` at best once, and nobody hears of its failure."""
        stage = self.stage() or self.last_stage
        if stage is None:
            return
        facts = facts_now(self.facts, stage)
        event = events.disconnect_event(facts, self.authorizer, code, reason)
        context = event["requestContext"]
        reply = Reply(200)
        try:
            if route := stage.configuration.routes.get("$disconnect"):
                reply = call_route(stage, route, event, scope_of(facts, context))
        except (IntegrationError, DeadlineError) as error:
            fault = str(error) or "it took too long"
            LOG.warning("$disconnect of %s failed: %s", stage.api_id, fault)
            failed = integration_variables(None, None, fault)
            ACCESS_LOGS.write(stage, context, failed, outcome(500))
        else:
            log_reply(stage, context, reply)

    def leave(self, stage: StageView) -> None:
        """Its stage, which was ``stage``, is deleted. AWS does not say what becomes of its clients:
        by analogy they are closed as those that reach a time limit, and ``$disconnect`` is tried.
        """
        self.last_stage = stage
        self.socket.go_away()

    def _send_error(self, message: str, request_id: str) -> None:
        self.socket.send(json.dumps(events.error_message(self.facts, message, request_id)))


def facts_now(facts: ConnectionFacts, stage: StageView) -> ConnectionFacts:
    """The stage's variables may have changed since the connection was opened."""
    return replace(facts, stage_variables=stage.variables)


def log_reply(stage: StageView, context: Event, reply: Reply) -> None:
    integration = integration_variables(reply.status, reply.milliseconds)
    ACCESS_LOGS.write(stage, context, integration, outcome(reply.status))


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

    def leave(self, stage: StageView) -> None:
        """Close those of a stage that is deleted, and was ``stage``."""
        with self._lock:
            everybody = list(self._connections.values())
        for connection in everybody:
            if (connection.facts.api_id, connection.facts.stage) == (stage.api_id, stage.name):
                connection.leave(stage)


CONNECTIONS = Connections()


def connect(
    request: WebSocketRequest, api_id: str, stage: str, is_custom_domain: bool = False
) -> Response:
    """Open a connection to a stage, by its own names or by a custom domain.

    Returns as soon as the socket is open; no thread waits for messages.
    """
    try:
        view = STORE.find_stage(api_id, stage)
        if view is None:
            raise forbidden()
        if not is_custom_domain:
            refuse_if_closed(view)
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
    request_id = events.new_id()
    admitted = Admitted(facts, None, events.connect_context(facts, None, request_id))
    reply = Reply(200)
    try:
        if route := stage.configuration.routes.get("$connect"):
            admitted = admit(request, stage, route, facts, request_id)
            reply = run_connect(stage, route, admitted)
    except RefusedError as refusal:
        ACCESS_LOGS.write(stage, admitted.context, outcome(refusal.status, refusal.says))
        raise
    log_reply(stage, admitted.context, reply)
    connection = Connection(admitted.facts, admitted.authorizer)

    def register(socket: Socket) -> None:
        connection.socket = socket
        CONNECTIONS.add(connection)

    try:
        Socket.accept(
            request,
            chosen_subprotocol(reply),
            listener=connection,
            register=register,
            on_gone=lambda: CONNECTIONS.remove(connection),
        )
    except WebSocketDisconnectedError:  # after $connect, which may have made a record of it
        DISCONNECT_TURNS.submit(connection.on_close, ABNORMAL, "")
        raise
    if connection.stage() is None:  # deleted while $connect ran
        connection.leave(stage)


def handshake_of(request: WebSocketRequest) -> Handshake:
    source_ip = request.remote_addr or ""
    added = [
        ("X-Forwarded-For", source_ip),
        ("X-Forwarded-Port", str(request.server[1] if request.server else "")),
        ("X-Forwarded-Proto", "https" if request.scheme in ("https", "wss") else "http"),
    ]
    if TRACE_HEADER not in request.headers:
        added.append((TRACE_HEADER, events.new_trace_id()))
    hop_by_hop = ("connection", "upgrade")
    headers = [(k, v) for k, v in request.headers.items() if k.lower() not in hop_by_hop]
    return Handshake(
        headers=headers + added,
        query=dict(request.args.lists()),
        source_ip=source_ip,
    )


def run_connect(stage: StageView, route: Record, admitted: Admitted) -> Reply:
    """The reply of ``$connect``. Only a 2xx lets the client in; other statuses reach it."""
    facts, context = admitted.facts, admitted.context
    request_id = context["requestId"]
    event = events.connect_event(facts, context)
    scope = scope_of(facts, context)
    try:
        reply = call_route(stage, route, event, scope)
    except DeadlineError as error:
        failure = events.error_message(facts, "Endpoint request timed out", request_id)
        raise RefusedError(504, failure) from error
    except IntegrationError as error:
        LOG.warning("$connect of %s failed: %s", stage.api_id, error)
        failure = events.error_message(facts, "Internal server error", request_id)
        raise RefusedError(502, failure) from error
    if not 200 <= reply.status < 300:
        body = reply.body or ""
        says = body if isinstance(body, str) else body.decode(errors="replace")
        raise RefusedError(reply.status, says)
    return reply


def chosen_subprotocol(reply: Reply) -> str | None:
    """``$connect`` picks one by answering with the Sec-WebSocket-Protocol header.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    websocket-connect-route-subprotocol.html
    """
    headers = {name.lower(): value for name, value in (reply.headers or {}).items()}
    protocol = headers.get("sec-websocket-protocol")
    return protocol if isinstance(protocol, str) else None


def chosen_route(stage: StageView, scope: Scope) -> Record:
    """Raises MessageError if the message is for none, or for one that is throttled."""
    configuration = stage.configuration
    key = select_route_key(configuration.api["RouteSelectionExpression"], scope)
    routes = configuration.routes
    route = (routes.get(key) if key else None) or routes.get("$default")
    if route is None:
        raise MessageError("Forbidden", 403)
    if not THROTTLE.admits(stage.settings, stage.api_id, stage.name, route["RouteKey"]):
        raise MessageError(TOO_MANY, 429)
    return route


def answer_message(stage: StageView, route: Record, event: Event, scope: Scope) -> Reply:
    """What the integration makes of a message. Raises MessageError."""
    if is_true(route.get("ApiKeyRequired")):
        try:
            require_api_key(stage, scope)
        except RefusedError as error:
            raise MessageError("Forbidden", 403) from error
    if not is_valid(route, stage.configuration.models, scope):
        raise MessageError("Invalid request body", 400)
    try:
        return call_route(stage, route, event, scope)
    except DeadlineError as error:
        raise MessageError("Endpoint request timed out", 504, "it took too long") from error
    except IntegrationError as error:
        LOG.warning("Route %s of %s failed: %s", route["RouteKey"], stage.api_id, error)
        raise MessageError("Internal server error", 500, str(error)) from error


def call_route(stage: StageView, route: Record, event: Event, scope: Scope) -> Reply:
    """Within the integration's time limit, after which it goes on alone: DeadlineError."""
    integration_id = (route.get("Target") or "").removeprefix("integrations/")
    integration = stage.configuration.integrations.get(integration_id)
    if integration is None:
        raise IntegrationError(f"route {route['RouteKey']} has no integration")
    call = Call(stage, route, integration, event, scope)
    began = time.monotonic()
    reply = within(call.timeout_seconds, lambda: call_integration(call))
    return replace(reply, milliseconds=int((time.monotonic() - began) * 1000))


def is_two_way(stage: StageView, route: Record) -> bool:
    """Whether something goes back to the client: the route has a response, or, without one, at
    least the expression that would select it.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    apigateway-websocket-api-route-response.html
    """
    responses = stage.configuration.route_responses.get(route["RouteId"])
    return bool(responses or route.get("RouteResponseSelectionExpression"))
