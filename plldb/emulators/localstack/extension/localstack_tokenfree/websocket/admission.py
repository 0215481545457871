"""Who may open a connection. Whatever can't be told is refused.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
apigateway-websocket-api-control-access.html
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from localstack.aws.connect import connect_to
from requests.structures import CaseInsensitiveDict
from rolo import Response
from rolo.websocket import WebSocketRequest

from ..access import SignatureError, check_signature, objection
from ..apigatewayv2.store import Record, StageView
from ..rest_iam import caller_identity
from ..throttling import THROTTLE
from . import events, policy
from .conditions import Keys, request_keys
from .events import ConnectionFacts, Event
from .executors import DeadlineError, within
from .expressions import Scope, evaluate, missing_identity
from .functions import IntegrationError, call_function, function_of, with_stage_variables

LOG = logging.getLogger(__name__)
AUTHORIZER_SECONDS = 29.0
TOO_MANY = "Too Many Requests"


class RefusedError(Exception):
    """The handshake ends with this response instead of a WebSocket."""

    def __init__(self, status: int, body: Mapping[str, Any] | str) -> None:
        super().__init__(status)
        self.status = status
        self.body = body if isinstance(body, str) else json.dumps(body)

    @property
    def says(self) -> str:
        """The message in its body, if API Gateway made it."""
        try:
            body = json.loads(self.body)
        except ValueError:
            return self.body
        said = body.get("message") or body.get("Message") if isinstance(body, dict) else None
        return str(said or self.body)

    def response(self) -> Response:
        return Response(self.body, status=self.status, mimetype="application/json")


@dataclass(frozen=True)
class Admitted:
    """Whoever passed, with what the authorizer or IAM says of them, and the ``requestContext`` of
    ``$connect``."""

    facts: ConnectionFacts
    authorizer: dict[str, Any] | None
    context: Event


def forbidden() -> RefusedError:
    return RefusedError(403, {"message": "Forbidden"})


def refuse_if_closed(stage: StageView) -> None:
    """``DisableExecuteApiEndpoint`` leaves custom domains only."""
    if is_true(stage.configuration.api.get("DisableExecuteApiEndpoint")):
        LOG.info("The execute-api endpoint of %s is disabled", stage.api_id)
        raise forbidden()


def admit(
    request: WebSocketRequest,
    stage: StageView,
    route: Record,
    facts: ConnectionFacts,
    request_id: str,
) -> Admitted:
    """Hold the handshake against what ``$connect`` asks for.

    Raises RefusedError: 429 when the route is throttled, 401 without its identity sources, 403 when
    it is not allowed, 400 without a required parameter, 500 when the authorizer fails.
    """
    if not THROTTLE.admits(stage.settings, stage.api_id, stage.name, route["RouteKey"]):
        raise RefusedError(429, events.error_message(facts, TOO_MANY, request_id))
    authorizer: dict[str, Any] | None = None
    match route.get("AuthorizationType", "NONE"):
        case "NONE":
            pass
        case "CUSTOM":
            authorizer = ask_authorizer(stage, route, facts, request_id)
        case "AWS_IAM":
            facts = replace(facts, identity=ask_iam(request, stage, facts))
        case other:
            LOG.warning("$connect of %s wants %s, which no WebSocket has", stage.api_id, other)
            raise forbidden()
    context = events.connect_context(facts, authorizer, request_id)
    scope = scope_of(facts, context)
    if is_true(route.get("ApiKeyRequired")):
        require_api_key(stage, scope)
    require_parameters(route, scope, facts, request_id)
    return Admitted(facts, authorizer, context)


def scope_of(facts: ConnectionFacts, context: Mapping[str, Any]) -> Scope:
    """What expressions can name of a handshake, and of an event's ``requestContext``."""
    handshake = facts.handshake
    return Scope(
        headers=CaseInsensitiveDict(handshake.single_headers()),
        query=handshake.single_query(),
        multi_headers=handshake.header_values_by_lower_name(),
        multi_query=handshake.query,
        stage_variables=facts.stage_variables,
        context=context,
    )


def condition_keys(facts: ConnectionFacts) -> Keys:
    handshake = facts.handshake
    headers = handshake.headers_by_lower_name()
    return request_keys(handshake.source_ip, headers.get, datetime.now(UTC))


# REQUEST authorizers


def ask_authorizer(
    stage: StageView, route: Record, facts: ConnectionFacts, request_id: str
) -> dict[str, Any]:
    """-> the context for the functions. WebSocket APIs don't cache what an authorizer said.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    apigateway-websocket-api-lambda-auth.html
    """
    authorizer = stage.configuration.authorizers.get(route.get("AuthorizerId", ""))
    if authorizer is None:
        raise RefusedError(500, {"message": None})
    method_arn = f"{stage.arn}/$connect"
    asked = events.connect_context(facts, None, request_id)
    event = events.authorizer_event(facts, asked, method_arn)
    sources = authorizer.get("IdentitySource") or []
    if missing := missing_identity(sources, scope_of(facts, asked)):
        LOG.info("The authorizer of %s wants %s, which is missing", stage.api_id, missing)
        raise RefusedError(401, {"message": "Unauthorized"})
    began = datetime.now(UTC)
    try:
        uri = with_stage_variables(authorizer.get("AuthorizerUri") or "", stage.variables)
        function = function_of(uri)
        answer = within(AUTHORIZER_SECONDS, lambda: call_function(function, stage.region, event))
        verdict = policy.evaluate(answer, method_arn, condition_keys(facts))
        context = policy.context(answer)
    except (IntegrationError, policy.MalformedAnswerError, DeadlineError) as error:
        if getattr(error, "message", "") == "Unauthorized":  # how a function asks for a 401
            raise RefusedError(401, {"message": "Unauthorized"}) from error
        LOG.warning("The authorizer of %s failed: %s", stage.api_id, error or "it took too long")
        failure = events.error_message(facts, "Internal server error", request_id)
        raise RefusedError(500, failure) from error
    if verdict is not policy.Verdict.ALLOW:
        raise RefusedError(403, {"Message": denial(verdict)})
    latency = int((datetime.now(UTC) - began).total_seconds() * 1000)
    return context | {"integrationLatency": latency}


def denial(verdict: policy.Verdict) -> str:
    explicit = " with an explicit deny" if verdict is policy.Verdict.DENY else ""
    return f"User is not authorized to access this resource{explicit}"


# IAM


def ask_iam(request: WebSocketRequest, stage: StageView, facts: ConnectionFacts) -> dict[str, Any]:
    """-> who signed, as ``requestContext.identity`` shows it.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    apigateway-websocket-control-access-iam.html
    """
    try:
        access_key = check_signature(request)
    except SignatureError as error:
        raise RefusedError(403, {"message": str(error)}) from error
    resource = f"{stage.arn}/$connect"
    if text := objection(access_key, policy.INVOKE, resource, condition_keys(facts)):
        raise RefusedError(403, {"Message": text})
    return dict(caller_identity(access_key, stage.region))


# API keys and parameters


def require_api_key(stage: StageView, scope: Scope) -> None:
    """The key must be enabled, and in a usage plan that has this stage.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    apigateway-websocket-api-selection-expressions.html
    """
    expression = stage.configuration.api.get("ApiKeySelectionExpression", "")
    key = evaluate(expression, scope)
    if not key or not has_api_key(stage, key):
        raise forbidden()


def has_api_key(stage: StageView, value: str) -> bool:
    client = connect_to(region_name=stage.region, aws_access_key_id=stage.account_id).apigateway
    keys = {
        key["id"]
        for page in client.get_paginator("get_api_keys").paginate(includeValues=True)
        for key in page["items"]
        if key.get("value") == value and key.get("enabled")
    }
    if not keys:
        return False
    wanted = {"apiId": stage.api_id, "stage": stage.name}
    for page in client.get_paginator("get_usage_plans").paginate():
        for plan in page["items"]:
            stages = ({name: each.get(name) for name in wanted} for each in plan["apiStages"])
            if wanted in stages and _has_member(client, plan["id"], keys):
                return True
    return False


def _has_member(client: Any, plan_id: str, keys: set[str]) -> bool:
    pages = client.get_paginator("get_usage_plan_keys").paginate(usagePlanId=plan_id)
    return any(key["id"] in keys for page in pages for key in page["items"])


def require_parameters(
    route: Record, scope: Scope, facts: ConnectionFacts, request_id: str
) -> None:
    """``RequestParameters`` like ``route.request.querystring.room: {Required: true}``."""
    missing = [
        name.rpartition(".")[2]
        for name, constraints in (route.get("RequestParameters") or {}).items()
        if _is_required(constraints) and scope.find(name) is None
    ]
    if missing:
        text = f"Missing required request parameters: [{', '.join(missing)}]"
        raise RefusedError(400, events.error_message(facts, text, request_id))


def _is_required(constraints: Any) -> bool:
    return is_true(constraints.get("Required") if isinstance(constraints, Mapping) else constraints)


def is_true(value: Any) -> bool:
    """CloudFormation hands on ``true`` as it is written, which may be text."""
    return str(value).lower() == "true"
