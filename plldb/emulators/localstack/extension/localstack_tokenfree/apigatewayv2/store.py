"""WebSocket APIs and what belongs to them, as records in AWS's own field names.

No LocalStack, no I/O. The rules are those of
https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/api-reference.html
"""

import copy
import secrets
import string
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Record = dict[str, Any]
ID_CHARACTERS = string.ascii_lowercase + string.digits
Key = tuple[str, ...]


class ControlPlaneError(Exception):
    """A refused request. ``code`` and ``status`` are what AWS answers."""

    code = "BadRequestException"
    status = 400


class NotFoundError(ControlPlaneError):
    code = "NotFoundException"
    status = 404


class ConflictError(ControlPlaneError):
    code = "ConflictException"
    status = 409


class BadRequestError(ControlPlaneError):
    pass


@dataclass(frozen=True)
class Kind:
    """A sort of resource below an API.

    ``parents`` are the request fields above its id; ``name_field`` must be unique among siblings;
    ``names_itself`` says that the caller, not the service, chooses the id.
    """

    name: str
    id_field: str
    plural: str = ""
    parents: tuple[str, ...] = ("ApiId",)
    name_field: str = ""
    names_itself: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def collection(self) -> str:
        return self.plural or f"{self.name}s"


AUTHORIZER = Kind("Authorizer", "AuthorizerId", name_field="Name")
DEPLOYMENT = Kind("Deployment", "DeploymentId")
INTEGRATION = Kind(
    "Integration",
    "IntegrationId",
    defaults={
        "ConnectionType": "INTERNET",
        "PassthroughBehavior": "WHEN_NO_MATCH",
        "PayloadFormatVersion": "1.0",
        "TimeoutInMillis": 29000,
    },
)
INTEGRATION_RESPONSE = Kind(
    "IntegrationResponse",
    "IntegrationResponseId",
    parents=("ApiId", "IntegrationId"),
    name_field="IntegrationResponseKey",
)
MODEL = Kind("Model", "ModelId", name_field="Name")
ROUTE = Kind(
    "Route",
    "RouteId",
    name_field="RouteKey",
    defaults={"ApiKeyRequired": False, "AuthorizationType": "NONE"},
)
ROUTE_RESPONSE = Kind(
    "RouteResponse",
    "RouteResponseId",
    parents=("ApiId", "RouteId"),
    name_field="RouteResponseKey",
)
STAGE = Kind(
    "Stage",
    "StageName",
    name_field="StageName",
    names_itself=True,
    defaults={
        "AutoDeploy": False,
        "DefaultRouteSettings": {
            "DataTraceEnabled": False,
            "DetailedMetricsEnabled": False,
            "LoggingLevel": "OFF",
        },
        "RouteSettings": {},
        "StageVariables": {},
        "Tags": {},
    },
)
KINDS = (
    AUTHORIZER,
    DEPLOYMENT,
    INTEGRATION,
    INTEGRATION_RESPONSE,
    MODEL,
    ROUTE,
    ROUTE_RESPONSE,
    STAGE,
)


@dataclass(frozen=True)
class Configuration:
    """What a stage serves: routes by key, models by name, integrations and authorizers by id,
    responses by the id of the integration or route that they belong to. ``api`` is the API's own
    record."""

    api: Record
    routes: Mapping[str, Record]
    integrations: Mapping[str, Record]
    authorizers: Mapping[str, Record]
    models: Mapping[str, Record]
    integration_responses: Mapping[str, Sequence[Record]]
    route_responses: Mapping[str, Sequence[Record]]


@dataclass(frozen=True)
class StageView:
    """One stage as the data plane sees it."""

    account_id: str
    region: str
    api_id: str
    name: str
    variables: Mapping[str, str]
    configuration: Configuration

    @property
    def arn(self) -> str:
        return f"arn:aws:execute-api:{self.region}:{self.account_id}:{self.api_id}/{self.name}"


@dataclass
class Api:
    account_id: str
    region: str
    record: Record
    resources: dict[Key, Record] = field(default_factory=dict)
    deployed: dict[str, Configuration] = field(default_factory=dict)

    def children(self, kind: Kind, *parents: str) -> dict[str, Record]:
        """Records of one kind directly below ``parents`` (ids between the API and them), by id."""
        prefix = (kind.name, *parents)
        return {key[-1]: record for key, record in self.resources.items() if key[:-1] == prefix}

    def configuration(self) -> Configuration:
        return Configuration(
            self.record,
            {route["RouteKey"]: route for route in self.children(ROUTE).values()},
            self.children(INTEGRATION),
            self.children(AUTHORIZER),
            {model["Name"]: model for model in self.children(MODEL).values()},
            self._responses(INTEGRATION_RESPONSE),
            self._responses(ROUTE_RESPONSE),
        )

    def _responses(self, kind: Kind) -> dict[str, Sequence[Record]]:
        """Records of one kind by the id of what they belong to."""
        found: dict[str, list[Record]] = {}
        for key, record in self.resources.items():
            if key[0] == kind.name:
                found.setdefault(key[1], []).append(record)
        return dict(found)


class ApiStore:
    """All APIs of all accounts and regions. Safe to call from any thread."""

    def __init__(self) -> None:
        self._apis: dict[str, Api] = {}
        self._lock = threading.RLock()

    # APIs

    def create_api(self, account_id: str, region: str, request: Record) -> Record:
        _require_websocket(request)
        api_id = _new_id(10)
        record = {
            "ApiKeySelectionExpression": "$request.header.x-api-key",
            "DisableExecuteApiEndpoint": False,
            "DisableSchemaValidation": False,
            "Tags": {},
            **request,
            "ApiId": api_id,
            "ApiEndpoint": f"wss://{api_id}.execute-api.{region}.amazonaws.com",
            "CreatedDate": _now(),
        }
        with self._lock:
            self._apis[api_id] = Api(account_id, region, record)
        return record

    def get_api(self, api_id: str) -> Record:
        return self._api(api_id).record

    def list_apis(self, account_id: str, region: str) -> list[Record]:
        with self._lock:
            return [
                api.record
                for api in self._apis.values()
                if (api.account_id, api.region) == (account_id, region)
            ]

    def update_api(self, api_id: str, request: Record) -> Record:
        with self._lock:
            record = self._api(api_id).record
            record.update(request)
            return record

    def delete_api(self, api_id: str) -> None:
        with self._lock:
            self._api(api_id)
            del self._apis[api_id]

    # what belongs to an API

    def create(self, kind: Kind, request: Record) -> Record:
        with self._lock:
            api, parents, fields = self._split(kind, request)
            self._check_new(api, kind, parents, fields)
            resource_id = fields[kind.id_field] if kind.names_itself else _new_id(7)
            record = {**copy.deepcopy(dict(kind.defaults)), **fields, kind.id_field: resource_id}
            if kind is STAGE:
                self._check_stage(api, record)
                record |= {"CreatedDate": _now(), "LastUpdatedDate": _now()}
            if kind is DEPLOYMENT:
                _deploy(api, record)
            api.resources[(kind.name, *parents, resource_id)] = record
            return record

    def get(self, kind: Kind, request: Record) -> Record:
        with self._lock:
            api, parents, fields = self._split(kind, request)
            return _find(api, kind, parents, fields[kind.id_field])

    def list(self, kind: Kind, request: Record) -> list[Record]:
        with self._lock:
            api, parents, _ = self._split(kind, request)
            return list(api.children(kind, *parents).values())

    def update(self, kind: Kind, request: Record) -> Record:
        with self._lock:
            api, parents, fields = self._split(kind, request)
            record = _find(api, kind, parents, fields[kind.id_field])
            if kind is STAGE:
                self._check_stage(api, record | fields)
                fields |= {"LastUpdatedDate": _now()}
            record.update(fields)
            return record

    def delete(self, kind: Kind, request: Record) -> None:
        with self._lock:
            api, parents, fields = self._split(kind, request)
            resource_id = fields[kind.id_field]
            _find(api, kind, parents, resource_id)
            _check_unused(api, kind, resource_id)
            below = (*parents, resource_id)
            for key in [key for key in api.resources if _is_or_is_below(key, kind, below)]:
                del api.resources[key]
            api.deployed.pop(resource_id, None)

    # tags: arn:aws:apigateway:REGION::/apis/API[/stages/STAGE]

    def tags(self, arn: str) -> dict[str, str]:
        """The live tag mapping of the API or stage that ``arn`` names."""
        path = arn.partition("::/apis/")[2].split("/")
        if len(path) == 3 and path[1] == "stages":
            record = self.get(STAGE, {"ApiId": path[0], "StageName": path[2]})
        else:
            record = self.get_api(path[0])
        tags: dict[str, str] = record.setdefault("Tags", {})
        return tags

    # for the data plane

    def find_stage(self, api_id: str, stage_name: str) -> StageView | None:
        """The stage as it is deployed now, or None.

        A stage with ``AutoDeploy`` serves the API as it is; any other serves the routes of its
        deployment, and nothing without one.
        """
        with self._lock:
            api = self._apis.get(api_id)
            stage = api and api.resources.get((STAGE.name, stage_name))
            if not api or not stage:
                return None
            configuration = (
                api.configuration()
                if stage["AutoDeploy"]
                else api.deployed.get(stage.get("DeploymentId", ""))
            )
            if configuration is None:
                return None
            variables = stage.get("StageVariables") or {}
            return StageView(
                api.account_id, api.region, api_id, stage_name, variables, configuration
            )

    # internals

    def _api(self, api_id: str) -> Api:
        api = self._apis.get(api_id)
        if api is None:
            raise NotFoundError(f"Invalid API identifier specified {api_id}")
        return api

    def _split(self, kind: Kind, request: Record) -> tuple[Api, Key, Record]:
        """-> the API, the ids between it and the resource, and the resource's own fields."""
        api = self._api(request["ApiId"])
        parents = tuple(request[name] for name in kind.parents[1:])
        return api, parents, {k: v for k, v in request.items() if k not in kind.parents}

    @staticmethod
    def _check_new(api: Api, kind: Kind, parents: Key, fields: Record) -> None:
        name = fields.get(kind.name_field)
        siblings = api.children(kind, *parents).values()
        if name and any(sibling[kind.name_field] == name for sibling in siblings):
            raise ConflictError(f"{kind.name} with {kind.name_field} {name} already exists")

    @staticmethod
    def _check_stage(api: Api, record: Record) -> None:
        deployment_id = record.get("DeploymentId")
        if deployment_id and (DEPLOYMENT.name, deployment_id) not in api.resources:
            raise NotFoundError(f"Unable to find Deployment by ID {deployment_id}")


def _require_websocket(request: Record) -> None:
    if request.get("ProtocolType") != "WEBSOCKET":
        raise BadRequestError("This emulator serves WEBSOCKET APIs only")
    if not request.get("RouteSelectionExpression"):
        raise BadRequestError("RouteSelectionExpression is required for WEBSOCKET protocol")


def _deploy(api: Api, deployment: Record) -> None:
    if not api.children(ROUTE):
        raise BadRequestError("At least one route is required before deploying the Api.")
    stage_name = deployment.pop("StageName", None)
    stage = api.resources.get((STAGE.name, stage_name)) if stage_name else None
    if stage_name and stage is None:
        raise NotFoundError(f"Unable to find Stage by name {stage_name}")
    deployment |= {
        "AutoDeployed": False,
        "CreatedDate": _now(),
        "DeploymentStatus": "DEPLOYED",
    }
    api.deployed[deployment["DeploymentId"]] = copy.deepcopy(api.configuration())
    if stage is not None:
        stage["DeploymentId"] = deployment["DeploymentId"]


def _find(api: Api, kind: Kind, parents: Key, resource_id: str) -> Record:
    record = api.resources.get((kind.name, *parents, resource_id))
    if record is None:
        raise NotFoundError(f"Invalid {kind.name} identifier specified {resource_id}")
    return record


def _check_unused(api: Api, kind: Kind, resource_id: str) -> None:
    if kind is DEPLOYMENT and any(
        stage.get("DeploymentId") == resource_id for stage in api.children(STAGE).values()
    ):
        raise BadRequestError("Active stages pointing to this deployment must be moved or deleted")
    if kind is INTEGRATION and any(
        route.get("Target") == f"integrations/{resource_id}"
        for route in api.children(ROUTE).values()
    ):
        raise ConflictError(f"Cannot delete Integration {resource_id}: a Route refers to it")


def _is_or_is_below(key: Key, kind: Kind, path: Key) -> bool:
    if key[0] == kind.name:
        return key[1:] == path
    child = next(other for other in KINDS if other.name == key[0])
    return kind.id_field in child.parents and key[1 : 1 + len(path)] == path


def _new_id(length: int) -> str:
    return "".join(secrets.choice(ID_CHARACTERS) for _ in range(length))


def _now() -> datetime:
    return datetime.now(UTC)


STORE = ApiStore()
