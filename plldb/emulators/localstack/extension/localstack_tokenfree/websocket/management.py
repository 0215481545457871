"""``@connections``: what the backend can do with a connection.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
apigateway-how-to-call-websocket-api-connections.html
"""

import json
from datetime import UTC, datetime
from typing import Any

from rolo import Request, Response

from ..access import SignatureError, check_signature, objection
from ..apigatewayv2.store import STORE
from ..settings import SETTINGS
from .conditions import request_keys
from .events import is_id
from .gateway import CONNECTIONS, Connection

ACTION = "execute-api:ManageConnections"


def manage_connection(request: Request, api_id: str, stage: str, connection_id: str) -> Response:
    """POST sends to the client, DELETE disconnects it, GET tells about it."""
    if refusal := _refusal(request, api_id, stage, connection_id):
        return refusal
    connection = CONNECTIONS.find(api_id, stage, connection_id)
    if connection is None:
        return _error(410, "GoneException", "Gone")
    match request.method:
        case "POST":
            return _post(connection, request.get_data())
        case "DELETE":
            connection.socket.close(1000, "Connection Closed Normally")
            return Response(status=204)
        case _:
            return _json(200, _describe(connection))


def _refusal(request: Request, api_id: str, stage: str, connection_id: str) -> Response | None:
    """What is wrong with the request, whatever the connection."""
    try:
        access_key = check_signature(request)
    except SignatureError as error:
        return _error(403, _error_type(str(error)), str(error))
    if denial := _denial(request, access_key, api_id, stage):
        return _error(403, "AccessDeniedException", denial)
    if not is_id(connection_id):
        return _error(400, "BadRequestException", f"Invalid connectionId: {connection_id}")
    return None


def _error_type(message: str) -> str:
    if message.startswith("Missing"):
        return "MissingAuthenticationTokenException"
    return "InvalidSignatureException"


def _denial(request: Request, access_key: str, api_id: str, stage: str) -> str | None:
    """What IAM has against it, if it knows the key. No connection has an ARN of its own: AWS asks
    for the literal ``@connections/{connectionId}``, as its messages say and many policies have it.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    apigateway-websocket-control-access-iam.html
    """
    view = STORE.find_stage(api_id, stage)
    if view is None:
        return None
    resource = f"{view.arn}/{request.method}/@connections/{{connectionId}}"

    def header(name: str) -> str | None:
        value = request.scheme if name == "x-forwarded-proto" else request.headers.get(name)
        return None if value is None else str(value)

    keys = request_keys(request.remote_addr or "", header, datetime.now(UTC))
    return objection(access_key, ACTION, resource, keys)


def _post(connection: Connection, data: bytes) -> Response:
    if len(data) > SETTINGS.websocket_max_message_bytes:
        return _error(413, "PayloadTooLargeException", "Payload too large")
    connection.socket.send(_text_if_possible(data))
    return Response(status=200)


def _text_if_possible(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _describe(connection: Connection) -> dict[str, Any]:
    facts = connection.facts
    return {
        "connectedAt": _timestamp(facts.connected_at),
        "lastActiveAt": _timestamp(datetime.fromtimestamp(connection.socket.last_active_at, UTC)),
        "identity": {
            "sourceIp": facts.handshake.source_ip,
            "userAgent": facts.handshake.user_agent or "",
        },
    }


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _error(status: int, error_type: str, message: str) -> Response:
    response = _json(status, {"message": message})
    response.headers["x-amzn-ErrorType"] = error_type
    return response


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")
