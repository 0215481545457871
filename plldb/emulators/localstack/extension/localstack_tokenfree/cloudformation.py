"""The CloudFormation types ``AWS::ApiGatewayV2::*``, each over three calls of apigatewayv2.

Properties and return values:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_ApiGatewayV2.html
"""

import re
from contextlib import suppress
from typing import Any, ClassVar

from localstack.services.cloudformation.resource_provider import (
    OperationStatus,
    ProgressEvent,
    ResourceProvider,
    ResourceRequest,
)

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
        return _success(model | {name: created[name] for name in self.READ_ONLY})

    def update(self, request: ResourceRequest) -> ProgressEvent:
        kept = {
            name: request.previous_state[name]
            for name in (*self.READ_ONLY, self.ID)
            if name in request.previous_state
        }
        model: Properties = {**self.DEFAULTS, **request.desired_state, **kept}
        unchangeable = {*self.CREATE_ONLY, *self.READ_ONLY} - {self.ID, *self.PARENTS}
        self._call(request, "update", _without(model, unchangeable))
        return _success(model)

    def delete(self, request: ResourceRequest) -> ProgressEvent:
        model = request.desired_state
        if self.ID in model:  # else an update deleted it, and the engine asks once more
            # Deleting the API takes everything below it along.
            with suppress(request.aws_client_factory.apigatewayv2.exceptions.NotFoundException):
                self._call(request, "delete", model)
        return _success({})

    def _call(self, request: ResourceRequest, verb: str, parameters: Properties) -> Properties:
        """One call of the boto3 client, with the parameters that the operation knows."""
        client = request.aws_client_factory.apigatewayv2
        operation = client.meta.service_model.operation_model(f"{verb.title()}{self.KIND}")
        known = {k: v for k, v in parameters.items() if k in operation.input_shape.members}
        result: Properties = getattr(client, f"{verb}_{_snake(self.KIND)}")(
            **_coerce(known, operation.input_shape)
        )
        return result


class ApiProvider(ApiGatewayV2Provider):
    KIND = "Api"
    ID = "ApiId"
    PARENTS = ()
    CREATE_ONLY = ("ProtocolType",)
    READ_ONLY = ("ApiId", "ApiEndpoint")


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


class IntegrationResponseProvider(ApiGatewayV2Provider):
    KIND = "IntegrationResponse"
    ID = "IntegrationResponseId"
    PARENTS = ("ApiId", "IntegrationId")
    READ_ONLY = ("IntegrationResponseId",)


class ModelProvider(ApiGatewayV2Provider):
    KIND = "Model"
    ID = "ModelId"
    READ_ONLY = ("ModelId",)


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


PROVIDERS: dict[str, type[ApiGatewayV2Provider]] = {
    provider.KIND: provider for provider in ApiGatewayV2Provider.__subclasses__()
}


def _success(model: Properties) -> ProgressEvent:
    return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)


def _without(properties: Properties, names: Any) -> Properties:
    return {name: value for name, value in properties.items() if name not in names}


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _coerce(value: Any, shape: Any) -> Any:
    """Templates may write numbers and booleans as strings; boto3 refuses that."""
    if shape.type_name == "structure" and isinstance(value, dict):
        return {k: _coerce(v, shape.members[k]) for k, v in value.items() if k in shape.members}
    if shape.type_name == "map" and isinstance(value, dict):
        return {k: _coerce(v, shape.value) for k, v in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_coerce(item, shape.member) for item in value]
    if isinstance(value, str):
        return _from_string(value, shape.type_name)
    return value


def _from_string(value: str, type_name: str) -> Any:
    if type_name == "boolean":
        return value.lower() == "true"
    if type_name in ("integer", "long"):
        return int(value)
    if type_name in ("double", "float"):
        return float(value)
    return value
