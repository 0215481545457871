"""Entry points. LocalStack imports this module early, so everything heavy is imported on load."""

from typing import Any

from localstack.runtime import hooks
from localstack.services.cloudformation.resource_provider import (
    CloudFormationResourceProviderPlugin,
)
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


class SubprocessExecutorPlugin(RuntimeExecutorPlugin):
    """Chosen by ``LAMBDA_RUNTIME_EXECUTOR=subprocess``."""

    name = "subprocess"

    def load(self, *args: Any, **kwargs: Any) -> type:
        from .lambda_runtime.executor import SubprocessRuntimeExecutor

        return SubprocessRuntimeExecutor


@hooks.on_runtime_create()
def prepare_certificate() -> None:
    from . import certificate

    certificate.prepare()


@hooks.on_infra_start()
def install() -> None:
    """Add this package's routes and request handlers to the running LocalStack."""
    from . import (
        certificate,
        cloudformation_gaps,
        cloudformation_names,
        diagnostics,
        execute_api,
        rest_iam,
        websocket,
    )
    from .lambda_runtime import assignment

    execute_api.install()
    websocket.install()
    rest_iam.install()
    diagnostics.install()
    certificate.install()
    cloudformation_gaps.install()
    cloudformation_names.install()
    assignment.install()


def _cloudformation_plugin(kind: str) -> PluginSpec:
    class ResourceProviderPlugin(CloudFormationResourceProviderPlugin):
        name = f"AWS::ApiGatewayV2::{kind}"

        def load(self, *args: Any, **kwargs: Any) -> None:
            from . import cloudformation

            self.factory = cloudformation.PROVIDERS[kind]

    return PluginSpec(
        ResourceProviderPlugin.namespace, ResourceProviderPlugin.name, ResourceProviderPlugin
    )


cloudformation_api = _cloudformation_plugin("Api")
cloudformation_authorizer = _cloudformation_plugin("Authorizer")
cloudformation_deployment = _cloudformation_plugin("Deployment")
cloudformation_integration = _cloudformation_plugin("Integration")
cloudformation_integration_response = _cloudformation_plugin("IntegrationResponse")
cloudformation_model = _cloudformation_plugin("Model")
cloudformation_route = _cloudformation_plugin("Route")
cloudformation_route_response = _cloudformation_plugin("RouteResponse")
cloudformation_stage = _cloudformation_plugin("Stage")
