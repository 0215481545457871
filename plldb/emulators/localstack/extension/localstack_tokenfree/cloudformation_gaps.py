"""What LocalStack's own CloudFormation leaves out, or takes longer over than it needs."""

import os
from collections.abc import Callable
from typing import Any

from localstack import config
from localstack.services.cloudformation.engine.v2 import change_set_model_executor
from localstack.services.cloudformation.resource_provider import (
    OperationStatus,
    ProgressEvent,
    ResourceProviderExecutor,
    ResourceRequest,
)
from localstack.services.dynamodb.resource_providers.aws_dynamodb_table import (
    DynamoDBTableProvider,
)
from localstack.services.logs.resource_providers.aws_logs_loggroup import LogsLogGroupProvider
from localstack.utils.patch import patch

Model = dict[str, Any]
Original = Callable[[Any, ResourceRequest], ProgressEvent]


# Between two looks at a resource that is not ready yet. LocalStack's own second is most of the
# time that a function takes: it is ready in a tenth of that.
_POLL_SECONDS = 0.1


def install() -> None:
    change_set_model_executor.should_ignore_unsupported_resource_type = may_be_left_out
    patch(ResourceProviderExecutor.deploy_loop)(_looking_often)
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
