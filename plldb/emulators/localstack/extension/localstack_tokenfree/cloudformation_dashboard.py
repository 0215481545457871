"""The CloudFormation type ``AWS::CloudWatch::Dashboard``, which LocalStack 4.14 lacks.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/
aws-resource-cloudwatch-dashboard.html
"""

from typing import Any

from localstack.services.cloudformation.resource_provider import (
    OperationStatus,
    ProgressEvent,
    ResourceProvider,
    ResourceRequest,
)


class DashboardProvider(ResourceProvider):
    TYPE = "AWS::CloudWatch::Dashboard"
    SCHEMA: dict[str, Any] = {
        "typeName": TYPE,
        "primaryIdentifier": ["/properties/DashboardName"],
        "createOnlyProperties": ["/properties/DashboardName"],
        "readOnlyProperties": [],
    }

    def create(self, request: ResourceRequest) -> ProgressEvent:
        default = f"{request.stack_name}-{request.logical_resource_id}"
        model = {"DashboardName": default, **request.desired_state}
        return _put(request, model)

    def update(self, request: ResourceRequest) -> ProgressEvent:
        name = (request.previous_state or {})["DashboardName"]
        return _put(request, request.desired_state | {"DashboardName": name})

    def delete(self, request: ResourceRequest) -> ProgressEvent:
        if name := request.desired_state.get("DashboardName"):
            request.aws_client_factory.cloudwatch.delete_dashboards(DashboardNames=[name])
        return ProgressEvent(OperationStatus.SUCCESS, resource_model={})


def _put(request: ResourceRequest, model: dict[str, Any]) -> ProgressEvent:
    request.aws_client_factory.cloudwatch.put_dashboard(
        DashboardName=model["DashboardName"], DashboardBody=model["DashboardBody"]
    )
    return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)
