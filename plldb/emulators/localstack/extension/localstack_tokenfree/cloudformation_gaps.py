"""What LocalStack's own CloudFormation leaves out, or takes longer over than it needs."""

import os
from collections.abc import Callable
from typing import Any

from localstack import config
from localstack.aws.api.cloudformation import ResourceStatus
from localstack.services.cloudformation.engine.v2 import change_set_model_executor
from localstack.services.cloudformation.engine.v2.change_set_model import ChangeType, Nothing
from localstack.services.cloudformation.engine.v2.change_set_model_preproc import (
    PreprocEntityDelta,
)
from localstack.services.cloudformation.resource_provider import (
    OperationStatus,
    ProgressEvent,
    ResourceProviderExecutor,
    ResourceRequest,
)
from localstack.services.cloudformation.resource_providers.aws_cloudformation_stack import (
    CloudFormationStackProvider,
)
from localstack.services.dynamodb.resource_providers.aws_dynamodb_table import (
    DynamoDBTableProvider,
)
from localstack.services.logs.resource_providers.aws_logs_loggroup import LogsLogGroupProvider
from localstack.utils.patch import patch

from .apigatewayv2.store import STORE

Model = dict[str, Any]
Original = Callable[[Any, ResourceRequest], ProgressEvent]


DEPLOYMENT = "AWS::ApiGatewayV2::Deployment"
# Between two looks at a resource that is not ready yet. LocalStack's own second is most of the
# time that a function takes: it is ready in a tenth of that.
_POLL_SECONDS = 0.1


def install() -> None:
    change_set_model_executor.should_ignore_unsupported_resource_type = may_be_left_out
    patch(ResourceProviderExecutor.deploy_loop)(_looking_often)
    patch(change_set_model_executor.ChangeSetModelExecutor.execute)(_completed)
    patch(change_set_model_executor.ChangeSetModelExecutor.visit_node_resource)(_unless_never_made)
    patch(CloudFormationStackProvider.create)(_with_reason)
    patch(DynamoDBTableProvider.create)(_followed_by(set_point_in_time_recovery))
    patch(LogsLogGroupProvider.create)(_followed_by(set_retention))


def may_be_left_out(resource_type: str, change_set_type: str) -> bool:
    """Whether a type that nobody provides passes as done.

    LocalStack says yes to all, and such a resource has the id ``unknown``. Here it fails by name,
    unless one of LocalStack's own variables allows it: ``CFN_IGNORE_UNSUPPORTED_RESOURCE_TYPES=1``,
    or a list in ``CFN_IGNORE_UNSUPPORTED_TYPE_CREATE`` and ``..._UPDATE``.
    """
    if "CFN_IGNORE_UNSUPPORTED_RESOURCE_TYPES" in os.environ:
        return bool(config.CFN_IGNORE_UNSUPPORTED_RESOURCE_TYPES)
    if change_set_type == "CREATE":
        return resource_type in config.CFN_IGNORE_UNSUPPORTED_TYPE_CREATE
    return resource_type in config.CFN_IGNORE_UNSUPPORTED_TYPE_UPDATE


def _looking_often(
    original: Callable[..., ProgressEvent], executor: Any, *arguments: Any, **options: Any
) -> ProgressEvent:
    return original(executor, *arguments, **{"sleep_time": _POLL_SECONDS} | options)


def _completed(original: Callable[[Any], Any], executor: Any) -> Any:
    """The stack has its outputs before LocalStack says that it is complete, not a moment later.

    And new deployments have all routes of their stack. AWS makes at the same time what depends on
    nothing, so that routes are there before a deployment that waits for one of them and its
    function; LocalStack makes one after the other.
    """
    result = original(executor)
    stack = executor._change_set.stack
    if not result.failure_message:
        for name, resource in result.resources.items():
            known = stack.resolved_resources.get(name, {}).get("PhysicalResourceId")
            made = resource.get("PhysicalResourceId")
            if resource.get("Type") == DEPLOYMENT and made and made != known:
                STORE.deploy_again(resource["Properties"]["ApiId"], made)
        stack.resolved_outputs = result.outputs
    return result


def _unless_never_made(original: Callable[..., Any], executor: Any, node_resource: Any) -> Any:
    """A stack whose creation failed is deleted as far as it was made. LocalStack would stop at the
    first resource that never was, whose references lead nowhere, and leave the others."""
    if node_resource.change_type == ChangeType.REMOVED:
        made = executor._change_set.stack.resolved_resources.get(node_resource.name)
        if made is None or made.get("ResourceStatus") == ResourceStatus.CREATE_FAILED:
            return PreprocEntityDelta(before=Nothing, after=Nothing)
    return original(executor, node_resource=node_resource)


def _with_reason(original: Original, provider: Any, request: ResourceRequest) -> ProgressEvent:
    """Why a nested stack failed. LocalStack says nothing, and takes no reason for no failure: the
    stack around would be complete."""
    event = original(provider, request)
    if event.status == OperationStatus.FAILED and not event.message:
        stack_id = event.resource_model["Id"]
        events = request.aws_client_factory.cloudformation.describe_stack_events(StackName=stack_id)
        reasons = [
            f"{each['LogicalResourceId']}: {each['ResourceStatusReason']}"
            for each in events["StackEvents"]
            if each["ResourceStatus"] == "CREATE_FAILED" and each.get("ResourceStatusReason")
        ]
        event.message = f"Embedded stack {stack_id} was not successfully created: " + "; ".join(
            reasons
        )
    return event


def set_point_in_time_recovery(clients: Any, wanted: Model, table: Model) -> None:
    if specification := wanted.get("PointInTimeRecoverySpecification"):
        enabled = str(specification["PointInTimeRecoveryEnabled"]).lower() == "true"
        clients.dynamodb.update_continuous_backups(
            TableName=table["TableName"],
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": enabled},
        )


def set_retention(clients: Any, wanted: Model, log_group: Model) -> None:
    if days := wanted.get("RetentionInDays"):
        clients.logs.put_retention_policy(
            logGroupName=log_group["LogGroupName"], retentionInDays=int(days)
        )


def _followed_by(
    complete: Callable[[Any, Model, Model], None],
) -> Callable[[Original, Any, ResourceRequest], ProgressEvent]:
    def create(original: Original, provider: Any, request: ResourceRequest) -> ProgressEvent:
        event = original(provider, request)
        if event.status == OperationStatus.SUCCESS:
            complete(request.aws_client_factory, request.desired_state, event.resource_model)
        return event

    return create
