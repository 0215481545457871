"""How services answer API Gateway, which hands it on to the client: most in JSON, SQS in XML.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-responses.html
"""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from localstack.aws.api import CommonServiceException
from localstack.aws.protocol.serializer import create_serializer
from localstack.aws.spec import load_service
from werkzeug.datastructures import Headers

from .answers import JSON_TYPE, HttpAnswer
from .service_operations import Operation

XML_TYPE = "text/xml"


class JsonAnswers:
    def result(self, result: Mapping[str, Any]) -> HttpAnswer:
        return self._answer(200, result)

    def fault(self, status: int, code: str, says: str) -> HttpAnswer:
        return self._answer(status, {"__type": code, "message": says})

    def _answer(self, status: int, content: Mapping[str, Any]) -> HttpAnswer:
        body = json.dumps(content, default=_shown, separators=(",", ":")).encode()
        return HttpAnswer(status, (("content-type", JSON_TYPE),), body)


def _shown(value: Any) -> Any:
    """Moments as AWS's JSON has them: seconds since 1970."""
    return value.timestamp() if hasattr(value, "timestamp") else str(value)


class XmlAnswers:
    """Those of AWS's query protocol, as LocalStack writes them."""

    def __init__(self, operation: Operation) -> None:
        service = load_service(operation.client, protocol="query")
        self._operation = service.operation_model(operation.name)
        self._serializer = create_serializer(service, protocol="query")

    def result(self, result: Mapping[str, Any]) -> HttpAnswer:
        write = self._serializer.serialize_to_response
        return self._answer(write(result, self._operation, Headers(), str(uuid.uuid4())))

    def fault(self, status: int, code: str, says: str) -> HttpAnswer:
        error = CommonServiceException(code, says, status, sender_fault=status < 500)
        write = self._serializer.serialize_error_to_response
        return self._answer(write(error, self._operation, Headers(), str(uuid.uuid4())))

    def _answer(self, response: Any) -> HttpAnswer:
        return HttpAnswer(response.status_code, (("content-type", XML_TYPE),), response.data)
