"""Entry points. LocalStack imports this module early, so everything heavy is imported on load."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from localstack.runtime import hooks
from localstack.services.cloudformation.resource_provider import (
    CloudFormationResourceProviderPlugin,
)
from localstack.services.lambda_ import hooks as lambda_hooks
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.plugins import Service, aws_provider
from plux import PluginSpec


@aws_provider(api="apigatewayv2")
def apigatewayv2() -> Service:
    from .apigatewayv2.service import create_service

    return create_service()


@aws_provider(api="dynamodb", name="moto")
def dynamodb() -> Service:
    from .dynamodb import create_service

    return create_service()


@aws_provider(api="dynamodbstreams", name="moto")
def dynamodbstreams() -> Service:
    from .dynamodb_streams import create_service

    return create_service()


@aws_provider(api="kinesis", name="moto")
def kinesis() -> Service:
    from .kinesis import create_service

    return create_service()


class SubprocessExecutorPlugin(RuntimeExecutorPlugin):
    """Chosen by ``LAMBDA_RUNTIME_EXECUTOR=subprocess``."""

    name = "subprocess"

    def load(self, *args: Any, **kwargs: Any) -> type:
        from .lambda_runtime.executor import SubprocessRuntimeExecutor

        return SubprocessRuntimeExecutor


@lambda_hooks.inject_layer_fetcher()
def find_foreign_layers(provider: Any) -> None:
    from .lambda_runtime.foreign_layers import LayerFolder
    from .settings import SETTINGS

    provider.layer_fetcher = LayerFolder(Path(SETTINGS.lambda_layers))


@hooks.on_runtime_create()
def prepare_certificate() -> None:
    from . import certificate

    certificate.prepare()


@hooks.on_infra_start()
def install() -> None:
    """Add this package's routes and request handlers to the running LocalStack."""
    from . import (
        certificate,
        cloudformation_custom,
        cloudformation_gaps,
        cloudformation_generated,
        cloudformation_lists,
        cloudformation_names,
        diagnostics,
        emulator_requests,
        execute_api,
        rest_iam,
        rest_names,
        retention,
        serving,
        state_machines,
    )
    from .lambda_runtime import assignment, deployment, reports

    execute_api.install()
    emulator_requests.install()
    serving.install()
    rest_iam.install()
    rest_names.install()
    retention.install()
    state_machines.install()
    diagnostics.install()
    certificate.install()
    cloudformation_custom.install()
    cloudformation_gaps.install()
    cloudformation_generated.install()
    cloudformation_lists.install()
    cloudformation_names.install()
    assignment.install()
    reports.install()
    deployment.install()


def _resource_type(type_name: str, find: Callable[[], type]) -> PluginSpec:
    """A type of CloudFormation's. ``find`` imports the class that provides it."""

    class ResourceProviderPlugin(CloudFormationResourceProviderPlugin):
        name = type_name

        def load(self, *args: Any, **kwargs: Any) -> None:
            self.factory = find()

    return PluginSpec(
        ResourceProviderPlugin.namespace, ResourceProviderPlugin.name, ResourceProviderPlugin
    )


def _cloudformation_plugin(kind: str) -> PluginSpec:
    def find() -> type:
        from . import cloudformation

        return cloudformation.PROVIDERS[kind]

    return _resource_type(f"AWS::ApiGatewayV2::{kind}", find)


def _custom_resource() -> type:
    from .cloudformation_custom import CustomResourceProvider

    return CustomResourceProvider


def _dashboard() -> type:
    from .cloudformation_dashboard import DashboardProvider

    return DashboardProvider


def _record_set_group() -> type:
    from .cloudformation_records import RecordSetGroupProvider

    return RecordSetGroupProvider


cloudformation_record_set_group = _resource_type("AWS::Route53::RecordSetGroup", _record_set_group)
cloudformation_custom_resource = _resource_type(
    "AWS::CloudFormation::CustomResource", _custom_resource
)
cloudformation_dashboard = _resource_type("AWS::CloudWatch::Dashboard", _dashboard)
cloudformation_api = _cloudformation_plugin("Api")
cloudformation_api_mapping = _cloudformation_plugin("ApiMapping")
cloudformation_authorizer = _cloudformation_plugin("Authorizer")
cloudformation_deployment = _cloudformation_plugin("Deployment")
cloudformation_domain_name = _cloudformation_plugin("DomainName")
cloudformation_integration = _cloudformation_plugin("Integration")
cloudformation_integration_response = _cloudformation_plugin("IntegrationResponse")
cloudformation_managed_overrides = _cloudformation_plugin("ApiGatewayManagedOverrides")
cloudformation_model = _cloudformation_plugin("Model")
cloudformation_route = _cloudformation_plugin("Route")
cloudformation_route_response = _cloudformation_plugin("RouteResponse")
cloudformation_stage = _cloudformation_plugin("Stage")
cloudformation_vpc_link = _cloudformation_plugin("VpcLink")
