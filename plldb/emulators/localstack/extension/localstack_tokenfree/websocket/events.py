"""The events that functions get, in AWS's shapes.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
apigateway-websocket-api-mapping-template-reference.html and the events of
websocket-api-develop-integrations.html
"""

import base64
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..addresses import name_on_aws

Event = dict[str, Any]


@dataclass(frozen=True)
class Handshake:
    """The HTTP request that opens a connection. Header names are as the client wrote them."""

    headers: Sequence[tuple[str, str]]
    query: Mapping[str, Sequence[str]]
    source_ip: str

    def header_values(self) -> dict[str, list[str]]:
        return values_by_name(self.headers)

    def single_headers(self) -> dict[str, str]:
        return {name: values[-1] for name, values in self.header_values().items()}

    def header_values_by_lower_name(self) -> dict[str, list[str]]:
        return values_by_name((name.lower(), value) for name, value in self.headers)

    def headers_by_lower_name(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.single_headers().items()}

    def single_query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in self.query.items()}

    @property
    def user_agent(self) -> str | None:
        return {k.lower(): v for k, v in self.headers}.get("user-agent")


@dataclass(frozen=True)
class ConnectionFacts:
    """What stays the same as long as a connection lives. ``identity`` is who signed the handshake,
    as the context shows it."""

    connection_id: str
    api_id: str
    region: str
    stage: str
    stage_variables: Mapping[str, str]
    connected_at: datetime
    handshake: Handshake
    identity: Mapping[str, Any] = field(default_factory=dict)


def values_by_name(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def new_id() -> str:
    """An id like those of connections, requests and messages: 16 characters, ``=`` at the end."""
    return base64.urlsafe_b64encode(secrets.token_bytes(11)).decode()


def is_id(text: str) -> bool:
    """Whether ``text`` has the form of such an id."""
    try:
        base64.b64decode(text, altchars=b"-_", validate=True)
    except ValueError:
        return False
    return True


def new_trace_id() -> str:
    """What API Gateway puts into ``X-Amzn-Trace-Id``.

    https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
    """
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"


def request_time(moment: datetime) -> str:
    """As contexts of requests have it, in UTC: ``12/Mar/2020:19:03:58 +0000``."""
    return moment.strftime("%d/%b/%Y:%H:%M:%S +0000")


def milliseconds(moment: datetime) -> int:
    """Since 1970."""
    return int(moment.timestamp() * 1000)


def authorizer_event(facts: ConnectionFacts, context: Event, method_arn: str) -> Event:
    event = connect_event(facts, context)
    del event["isBase64Encoded"]
    return {
        "type": "REQUEST",
        "methodArn": method_arn,
        **event,
        "stageVariables": dict(facts.stage_variables),
    }


def connect_event(facts: ConnectionFacts, context: Event) -> Event:
    handshake = facts.handshake
    event: Event = {
        "headers": handshake.single_headers(),
        "multiValueHeaders": handshake.header_values(),
    }
    if handshake.query:
        event["queryStringParameters"] = handshake.single_query()
        event["multiValueQueryStringParameters"] = {k: list(v) for k, v in handshake.query.items()}
    return event | _common(facts, context)


def connect_context(
    facts: ConnectionFacts, authorizer: Mapping[str, Any] | None, request_id: str
) -> Event:
    return {"routeKey": "$connect"} | _request_context(facts, "CONNECT", authorizer, request_id)


def message_context(facts: ConnectionFacts, authorizer: Mapping[str, Any] | None) -> Event:
    """Before a route is chosen, so that ``routeKey`` is missing."""
    context = _request_context(facts, "MESSAGE", authorizer, new_id())
    return context | {"messageId": new_id()}


def message_event(facts: ConnectionFacts, context: Event, message: str) -> Event:
    return _common(facts, context) | {"body": message}


def disconnect_event(
    facts: ConnectionFacts, authorizer: Mapping[str, Any] | None, code: int, reason: str
) -> Event:
    context = _request_context(facts, "DISCONNECT", authorizer, new_id())
    context |= {"routeKey": "$disconnect"}
    context |= {"disconnectStatusCode": code, "disconnectReason": reason}
    headers = {"Host": context["domainName"], "x-api-key": "", "x-restapi": ""}
    return {
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        **_common(facts, context),
    }


def error_message(facts: ConnectionFacts, message: str, request_id: str) -> Event:
    """What API Gateway itself sends to the client."""
    return {
        "message": message,
        "connectionId": facts.connection_id,
        "requestId": request_id,
    }


def _common(facts: ConnectionFacts, context: Event) -> Event:
    event: Event = {"requestContext": context, "isBase64Encoded": False}
    if facts.stage_variables:
        event["stageVariables"] = dict(facts.stage_variables)
    return event


def _request_context(
    facts: ConnectionFacts,
    event_type: str,
    authorizer: Mapping[str, Any] | None,
    request_id: str,
) -> Event:
    now = datetime.now(UTC)
    context: Event = {
        "eventType": event_type,
        "extendedRequestId": request_id,
        "requestTime": request_time(now),
        "messageDirection": "IN",
        "stage": facts.stage,
        "connectedAt": milliseconds(facts.connected_at),
        "requestTimeEpoch": milliseconds(now),
        "identity": {
            "userAgent": facts.handshake.user_agent,
            "sourceIp": facts.handshake.source_ip,
            **facts.identity,
        },
        "requestId": request_id,
        "domainName": name_on_aws(facts.api_id, facts.region),
        "connectionId": facts.connection_id,
        "apiId": facts.api_id,
    }
    if authorizer is not None:
        context["authorizer"] = dict(authorizer)
    return context
