"""Functions that can't run here are refused when they are created, not when they are called.

``TOKENFREE_LAMBDA_UNSUPPORTED=accept`` lets them pass, for stacks whose other functions matter.
"""

from typing import Any

from localstack.aws import handlers
from localstack.aws.api import RequestContext
from localstack.aws.api.lambda_ import InvalidParameterValueException

from ..settings import SETTINGS
from .runtimes import refusal


def install() -> None:
    if SETTINGS.lambda_unsupported == "accept":
        return
    handlers.serve_custom_service_request_handlers.append(refuse_what_can_not_run)


def refuse_what_can_not_run(_chain: Any, context: RequestContext, _response: Any) -> None:
    if not context.operation or context.operation.name != "CreateFunction":
        return
    request: dict[str, Any] = dict(context.service_request or {})
    if reason := refusal(request.get("Runtime") or "", request.get("PackageType") or "Zip"):
        raise InvalidParameterValueException(reason, Type="User")
