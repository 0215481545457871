"""Kinesis on moto: LocalStack's own is a server for Node that it would download."""

from localstack.aws.api import RequestContext, ServiceRequest, ServiceResponse
from localstack.aws.skeleton import Skeleton
from localstack.aws.spec import load_service
from localstack.services.moto import call_moto
from localstack.services.plugins import Service


def create_service() -> Service:
    model = load_service("kinesis")
    return Service(
        "kinesis", skeleton=Skeleton(model, dict.fromkeys(model.operation_names, _call_moto))
    )


def _call_moto(context: RequestContext, _: ServiceRequest) -> ServiceResponse:
    return call_moto(context)
