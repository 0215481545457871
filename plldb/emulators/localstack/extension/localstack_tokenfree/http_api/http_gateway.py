"""A request at an HTTP API: stage, CORS, route, authorization, integration, response."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from ..addresses import Mapped, split_stage
from ..apigatewayv2.kinds import DEFAULT_STAGE
from ..apigatewayv2.store import StageView
from ..websocket.events import new_id
from .answers import HttpAnswer, IntegrationError, message
from .cors import is_preflight, preflight_answer, with_cors_headers
from .http_authorization import FAILED, Authorization, IdentityOf, RefusedError
from .http_integrations import Functions, call_integration
from .http_request import HttpRequest
from .parameter_mapping import map_answer
from .payloads import Call, Record
from .route_choice import RouteMatch, choose_route

LOG = logging.getLogger(__name__)
MAX_BODY_BYTES = 10 * 1024 * 1024
NOT_FOUND = message(404, "Not Found")


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
        self._told: set[tuple[str, str]] = set()

    def handle(
        self,
        api_id: str,
        request: HttpRequest,
        identity_of: IdentityOf,
        mapped: Mapped | None = None,
    ) -> HttpAnswer:
        """The answer to ``request``, whose path is below the API, or at a custom domain whole, and
        then ``mapped`` to a stage. Never raises what an application could cause."""
        request_id = new_id()
        stage, path = self._choose_stage(api_id, request.path, mapped)
        if stage is None or (not mapped and stage.api.get("DisableExecuteApiEndpoint")):
            return _identified(NOT_FOUND, request_id)
        self._tell_what_is_ignored(stage)
        if not mapped and split_stage(request.path)[0] == DEFAULT_STAGE:
            request = replace(request, path=path)
        match = choose_route(stage.configuration.routes, request.method, path)
        call = None
        if match is not None:
            call = _call(stage, request, match, request_id, unquote(path), mapped)
        answer = self._answer(stage, request, match, call, identity_of)
        return _identified(answer, request_id)

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
        self,
        stage: StageView,
        request: HttpRequest,
        match: RouteMatch | None,
        call: Call | None,
        identity_of: IdentityOf,
    ) -> HttpAnswer:
        cors = stage.api.get("CorsConfiguration")
        preflight = preflight_answer(cors, request) if cors and is_preflight(request) else None
        if match is None or call is None:
            return preflight or with_cors_headers(cors, request, NOT_FOUND)
        try:
            caller = self._authorization.authorize(stage, match.route, call, identity_of)
        except RefusedError as refusal:
            return with_cors_headers(cors, request, refusal.answer)
        if preflight is not None:
            return preflight
        answer = self._run(stage, match.route, replace(call, caller=caller))
        return with_cors_headers(cors, request, answer)

    def _run(self, stage: StageView, route: Record, call: Call) -> HttpAnswer:
        if len(call.request.body) > MAX_BODY_BYTES:
            return message(413, "Request Entity Too Large")
        integration_id = str(route.get("Target") or "").removeprefix("integrations/")
        integration = stage.configuration.integrations.get(integration_id)
        if integration is None:
            LOG.warning("Route %s of %s has no integration", call.route_key, call.api_id)
            return FAILED
        try:
            answer = call_integration(self._functions, integration, call)
        except IntegrationError as error:
            LOG.warning("Route %s of %s: %s", call.route_key, call.api_id, error)
            return message(error.status, error.says)
        mappings = integration.get("ResponseParameters")
        return map_answer(mappings, call, answer) if mappings else answer

    def _tell_what_is_ignored(self, stage: StageView) -> None:
        """Once for each stage: what it is set to, and this emulator does not do."""
        key = (stage.api_id, stage.name)
        if key in self._told:
            return
        self._told.add(key)
        for ignored in _ignored(stage.settings):
            LOG.warning("Stage %s of %s: %s is ignored", stage.name, stage.api_id, ignored)


def _ignored(settings: Mapping[str, Any]) -> list[str]:
    routes = [settings.get("DefaultRouteSettings") or {}]
    routes += (settings.get("RouteSettings") or {}).values()
    limits = ("ThrottlingRateLimit", "ThrottlingBurstLimit")
    throttled = any(route.get(limit) for route in routes for limit in limits)
    return [
        *(["throttling"] if throttled else []),
        *(["AccessLogSettings"] if settings.get("AccessLogSettings") else []),
    ]


def _call(
    stage: StageView,
    request: HttpRequest,
    match: RouteMatch,
    request_id: str,
    path: str,
    mapped: Mapped | None,
) -> Call:
    return Call(
        path=path,
        domain=mapped.domain if mapped else "",
        request=replace(request, path_parameters=match.path_parameters),
        account_id=stage.account_id,
        api_id=stage.api_id,
        region=stage.region,
        stage=stage.name,
        route_key=str(match.route["RouteKey"]),
        request_id=request_id,
        stage_variables=stage.variables,
    )


def _identified(answer: HttpAnswer, request_id: str) -> HttpAnswer:
    return replace(answer, headers=(*answer.headers, ("apigw-requestid", request_id)))
