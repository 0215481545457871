"""The CloudFormation types ``AWS::ApiGatewayV2::*``, each over three calls of apigatewayv2.

Properties and return values:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_ApiGatewayV2.html
"""

import json
import re
from contextlib import suppress
from typing import Any, ClassVar

from botocore.exceptions import ClientError
from localstack.services.cloudformation.resource_provider import (
    OperationStatus,
    ProgressEvent,
    ResourceProvider,
    ResourceRequest,
)

from .apigatewayv2.kinds import INTEGRATION, KINDS, ROUTE, STAGE
from .apigatewayv2.refusals import ControlPlaneError, NotFoundError
from .apigatewayv2.shapes import check_request
from .apigatewayv2.store import STORE

Properties = dict[str, Any]


class ApiGatewayV2Provider(ResourceProvider):
    """Creates, updates in place and deletes one type.

    A subclass names its ``KIND``, its id, the ids above it, what cannot change without a
    replacement, and what the service fills in. ``ApiId`` may not be among ``CREATE_ONLY``: the
    engine takes any change of the API for a change of that reference, and would replace
    everything below it.
    """

    KIND: ClassVar[str]
    ID: ClassVar[str]
    PARENTS: ClassVar[tuple[str, ...]] = ("ApiId",)
    CREATE_ONLY: ClassVar[tuple[str, ...]] = ()
    READ_ONLY: ClassVar[tuple[str, ...]] = ()
    DEFAULTS: ClassVar[Properties] = {}
    TYPE: ClassVar[str]
    SCHEMA: ClassVar[Properties]

    def __init_subclass__(cls) -> None:
        cls.TYPE = f"AWS::ApiGatewayV2::{cls.KIND}"
        cls.SCHEMA = {
            "typeName": cls.TYPE,
            # A single field: with more of them Ref would not be the bare id.
            "primaryIdentifier": [f"/properties/{cls.ID}"],
            "createOnlyProperties": [f"/properties/{name}" for name in cls.CREATE_ONLY],
            "readOnlyProperties": [f"/properties/{name}" for name in cls.READ_ONLY],
        }

    def create(self, request: ResourceRequest) -> ProgressEvent:
        model: Properties = {**self.DEFAULTS, **request.desired_state}
        created = self._call(request, "create", _without(model, self.READ_ONLY))
        return _success(model | {name: created.get(name) for name in self.READ_ONLY})

    def update(self, request: ResourceRequest) -> ProgressEvent:
        kept = {
            name: request.previous_state[name]
            for name in (*self.READ_ONLY, self.ID)
            if name in request.previous_state
        }
        model: Properties = {**self.DEFAULTS, **request.desired_state, **kept}
        try:
            self._set(request, model)
        except (ClientError, ControlPlaneError) as error:
            # LocalStack would take what isn't found for done, and keep the reason of the rest.
            return ProgressEvent(OperationStatus.FAILED, resource_model={}, message=str(error))
        return _success(model)

    def _set(self, request: ResourceRequest, model: Properties) -> None:
        """Make the resource what ``model`` says. What has left the template gets its default."""
        kind = next(kind for kind in KINDS if kind.name == self.KIND)
        ids = {name: model[name] for name in (*self.PARENTS, self.ID)}
        STORE.replace(kind, ids | self._parameters(request, "create", model))

    def delete(self, request: ResourceRequest) -> ProgressEvent:
        model = request.desired_state
        if self.ID in model:  # else an update deleted it, and the engine asks once more
            # Deleting the API takes everything below it along.
            with suppress(request.aws_client_factory.apigatewayv2.exceptions.NotFoundException):
                self._call(request, "delete", model)
        return _success({})

    def _call(self, request: ResourceRequest, verb: str, model: Properties) -> Properties:
        """One call of the boto3 client."""
        result: Properties = getattr(
            request.aws_client_factory.apigatewayv2, f"{verb}_{_snake(self.KIND)}"
        )(**self._parameters(request, verb, model))
        return result

    def _parameters(self, request: ResourceRequest, verb: str, model: Properties) -> Properties:
        """What of ``model`` the operation knows, in the types of its fields."""
        client = request.aws_client_factory.apigatewayv2
        shape = client.meta.service_model.operation_model(f"{verb.title()}{self.KIND}").input_shape
        known = {name: value for name, value in model.items() if name in shape.members}
        parameters: Properties = _coerce(known, shape)
        if verb == "create":
            check_request(shape, parameters)
        return parameters


class ApiProvider(ApiGatewayV2Provider):
    """An API of its own properties, or one that an OpenAPI ``Body`` describes.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/
    aws-resource-apigatewayv2-api.html
    """

    KIND = "Api"
    ID = "ApiId"
    PARENTS = ()
    CREATE_ONLY = ("ProtocolType",)
    READ_ONLY = ("ApiId", "ApiEndpoint")

    def create(self, request: ResourceRequest) -> ProgressEvent:
        model = request.desired_state
        body = _body(request)
        if body is None:
            return super().create(request)
        created = request.aws_client_factory.apigatewayv2.import_api(**_import(body, model))
        model |= {name: created[name] for name in self.READ_ONLY}
        self._set_beside_body(request, model)
        return _success(model)

    def delete(self, request: ResourceRequest) -> ProgressEvent:
        """The engine may come to an API before its mappings, which are of the same stack."""
        if api_id := request.desired_state.get(self.ID):
            with suppress(NotFoundError):
                STORE.delete_api(api_id)
        return _success({})

    def _set(self, request: ResourceRequest, model: Properties) -> None:
        body = _body(request)
        if body is None:
            parameters = self._parameters(request, "create", model)
            STORE.replace_api(model["ApiId"], _without(parameters, ("ProtocolType",)))
            return
        client = request.aws_client_factory.apigatewayv2
        client.reimport_api(ApiId=model["ApiId"], **_import(body, model))
        self._set_beside_body(request, model)

    def _set_beside_body(self, request: ResourceRequest, model: Properties) -> None:
        """What the template says beside the body goes before it."""
        parameters = self._parameters(request, "update", _without(model, ("Target", "RouteKey")))
        STORE.update_api(model["ApiId"], _without(parameters, ("ApiId",)))
        tags = {str(name): str(value) for name, value in (model.get("Tags") or {}).items()}
        if tags:
            STORE.set_tags(
                f"arn:aws:apigateway:{request.region_name}::/apis/{model['ApiId']}", tags
            )


class ApiGatewayManagedOverridesProvider(ApiGatewayV2Provider):
    """Settings of the integration, route and stage that quick create has made.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/
    aws-resource-apigatewayv2-apigatewaymanagedoverrides.html
    """

    KIND = "ApiGatewayManagedOverrides"
    ID = "Id"
    READ_ONLY = ("Id",)

    def create(self, request: ResourceRequest) -> ProgressEvent:
        model = request.desired_state
        self._set(request, model)
        return _success(model | {"Id": f"{model['ApiId']}-overrides"})

    def _set(self, request: ResourceRequest, model: Properties) -> None:
        client = request.aws_client_factory.apigatewayv2
        for kind in (INTEGRATION, ROUTE, STAGE):
            wanted = model.get(kind.name)
            if not wanted:
                continue
            operation = client.meta.service_model.operation_model(f"Update{kind.name}")
            ids = {"ApiId": model["ApiId"]}
            for record in STORE.list(kind, ids):
                if record.get("ApiGatewayManaged"):
                    fields = _coerce(wanted, operation.input_shape)
                    STORE.update(kind, ids | {kind.id_field: record[kind.id_field]} | fields)

    def delete(self, request: ResourceRequest) -> ProgressEvent:
        return _success({})


class AuthorizerProvider(ApiGatewayV2Provider):
    KIND = "Authorizer"
    ID = "AuthorizerId"
    READ_ONLY = ("AuthorizerId",)
    DEFAULTS: ClassVar[Properties] = {"IdentitySource": []}


class DeploymentProvider(ApiGatewayV2Provider):
    KIND = "Deployment"
    ID = "DeploymentId"
    CREATE_ONLY = ("StageName",)
    READ_ONLY = ("DeploymentId",)


class IntegrationProvider(ApiGatewayV2Provider):
    KIND = "Integration"
    ID = "IntegrationId"
    READ_ONLY = ("IntegrationId",)

    def _parameters(self, request: ResourceRequest, verb: str, model: Properties) -> Properties:
        """Templates have a list where the API has a map: what becomes of a response, by its status.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/
        aws-properties-apigatewayv2-integration-responseparametermap.html
        """
        if by_status := model.get("ResponseParameters"):
            mapped = {str(status): _as_map(changes) for status, changes in by_status.items()}
            model = {**model, "ResponseParameters": mapped}
        return super()._parameters(request, verb, model)


class IntegrationResponseProvider(ApiGatewayV2Provider):
    KIND = "IntegrationResponse"
    ID = "IntegrationResponseId"
    PARENTS = ("ApiId", "IntegrationId")
    READ_ONLY = ("IntegrationResponseId",)


class ModelProvider(ApiGatewayV2Provider):
    KIND = "Model"
    ID = "ModelId"
    READ_ONLY = ("ModelId",)

    def _parameters(self, request: ResourceRequest, verb: str, model: Properties) -> Properties:
        """Templates have a schema as an object, the API as text."""
        if isinstance(schema := model.get("Schema"), dict):
            model = {**model, "Schema": json.dumps(schema)}
        return super()._parameters(request, verb, model)


class RouteProvider(ApiGatewayV2Provider):
    KIND = "Route"
    ID = "RouteId"
    READ_ONLY = ("RouteId",)


class RouteResponseProvider(ApiGatewayV2Provider):
    KIND = "RouteResponse"
    ID = "RouteResponseId"
    PARENTS = ("ApiId", "RouteId")
    READ_ONLY = ("RouteResponseId",)


class StageProvider(ApiGatewayV2Provider):
    KIND = "Stage"
    ID = "StageName"
    CREATE_ONLY = ("StageName",)


class DomainNameProvider(ApiGatewayV2Provider):
    KIND = "DomainName"
    ID = "DomainName"
    PARENTS = ()
    CREATE_ONLY = ("DomainName",)
    READ_ONLY = ("DomainNameArn", "RegionalDomainName", "RegionalHostedZoneId")

    def create(self, request: ResourceRequest) -> ProgressEvent:
        model = request.desired_state
        created = self._call(request, "create", model)
        configurations = created.get("DomainNameConfigurations") or [{}]
        return _success(
            model
            | {
                "DomainNameArn": created["DomainNameArn"],
                "RegionalDomainName": configurations[0].get("ApiGatewayDomainName", ""),
                "RegionalHostedZoneId": configurations[0].get("HostedZoneId", ""),
            }
        )

    def _set(self, request: ResourceRequest, model: Properties) -> None:
        self._call(request, "update", model)


class ApiMappingProvider(ApiGatewayV2Provider):
    KIND = "ApiMapping"
    ID = "ApiMappingId"
    PARENTS = ("DomainName",)
    CREATE_ONLY = ("DomainName",)
    READ_ONLY = ("ApiMappingId",)

    def _set(self, request: ResourceRequest, model: Properties) -> None:
        self._call(request, "update", {"ApiMappingKey": "", **model})


class VpcLinkProvider(ApiGatewayV2Provider):
    KIND = "VpcLink"
    ID = "VpcLinkId"
    PARENTS = ()
    CREATE_ONLY = ("SecurityGroupIds", "SubnetIds")
    READ_ONLY = ("VpcLinkId",)

    def _set(self, request: ResourceRequest, model: Properties) -> None:
        self._call(request, "update", model)


PROVIDERS: dict[str, type[ApiGatewayV2Provider]] = {
    provider.KIND: provider for provider in ApiGatewayV2Provider.__subclasses__()
}


def _body(request: ResourceRequest) -> str | None:
    """The OpenAPI document of an API's properties, inline or in S3, as text."""
    model = request.desired_state
    if place := model.get("BodyS3Location"):
        wanted = {"Bucket": place["Bucket"], "Key": place["Key"]}
        if place.get("Version"):
            wanted["VersionId"] = place["Version"]
        text: bytes = request.aws_client_factory.s3.get_object(**wanted)["Body"].read()
        return text.decode()
    if body := model.get("Body"):
        return body if isinstance(body, str) else json.dumps(body)
    return None


def _import(body: str, model: Properties) -> Properties:
    parameters: Properties = {
        "Body": body,
        "FailOnWarnings": str(model.get("FailOnWarnings", False)).lower() == "true",
    }
    if base_path := model.get("BasePath"):
        parameters["Basepath"] = base_path
    return parameters


def _as_map(changes: Properties) -> Properties:
    listed = changes.get("ResponseParameters")
    if not isinstance(listed, list):
        return changes
    return {change["Destination"]: change["Source"] for change in listed}


def _success(model: Properties) -> ProgressEvent:
    return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)


def _without(properties: Properties, names: Any) -> Properties:
    return {name: value for name, value in properties.items() if name not in names}


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _coerce(value: Any, shape: Any) -> Any:
    """Templates may write numbers and booleans as strings, and ``2.0`` for ``"2.0"``."""
    if shape.type_name == "structure" and isinstance(value, dict):
        return {k: _coerce(v, shape.members[k]) for k, v in value.items() if k in shape.members}
    if shape.type_name == "map" and isinstance(value, dict):
        return {k: _coerce(v, shape.value) for k, v in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_coerce(item, shape.member) for item in value]
    if isinstance(value, str):
        return _from_string(value, shape.type_name)
    if shape.type_name == "string" and isinstance(value, (int, float)):
        return json.dumps(value)
    return value


def _from_string(value: str, type_name: str) -> Any:
    if type_name == "boolean":
        return value.lower() == "true"
    if type_name in ("integer", "long"):
        return int(value)
    if type_name in ("double", "float"):
        return float(value)
    return value
