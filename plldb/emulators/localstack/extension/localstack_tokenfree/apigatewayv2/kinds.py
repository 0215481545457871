"""What belongs to an API: the sorts of resources, their ids, parents and defaults, in one table.

https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/resources.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]

HTTP = "HTTP"
WEBSOCKET = "WEBSOCKET"
DEFAULT_STAGE = "$default"
DEFAULT_ROUTE = "$default"


@dataclass(frozen=True)
class Kind:
    """A sort of resource below an API.

    ``parents`` are the request fields above its id; ``name_field`` must be unique among siblings;
    ``names_itself`` says that the caller, not the service, chooses the id. An update merges the
    ``merged`` maps key by key and replaces everything else; in the ``erasable`` ones among them,
    an empty value takes its key away. ``defaults`` apply to any API, those of ``by_protocol`` to
    APIs of one protocol.
    """

    name: str
    id_field: str
    plural: str = ""
    parents: tuple[str, ...] = ("ApiId",)
    name_field: str = ""
    names_itself: bool = False
    merged: tuple[str, ...] = ()
    erasable: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    by_protocol: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def collection(self) -> str:
        return self.plural or f"{self.name}s"

    def defaults_of(self, protocol: str) -> Record:
        return {**self.defaults, **self.by_protocol.get(protocol, {})}


AUTHORIZER = Kind("Authorizer", "AuthorizerId", name_field="Name")
DEPLOYMENT = Kind("Deployment", "DeploymentId")
INTEGRATION = Kind(
    "Integration",
    "IntegrationId",
    merged=("RequestParameters", "ResponseParameters"),
    erasable=("RequestParameters",),
    defaults={"ConnectionType": "INTERNET"},
    by_protocol={
        HTTP: {"TimeoutInMillis": 30000},
        WEBSOCKET: {
            "IntegrationResponseSelectionExpression": "${integration.response.statuscode}",
            "PassthroughBehavior": "WHEN_NO_MATCH",
            "PayloadFormatVersion": "1.0",
            "TimeoutInMillis": 29000,
        },
    },
)
INTEGRATION_RESPONSE = Kind(
    "IntegrationResponse",
    "IntegrationResponseId",
    parents=("ApiId", "IntegrationId"),
    name_field="IntegrationResponseKey",
)
MODEL = Kind("Model", "ModelId", name_field="Name", defaults={"ContentType": "application/json"})
ROUTE = Kind(
    "Route",
    "RouteId",
    name_field="RouteKey",
    merged=("RequestParameters",),
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
    merged=("RouteSettings", "StageVariables"),
    erasable=("StageVariables",),
    defaults={"AutoDeploy": False, "RouteSettings": {}, "StageVariables": {}, "Tags": {}},
    by_protocol={
        HTTP: {"DefaultRouteSettings": {"DetailedMetricsEnabled": False}},
        WEBSOCKET: {
            "DefaultRouteSettings": {
                "DataTraceEnabled": False,
                "DetailedMetricsEnabled": False,
                "LoggingLevel": "OFF",
            }
        },
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

HTTP_ROUTE_SELECTION = "$request.method $request.path"
API_DEFAULTS: Record = {
    "ApiKeySelectionExpression": "$request.header.x-api-key",
    "DisableExecuteApiEndpoint": False,
    "IpAddressType": "ipv4",
}
API_DEFAULTS_BY_PROTOCOL: Mapping[str, Record] = {
    HTTP: {"RouteSelectionExpression": HTTP_ROUTE_SELECTION},
    WEBSOCKET: {"DisableSchemaValidation": False},
}
