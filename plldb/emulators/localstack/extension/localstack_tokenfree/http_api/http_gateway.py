"""A request at an HTTP API: stage, CORS, route, authorization, integration, response."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from ..access_log_line import integration_variables, outcome
from ..access_logs import ACCESS_LOGS
from ..addresses import Mapped, split_stage
from ..apigatewayv2.kinds import DEFAULT_STAGE
from ..apigatewayv2.store import StageView
from ..throttling import THROTTLE
from ..websocket.events import new_id
from .answers import HttpAnswer, IntegrationError, message
from .cors import is_preflight, preflight_answer, with_cors_headers
from .http_authorization import FAILED, Authorization, IdentityOf, RefusedError
from .http_expressions import context_variables
from .http_integrations import Functions, call_integration
from .http_request import HttpRequest
from .parameter_mapping import map_answer
from .payloads import Call, Record
from .route_choice import RouteMatch, choose_route

LOG = logging.getLogger(__name__)
MAX_BODY_BYTES = 10 * 1024 * 1024
NOT_FOUND = message(404, "Not Found")
TOO_MANY_REQUESTS = message(429, "Too Many Requests")


@dataclass(frozen=True)
class Done:
    """What became of a request; ``integration`` has the access log's variables of its integration,
    if that was called."""

    call: Call
    answer: HttpAnswer
    integration: Mapping[str, Any] | None = None


class HttpGateway:
    """``find_stage`` is the store's: a stage by API and name, as it is deployed, or None."""

    def __init__(
        self,
        find_stage: Callable[[str, str], StageView | None],
        functions: Functions,
        authorization: Authorization,
    ) -> None:
        self._find_stage = find_stage
        self._functions = functions
        self._authorization = authorization

    def handle(
        self,
        api_id: str,
        request: HttpRequest,
        identity_of: IdentityOf,
        mapped: Mapped | None = None,
    ) -> HttpAnswer:
        """The answer to ``request``, whose path is below the API, or at a custom domain whole, and
        then ``mapped`` to a stage. Never raises what an application could cause."""
        began = time.monotonic()
        request_id = new_id()
        stage, path = self._choose_stage(api_id, request.path, mapped)
        if stage is None or (not mapped and stage.api.get("DisableExecuteApiEndpoint")):
            return _identified(NOT_FOUND, request_id)
        if not mapped and split_stage(request.path)[0] == DEFAULT_STAGE:
            request = replace(request, path=path)
        match = choose_route(stage.configuration.routes, request.method, path)
        call = _call(stage, request, match, request_id, unquote(path), mapped)
        done = self._answer(stage, match.route if match else None, call, identity_of)
        _log(stage, done, _milliseconds(began))
        return _identified(done.answer, request_id)

    def _choose_stage(
        self, api_id: str, path: str, mapped: Mapped | None
    ) -> tuple[StageView | None, str]:
        """-> the stage and the path below it. The first part of a path may name a stage;
        everything else is ``$default``'s."""
        if mapped is not None:
            return self._find_stage(api_id, mapped.stage), mapped.path
        name, rest = split_stage(path)
        if name and (stage := self._find_stage(api_id, name)):
            return stage, rest
        return self._find_stage(api_id, DEFAULT_STAGE), path

    def _answer(
        self, stage: StageView, route: Record | None, call: Call, identity_of: IdentityOf
    ) -> Done:
        cors = stage.api.get("CorsConfiguration")
        request = call.request
        preflight = preflight_answer(cors, request) if cors and is_preflight(request) else None
        if route is None:
            return Done(call, preflight or with_cors_headers(cors, request, NOT_FOUND))
        if not THROTTLE.admits(stage.settings, stage.api_id, stage.name, call.route_key):
            return Done(call, with_cors_headers(cors, request, TOO_MANY_REQUESTS))
        try:
            caller = self._authorization.authorize(stage, route, call, identity_of)
        except RefusedError as refusal:
            return Done(call, with_cors_headers(cors, request, refusal.answer))
        call = replace(call, caller=caller)
        if preflight is not None:
            return Done(call, preflight)
        done = self._run(stage, route, call)
        return replace(done, answer=with_cors_headers(cors, request, done.answer))

    def _run(self, stage: StageView, route: Record, call: Call) -> Done:
        if len(call.request.body) > MAX_BODY_BYTES:
            return Done(call, message(413, "Request Entity Too Large"))
        integration_id = str(route.get("Target") or "").removeprefix("integrations/")
        integration = stage.configuration.integrations.get(integration_id)
        if integration is None:
            LOG.warning("Route %s of %s has no integration", call.route_key, call.api_id)
            return Done(call, FAILED)
        began = time.monotonic()
        try:
            answer = call_integration(self._functions, integration, call)
        except IntegrationError as error:
            LOG.warning("Route %s of %s: %s", call.route_key, call.api_id, error)
            failed = integration_variables(None, _milliseconds(began), str(error))
            return Done(call, message(error.status, error.says), failed)
        variables = integration_variables(answer.status, _milliseconds(began))
        mappings = integration.get("ResponseParameters")
        return Done(call, map_answer(mappings, call, answer) if mappings else answer, variables)


def _milliseconds(began: float) -> int:
    return int((time.monotonic() - began) * 1000)


def _log(stage: StageView, done: Done, milliseconds: int) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html"""
    answer = done.answer
    ours = done.integration is None and answer.status >= 400
    ACCESS_LOGS.write(
        stage,
        context_variables(done.call),
        {"responseLatency": milliseconds, "responseLength": len(answer.body)},
        done.integration or {},
        outcome(answer.status, _said(answer) if ours else None),
    )


def _said(answer: HttpAnswer) -> str:
    return str(json.loads(answer.body)["message"]) if answer.body else ""


def _call(
    stage: StageView,
    request: HttpRequest,
    match: RouteMatch | None,
    request_id: str,
    path: str,
    mapped: Mapped | None,
) -> Call:
    return Call(
        path=path,
        domain=mapped.domain if mapped else "",
        request=replace(request, path_parameters=match.path_parameters if match else {}),
        account_id=stage.account_id,
        api_id=stage.api_id,
        region=stage.region,
        stage=stage.name,
        route_key=str(match.route["RouteKey"]) if match else "",
        request_id=request_id,
        stage_variables=stage.variables,
    )


def _identified(answer: HttpAnswer, request_id: str) -> HttpAnswer:
    return replace(answer, headers=(*answer.headers, ("apigw-requestid", request_id)))
