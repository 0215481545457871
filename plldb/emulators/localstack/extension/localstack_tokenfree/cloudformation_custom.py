"""Custom resources of templates: a function is called, and answers at a URL.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
"""

import json
import threading
import uuid
from typing import Any

from botocore.exceptions import ClientError
from localstack import config
from localstack.services.cloudformation.resource_provider import (
    OperationStatus,
    ProgressEvent,
    ResourceProvider,
    ResourceRequest,
)
from rolo import Request, Response

Properties = dict[str, Any]

PATH = "/_tokenfree/custom-resources/<token>"
PHYSICAL_ID = "PhysicalResourceId"
# A function that has ended without an answer may have passed the work on; AWS waits an hour.
DEFAULT_PATIENCE_SECONDS = 60.0


class _Answers:
    """Who waits for the answer of which function, by a token that is part of the URL."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[threading.Event, Properties]] = {}

    def expect(self) -> str:
        token = uuid.uuid4().hex
        self._waiting[token] = (threading.Event(), {})
        return token

    def receive(self, token: str, answer: Properties) -> None:
        if waiting := self._waiting.get(token):
            waiting[1].update(answer)
            waiting[0].set()

    def wait(self, token: str, seconds: float) -> Properties | None:
        event, answer = self._waiting[token]
        return answer if event.wait(seconds) else None

    def forget(self, token: str) -> None:
        self._waiting.pop(token, None)


ANSWERS = _Answers()


def install() -> None:
    from localstack.services.edge import ROUTER

    ROUTER.add(path=PATH, endpoint=receive_answer, methods=["PUT"])


def receive_answer(request: Request, token: str) -> Response:
    ANSWERS.receive(token, json.loads(request.get_data() or b"{}"))
    return Response(status=200)


class CustomResourceProvider(ResourceProvider):
    """``Custom::Anything`` and ``AWS::CloudFormation::CustomResource``, backed by a function."""

    TYPE = "AWS::CloudFormation::CustomResource"
    SCHEMA: Properties = {
        "typeName": TYPE,
        "primaryIdentifier": [f"/properties/{PHYSICAL_ID}"],
        "createOnlyProperties": [],
        "readOnlyProperties": [],
    }

    def create(self, request: ResourceRequest) -> ProgressEvent:
        return _run(request, "Create", {})

    def update(self, request: ResourceRequest) -> ProgressEvent:
        """An answer with another physical id has made a new resource: the old one is deleted."""
        before = request.previous_state or {}
        old_id = before.get(PHYSICAL_ID)
        event = _run(
            request,
            "Update",
            {PHYSICAL_ID: old_id, "OldResourceProperties": _given(before)},
        )
        replaced = event.status is OperationStatus.SUCCESS and old_id is not None
        if replaced and event.resource_model[PHYSICAL_ID] != old_id:
            _run(request, "Delete", {PHYSICAL_ID: old_id}, properties=_given(before))
        return event

    def delete(self, request: ResourceRequest) -> ProgressEvent:
        physical_id = request.desired_state.get(PHYSICAL_ID)
        if physical_id is None:  # it was never made
            return ProgressEvent(OperationStatus.SUCCESS, resource_model={})
        return _run(request, "Delete", {PHYSICAL_ID: physical_id})


def _run(
    request: ResourceRequest, action: str, fields: Properties, properties: Properties | None = None
) -> ProgressEvent:
    given = _given(request.desired_state) if properties is None else properties
    function = str(given.get("ServiceToken", ""))
    if ":lambda:" not in function:
        return _failed(f"ServiceToken {function!r} is not the ARN of a function")
    token = ANSWERS.expect()
    try:
        message = {
            "RequestType": action,
            "RequestId": uuid.uuid4().hex,
            "ResponseURL": f"{config.internal_service_url()}{PATH.replace('<token>', token)}",
            "ResourceType": request.resource_type,
            "LogicalResourceId": request.logical_resource_id,
            "StackId": request.stack_id,
            "ServiceToken": function,
            "ResourceProperties": given,
            **fields,
        }
        fault = _call(request, function, message)
        patience = 0.0 if fault else float(given.get("ServiceTimeout") or DEFAULT_PATIENCE_SECONDS)
        answer = ANSWERS.wait(token, patience)
    finally:
        ANSWERS.forget(token)
    if answer is None:
        return _failed(fault or f"{function} did not answer at the ResponseURL")
    if answer.get("Status") != "SUCCESS":
        return _failed(str(answer.get("Reason") or "the function answered FAILED"))
    physical_id = answer.get(PHYSICAL_ID) or fields.get(PHYSICAL_ID) or message["RequestId"]
    data = answer.get("Data") or {}
    return ProgressEvent(
        OperationStatus.SUCCESS,
        resource_model={**given, **data, _PROPERTIES: given, PHYSICAL_ID: physical_id},
    )


# The properties of the template, beside the attributes of the answer: both may have the same name.
_PROPERTIES = "_TemplateProperties"


def _given(model: Properties) -> Properties:
    """The properties of the template, from themselves or from a model that an answer made."""
    return dict(model.get(_PROPERTIES, model))


def _call(request: ResourceRequest, function: str, message: Properties) -> str:
    """Invoke the function; -> why it can't have answered, or nothing."""
    try:
        result = request.aws_client_factory.lambda_.invoke(
            FunctionName=function, Payload=json.dumps(message, default=str)
        )
    except ClientError as error:
        return str(error)
    if not result.get("FunctionError"):
        return ""
    answer = json.loads(result["Payload"].read() or b"{}")
    return f"{function} failed: {answer.get('errorType')}: {answer.get('errorMessage')}"


def _failed(reason: str) -> ProgressEvent:
    return ProgressEvent(OperationStatus.FAILED, resource_model={}, message=reason)
