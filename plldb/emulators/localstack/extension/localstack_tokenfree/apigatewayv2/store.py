"""APIs and what belongs to them, as records in AWS's own field names.

No LocalStack, no I/O. A record is never changed, a new one takes its place: whoever has read one
may keep it. The rules of the fields are in ``rules``; those of the resources among each other are
here, after https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/api-reference.html
"""

import copy
import secrets
import string
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ..addresses import name_on_aws
from .kinds import (
    API_DEFAULTS,
    API_DEFAULTS_BY_PROTOCOL,
    AUTHORIZER,
    DEFAULT_ROUTE,
    DEFAULT_STAGE,
    DEPLOYMENT,
    HTTP,
    INTEGRATION,
    INTEGRATION_RESPONSE,
    KINDS,
    MODEL,
    ROUTE,
    ROUTE_RESPONSE,
    STAGE,
    WEBSOCKET,
    Kind,
    Record,
)
from .openapi import ImportedApi
from .refusals import BadRequestError, ConflictError, ControlPlaneError, NotFoundError
from .rules import Surroundings, check

__all__ = ["STORE", "Api", "ApiStore", "Configuration", "Record", "StageView", "new_id"]

ID_CHARACTERS = string.ascii_lowercase + string.digits
QUICK_CREATE_FIELDS = ("CredentialsArn", "RouteKey", "Target")
Key = tuple[str, ...]


@dataclass(frozen=True)
class Configuration:
    """What a stage serves: routes by key, models by name, integrations and authorizers by id,
    responses by the id of the integration or route that they belong to. ``api`` is the API's own
    record. One object stays the same as long as nothing of it changes.
    """

    api: Record
    routes: Mapping[str, Record]
    integrations: Mapping[str, Record]
    authorizers: Mapping[str, Record]
    models: Mapping[str, Record] = field(default_factory=dict)
    integration_responses: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    route_responses: Mapping[str, Sequence[Record]] = field(default_factory=dict)


@dataclass(frozen=True)
class StageView:
    """One stage as the data plane sees it.

    ``api`` and ``settings`` are the records of the API and of the stage, as they are now.
    """

    account_id: str
    region: str
    api_id: str
    name: str
    variables: Mapping[str, str]
    configuration: Configuration
    api: Record = field(default_factory=dict)
    settings: Record = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:execute-api:{self.region}:{self.account_id}:{self.api_id}/{self.name}"

    @property
    def protocol(self) -> str:
        """``HTTP`` or ``WEBSOCKET``."""
        return str(self.api.get("ProtocolType", WEBSOCKET))


@dataclass
class Api:
    account_id: str
    region: str
    record: Record
    resources: dict[Key, Record] = field(default_factory=dict)
    deployed: dict[str, Configuration] = field(default_factory=dict)
    _current: Configuration | None = None

    @property
    def protocol(self) -> str:
        return str(self.record["ProtocolType"])

    def children(self, kind: Kind, *parents: str) -> dict[str, Record]:
        """Records of one kind directly below ``parents`` (ids between the API and them), by id."""
        prefix = (kind.name, *parents)
        return {key[-1]: record for key, record in self.resources.items() if key[:-1] == prefix}

    def changed(self) -> None:
        self._current = None

    def configuration(self) -> Configuration:
        if self._current is None:
            self._current = Configuration(
                self.record,
                {route["RouteKey"]: route for route in self.children(ROUTE).values()},
                self.children(INTEGRATION),
                self.children(AUTHORIZER),
                {model["Name"]: model for model in self.children(MODEL).values()},
                self._responses(INTEGRATION_RESPONSE),
                self._responses(ROUTE_RESPONSE),
            )
        return self._current

    def _responses(self, kind: Kind) -> dict[str, Sequence[Record]]:
        """Records of one kind by the id of what they belong to."""
        found: dict[str, list[Record]] = {}
        for key, record in self.resources.items():
            if key[0] == kind.name:
                found.setdefault(key[1], []).append(record)
        return dict(found)


Check = Callable[[str, Record, Surroundings], None]


class ApiStore:
    """All APIs of all accounts and regions. Safe to call from any thread.

    ``check`` is asked before a record is kept: by the name of its kind (or ``Api``), the record
    as it is to be, and the API it belongs to. It raises what is to be answered.
    """

    def __init__(self, check: Check) -> None:
        self._apis: dict[str, Api] = {}
        self._lock = threading.RLock()
        self._checks = [check]
        self._cache_resets: list[Callable[[str, str], None]] = []
        self._farewells: list[Callable[[StageView], None]] = []

    def also_check(self, check: Check) -> None:
        """Have another ``check`` asked, after those before it."""
        self._checks.append(check)

    # APIs

    def create_api(self, account_id: str, region: str, request: Record) -> Record:
        """A new API; with a ``Target`` also its route, integration and stage (quick create).

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop.html
        """
        api_id = new_id(10)
        protocol = request.get("ProtocolType")
        scheme = "https" if protocol == HTTP else "wss"
        record = {
            **_api_fields(str(protocol), request),
            "ApiId": api_id,
            "ApiEndpoint": f"{scheme}://{name_on_aws(api_id, region)}",
            "CreatedDate": _now(),
        }
        quick = _quick_fields(request)
        with self._lock:
            api = Api(account_id, region, record)
            self._check("Api", record | quick, api)
            self._apis[api_id] = api
            if "Target" in quick:
                try:
                    self._quick_create(api_id, quick)
                except ControlPlaneError:
                    del self._apis[api_id]
                    raise
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
        """Change what ``request`` names. A quick-created API passes its part on to its route."""
        with self._lock:
            api = self._api(api_id)
            return self._change_api(api, api.record | _own_fields(request), request)

    def replace_api(self, api_id: str, request: Record) -> Record:
        """Set all fields: what ``request`` does not name gets its default again."""
        with self._lock:
            api = self._api(api_id)
            kept = ("ApiId", "ApiEndpoint", "CreatedDate", "ProtocolType", "ImportInfo")
            record = {
                **_api_fields(api.protocol, request),
                **{name: api.record[name] for name in kept if name in api.record},
            }
            return self._change_api(api, record, request)

    def import_api(self, account_id: str, region: str, imported: ImportedApi) -> Record:
        """A new API with the routes, integrations and authorizers of an OpenAPI document."""
        with self._lock:
            api_id = self.create_api(account_id, region, imported.api)["ApiId"]
            try:
                self._fill(self._api(api_id), imported)
            except ControlPlaneError:
                self.delete_api(api_id)
                raise
            return self.get_api(api_id)

    def reimport_api(self, api_id: str, imported: ImportedApi) -> Record:
        """Put what a document describes in the place of all that the API has, but its stages."""
        with self._lock:
            api = self._api(api_id)
            if api.protocol != HTTP:
                raise BadRequestError("Only HTTP APIs can be imported from OpenAPI definitions")
            record, resources = api.record, api.resources
            try:
                self.replace_api(api_id, {"Tags": record.get("Tags") or {}, **imported.api})
                kept = (DEPLOYMENT.name, STAGE.name)
                api.resources = {k: v for k, v in resources.items() if k[0] in kept}
                self._fill(api, imported)
            except ControlPlaneError:
                api.resources = resources
                self._set_record(api, record)
                raise
            return api.record

    def without_field(self, api_id: str, name: str) -> None:
        """Take one optional field of an API away."""
        with self._lock:
            api = self._api(api_id)
            self._set_record(api, {k: v for k, v in api.record.items() if k != name})

    def delete_api(self, api_id: str) -> None:
        with self._lock:
            stages = self._api(api_id).children(STAGE)
            gone = [self.find_stage(api_id, name) for name in stages]
            del self._apis[api_id]
        self._tell_gone(*gone)

    # what belongs to an API

    def create(self, kind: Kind, request: Record) -> Record:
        with self._lock:
            api, parents, fields = self._split(kind, request)
            resource_id = fields[kind.id_field] if kind.names_itself else new_id(7)
            record = {
                **copy.deepcopy(kind.defaults_of(api.protocol)),
                **fields,
                kind.id_field: resource_id,
            }
            self._check_siblings(api, kind, parents, record)
            self._check(kind.name, record, api)
            _check_named_routes(api, kind, fields)
            if kind is STAGE:
                record |= {"CreatedDate": _now(), "LastUpdatedDate": _now()}
            if kind is DEPLOYMENT:
                record = _deploy(api, record)
            self._keep(api, (kind.name, *parents, resource_id), record)
            return record

    def deploy_again(self, api_id: str, deployment_id: str) -> None:
        """A deployment has what its API has by now."""
        with self._lock:
            api = self._apis.get(api_id)
            if api and deployment_id in api.deployed:
                api.deployed[deployment_id] = api.configuration()

    def get(self, kind: Kind, request: Record) -> Record:
        with self._lock:
            api, parents, fields = self._split(kind, request)
            return _find(api, kind, parents, fields[kind.id_field])

    def list(self, kind: Kind, request: Record) -> list[Record]:
        with self._lock:
            api, parents, _ = self._split(kind, request)
            return list(api.children(kind, *parents).values())

    def update(self, kind: Kind, request: Record) -> Record:
        """Change the fields that ``request`` has; maps of settings are merged by key."""
        with self._lock:
            api, parents, fields = self._split(kind, request)
            record = _find(api, kind, parents, fields[kind.id_field])
            wanted = _merged(kind, record, fields)
            _check_named_routes(api, kind, fields)
            if kind is STAGE and fields.get("DeploymentId") and wanted["AutoDeploy"]:
                raise BadRequestError("DeploymentId can't be updated if AutoDeploy is enabled")
            return self._change(api, kind, parents, record, wanted)

    def replace(self, kind: Kind, request: Record) -> Record:
        """Set all fields: what ``request`` does not name gets its default again."""
        with self._lock:
            api, parents, fields = self._split(kind, request)
            record = _find(api, kind, parents, fields[kind.id_field])
            kept = ("CreatedDate", "ApiGatewayManaged", "AutoDeployed", "DeploymentStatus")
            wanted = {
                **copy.deepcopy(kind.defaults_of(api.protocol)),
                **fields,
                **{name: record[name] for name in kept if name in record},
            }
            _check_named_routes(api, kind, fields)
            return self._change(api, kind, parents, record, wanted)

    def delete(self, kind: Kind, request: Record) -> None:
        with self._lock:
            api, parents, fields = self._split(kind, request)
            resource_id = fields[kind.id_field]
            _find(api, kind, parents, resource_id)
            _check_unused(api, kind, resource_id)
            gone = self.find_stage(request["ApiId"], resource_id) if kind is STAGE else None
            below = (*parents, resource_id)
            for key in [key for key in api.resources if _is_or_is_below(key, kind, below)]:
                del api.resources[key]
            if kind is DEPLOYMENT:
                api.deployed.pop(resource_id, None)
            api.changed()
        self._tell_gone(gone)

    def on_stage_gone(self, listener: Callable[[StageView], None]) -> None:
        """Have ``listener`` called with each deployed stage that is deleted, as it was."""
        self._farewells.append(listener)

    def _tell_gone(self, *stages: StageView | None) -> None:
        for stage in filter(None, stages):
            for listener in self._farewells:
                listener(stage)

    def without_entry(self, kind: Kind, request: Record, map_field: str, entry: str) -> None:
        """Take one entry out of a map of settings. NotFoundError if it isn't there."""
        with self._lock:
            entries = dict(self.get(kind, request).get(map_field) or {})
            if entry not in entries:
                raise NotFoundError(f"Unable to find {entry} within the {map_field}")
            del entries[entry]
            self._put(kind, request, map_field, entries)

    def without(self, kind: Kind, request: Record, name: str) -> None:
        """Take one optional field of a resource away."""
        with self._lock:
            self._put(kind, request, name, None)

    def exported(self, api_id: str, stage_name: str | None) -> Configuration:
        """What a stage serves, or the API as it is."""
        with self._lock:
            api = self._api(api_id)
            if api.protocol != HTTP:
                raise BadRequestError("Only HTTP APIs can be exported to OpenAPI definitions")
            if not stage_name:
                return api.configuration()
            view = self.find_stage(api_id, stage_name)
        if view is None:
            raise NotFoundError("Invalid stage identifier specified")
        return view.configuration

    def on_cache_reset(self, listener: Callable[[str, str], None]) -> None:
        """Have ``listener`` called with the API id and stage whose cached answers are to go."""
        self._cache_resets.append(listener)

    def reset_authorizers_cache(self, api_id: str, stage_name: str) -> None:
        self.get(STAGE, {"ApiId": api_id, "StageName": stage_name})
        for listener in self._cache_resets:
            listener(api_id, stage_name)

    # tags: arn:aws:apigateway:REGION::/apis/API[/stages/STAGE]

    def tags(self, arn: str) -> dict[str, str]:
        """The tags of the API or stage that ``arn`` names."""
        with self._lock:
            api, key = self._tagged(arn)
            record = api.resources[key] if key else api.record
            return dict(record.get("Tags") or {})

    def set_tags(self, arn: str, tags: dict[str, str]) -> None:
        with self._lock:
            api, key = self._tagged(arn)
            if key:
                api.resources[key] = api.resources[key] | {"Tags": tags}
            else:
                api.record = api.record | {"Tags": tags}

    # for the data plane

    def find_api(self, api_id: str) -> Record | None:
        """The record of an API, or None."""
        api = self._apis.get(api_id)
        return api.record if api else None

    def has_stage(self, api_id: str, stage_name: str) -> bool:
        """Whether there is such a stage, deployed or not."""
        api = self._apis.get(api_id)
        return api is not None and (STAGE.name, stage_name) in api.resources

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
            return StageView(
                api.account_id,
                api.region,
                api_id,
                stage_name,
                stage.get("StageVariables") or {},
                configuration,
                api.record,
                stage,
            )

    # internals

    def _check(self, name: str, record: Record, api: Api) -> None:
        for ask in self._checks:
            ask(name, record, api)

    def _api(self, api_id: str) -> Api:
        api = self._apis.get(api_id)
        if api is None:
            raise NotFoundError(f"Invalid API identifier specified {api_id}")
        return api

    def _change_api(self, api: Api, wanted: Record, request: Record) -> Record:
        """Keep ``wanted`` as the API's record, if all rules allow it and what ``request`` asks of
        its quick-created part."""
        self._check("Api", wanted, api)
        self._update_quick_created(api, request)
        self._set_record(api, wanted)
        return wanted

    def _split(self, kind: Kind, request: Record) -> tuple[Api, Key, Record]:
        """-> the API, the ids between it and the resource, and the resource's own fields."""
        api = self._api(request["ApiId"])
        parents = tuple(request[name] for name in kind.parents[1:])
        if len(kind.parents) > 1:
            above = next(other for other in KINDS if other.id_field == kind.parents[-1])
            _find(api, above, (), parents[-1])
        return api, parents, {k: v for k, v in request.items() if k not in kind.parents}

    def _change(self, api: Api, kind: Kind, parents: Key, record: Record, wanted: Record) -> Record:
        """Keep ``wanted`` in the place of ``record``, if all rules allow it."""
        self._check_siblings(api, kind, parents, wanted, record[kind.id_field])
        self._check(kind.name, wanted, api)
        if kind is STAGE:
            wanted = wanted | {"LastUpdatedDate": _now()}
        self._keep(api, (kind.name, *parents, record[kind.id_field]), wanted)
        return wanted

    def _put(self, kind: Kind, request: Record, name: str, value: object) -> None:
        api, parents, fields = self._split(kind, request)
        record = dict(_find(api, kind, parents, fields[kind.id_field]))
        record.pop(name, None)
        if value is not None:
            record[name] = value
        self._keep(api, (kind.name, *parents, record[kind.id_field]), record)

    def _keep(self, api: Api, key: Key, record: Record) -> None:
        api.resources[key] = record
        api.changed()

    def _set_record(self, api: Api, record: Record) -> None:
        api.record = record
        api.changed()

    def _tagged(self, arn: str) -> tuple[Api, Key | None]:
        match arn.partition("::/apis/")[2].split("/"):
            case [api_id]:
                return self._api(api_id), None
            case [api_id, "stages", name]:
                self.get(STAGE, {"ApiId": api_id, "StageName": name})
                return self._api(api_id), (STAGE.name, name)
        raise NotFoundError(f"Invalid resource ARN specified {arn}")

    @staticmethod
    def _check_siblings(
        api: Api, kind: Kind, parents: Key, record: Record, own_id: str | None = None
    ) -> None:
        name = record.get(kind.name_field)
        for sibling_id, sibling in api.children(kind, *parents).items():
            if name and sibling[kind.name_field] == name and sibling_id != own_id:
                raise _already_there(kind, name)

    def _fill(self, api: Api, imported: ImportedApi) -> None:
        ids = {"ApiId": api.record["ApiId"]}
        authorizer_ids = {
            name: self.create(AUTHORIZER, ids | fields)["AuthorizerId"]
            for name, fields in imported.authorizers.items()
        }
        for route in imported.routes:
            fields = dict(route.fields)
            if route.authorizer:
                fields["AuthorizerId"] = authorizer_ids[route.authorizer]
            if route.integration:
                integration = self.create(INTEGRATION, ids | route.integration)
                fields["Target"] = f"integrations/{integration['IntegrationId']}"
            self.create(ROUTE, ids | fields)
        self._set_record(api, api.record | {"Warnings": list(imported.warnings)})

    # quick create

    def _quick_create(self, api_id: str, quick: Record) -> None:
        integration = self.create(INTEGRATION, {"ApiId": api_id, **_quick_integration(quick)})
        self.create(
            ROUTE,
            {
                "ApiId": api_id,
                "ApiGatewayManaged": True,
                "RouteKey": quick.get("RouteKey", DEFAULT_ROUTE),
                "Target": f"integrations/{integration['IntegrationId']}",
            },
        )
        self.create(
            STAGE,
            {
                "ApiId": api_id,
                "ApiGatewayManaged": True,
                "AutoDeploy": True,
                "StageName": DEFAULT_STAGE,
            },
        )

    def _update_quick_created(self, api: Api, request: Record) -> None:
        quick = _quick_fields(request)
        managed = [r for r in api.children(ROUTE).values() if r.get("ApiGatewayManaged")]
        if not quick or not managed:
            return
        ids = {"ApiId": api.record["ApiId"]}
        if "RouteKey" in quick:
            route = {"RouteId": managed[0]["RouteId"], "RouteKey": quick["RouteKey"]}
            self.update(ROUTE, ids | route)
        for integration in api.children(INTEGRATION).values():
            if integration.get("ApiGatewayManaged"):
                known = {"Target": integration["IntegrationUri"], **quick}
                fields = _quick_integration(known)
                self.update(
                    INTEGRATION, ids | fields | {"IntegrationId": integration["IntegrationId"]}
                )


def _quick_fields(request: Record) -> Record:
    return {name: request[name] for name in QUICK_CREATE_FIELDS if request.get(name)}


def _own_fields(request: Record) -> Record:
    """What of ``request`` the API's own record has: all but what quick create passes on."""
    return {name: value for name, value in request.items() if name not in QUICK_CREATE_FIELDS}


def _api_fields(protocol: str, request: Record) -> Record:
    """An API's own fields: those of ``request``, and defaults for the rest."""
    defaults = {**API_DEFAULTS, **API_DEFAULTS_BY_PROTOCOL.get(protocol, {}), "Tags": {}}
    return defaults | _own_fields(request)


def _quick_integration(quick: Record) -> Record:
    """The integration of a quick-created API: a function, or whatever answers at a URL."""
    target = quick["Target"]
    fields: Record = {"ApiGatewayManaged": True, "IntegrationUri": target}
    if target.startswith("arn:"):
        fields |= {"IntegrationType": "AWS_PROXY", "PayloadFormatVersion": "2.0"}
    else:
        fields |= {"IntegrationType": "HTTP_PROXY", "PayloadFormatVersion": "1.0"}
        fields["IntegrationMethod"] = "ANY"
    if credentials := quick.get("CredentialsArn"):
        fields["CredentialsArn"] = credentials
    return fields


def _merged(kind: Kind, record: Record, fields: Record) -> Record:
    result = record | fields
    for name in kind.merged:
        if name in fields:
            entries = {**(record.get(name) or {}), **(fields[name] or {})}
            if name in kind.erasable:
                entries = {k: v for k, v in entries.items() if v != ""}
            result[name] = entries
    if kind is ROUTE and fields.get("AuthorizationType", "JWT") != "JWT":
        result["AuthorizationScopes"] = fields.get("AuthorizationScopes") or []
    return result


def _deploy(api: Api, deployment: Record) -> Record:
    if not api.children(ROUTE):
        raise BadRequestError("At least one route is required before deploying the Api.")
    stage_name = deployment.get("StageName")
    stage = api.resources.get((STAGE.name, stage_name)) if stage_name else None
    if stage_name and stage is None:
        raise NotFoundError(f"Unable to find Stage by name {stage_name}")
    api.deployed[deployment["DeploymentId"]] = api.configuration()
    if stage_name and stage is not None:
        updated = {"DeploymentId": deployment["DeploymentId"], "LastUpdatedDate": _now()}
        api.resources[(STAGE.name, stage_name)] = stage | updated
    return {
        **{name: value for name, value in deployment.items() if name != "StageName"},
        "AutoDeployed": False,
        "CreatedDate": _now(),
        "DeploymentStatus": "DEPLOYED",
    }


def _find(api: Api, kind: Kind, parents: Key, resource_id: str) -> Record:
    record = api.resources.get((kind.name, *parents, resource_id))
    if record is None:
        if kind is STAGE:
            raise NotFoundError("Invalid stage identifier specified")
        raise NotFoundError(f"Invalid {kind.name} identifier specified {resource_id}")
    return record


def _already_there(kind: Kind, name: str) -> ControlPlaneError:
    """What AWS answers to a second one of a name. Of authorizers it is no conflict:
    https://github.com/aws/aws-cdk/issues/13711
    """
    if kind is AUTHORIZER:
        return BadRequestError(
            f"Authorizer name must be unique. Authorizer {name} already exists in this RestApi."
        )
    if kind is ROUTE:
        return ConflictError(f"Route with key {name} already exists for this API")
    return ConflictError(f"{kind.name} with {kind.name_field} {name} already exists")


def _check_named_routes(api: Api, kind: Kind, fields: Record) -> None:
    """A request has settings only for routes that are there.

    The message is in https://github.com/terraform-aws-modules/terraform-aws-apigateway-v2/pull/80
    """
    if kind is not STAGE:
        return
    keys = {route["RouteKey"] for route in api.children(ROUTE).values()}
    for key in fields.get("RouteSettings") or {}:
        if key not in keys:
            raise NotFoundError(
                f"Unable to find Route by key {key} within the provided RouteSettings"
            )


def _check_unused(api: Api, kind: Kind, resource_id: str) -> None:
    """The messages are in https://github.com/milliHQ/terraform-aws-next-js/issues/247 and
    https://github.com/anomalyco/sst/issues/5586
    """
    if kind is DEPLOYMENT and any(
        stage.get("DeploymentId") == resource_id for stage in api.children(STAGE).values()
    ):
        raise BadRequestError("Active stages pointing to this deployment must be moved or deleted")
    routes = api.children(ROUTE).values()
    if kind is INTEGRATION:
        users = [r["RouteId"] for r in routes if r.get("Target") == f"integrations/{resource_id}"]
        if users:
            raise ConflictError(
                "Cannot delete Integration because it is referenced by the following Routes with "
                f"Ids: [{', '.join(users)}]"
            )
    if kind is AUTHORIZER:
        guarded = [r["RouteKey"] for r in routes if r.get("AuthorizerId") == resource_id]
        if guarded:
            name = _find(api, kind, (), resource_id)["Name"]
            raise ConflictError(
                f"Cannot delete authorizer '{name}', is referenced in route: {guarded[0]}"
            )


def _is_or_is_below(key: Key, kind: Kind, path: Key) -> bool:
    if key[0] == kind.name:
        return key[1:] == path
    child = next(other for other in KINDS if other.name == key[0])
    return kind.id_field in child.parents and key[1 : 1 + len(path)] == path


def new_id(length: int) -> str:
    """Of letters and digits; a letter first, as host names have it."""
    first = secrets.choice(string.ascii_lowercase)
    return first + "".join(secrets.choice(ID_CHARACTERS) for _ in range(length - 1))


def _now() -> datetime:
    return datetime.now(UTC)


STORE = ApiStore(check)
