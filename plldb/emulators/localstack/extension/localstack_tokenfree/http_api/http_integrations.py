"""Calling what is behind a route of an HTTP API: a function, a URL, an operation of a service.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations.html
"""

import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from localstack.aws.connect import connect_to

from ..apigatewayv2.kinds import DEFAULT_ROUTE
from ..websocket import functions
from ..websocket.executors import DeadlineError, in_time
from .answers import HttpAnswer, IntegrationError, UnavailableError, read_answer
from .http_expressions import evaluate
from .outgoing import send
from .parameter_mapping import OVERWRITE_HOST, OVERWRITE_PATH, SAFE_IN_PATH, map_request
from .payloads import Call, Event, Record, integration_event
from .service_answers import JsonAnswers, XmlAnswers
from .service_operations import OPERATIONS, operation_parameters

T = TypeVar("T")
_FUNCTION = re.compile(r"arn:[^:]+:lambda:[^:]+:\d*:function:[^/]+")
DEFAULT_SECONDS = 30.0
# Operations like StartSyncExecution have a host of their own on AWS, before the endpoint's name.
CLIENT = Config(inject_host_prefix=False)


class FunctionError(IntegrationError):
    """The function failed, is missing, or isn't one. ``message`` is the function's own, if any."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UnsupportedError(IntegrationError):
    """AWS could do it, this emulator can't."""

    status = 501
    says = "This emulator does not support the route's integration"


class Functions:
    """Invokes functions by what an API says of them."""

    def call(self, uri: str, call: Call, event: Event) -> Any:
        """The decoded answer of a function. ``uri`` is its ARN or API Gateway's URI around it, and
        may have stage variables in it. Raises FunctionError."""
        resolved = evaluate(uri, call) or ""
        match = _FUNCTION.search(resolved)
        if match is None:
            raise FunctionError(f"not a Lambda function: {uri}")
        try:
            return functions.call_function(match[0], call.region, event)
        except functions.IntegrationError as error:
            raise FunctionError(error.message) from error


def call_integration(lambdas: Functions, integration: Record, call: Call) -> HttpAnswer:
    """Raises IntegrationError."""
    seconds = (integration.get("TimeoutInMillis") or DEFAULT_SECONDS * 1000) / 1000
    kind = integration.get("IntegrationType")
    uri = str(integration.get("IntegrationUri") or "")
    if integration.get("ConnectionType") == "VPC_LINK" and uri.startswith("arn:"):
        raise UnsupportedError(f"there is no load balancer here behind {uri}")
    if kind == "HTTP_PROXY":
        return _call_url(integration, call, seconds)
    if kind == "AWS_PROXY" and integration.get("IntegrationSubtype"):
        return within(seconds, lambda: _call_service(integration, call))
    if kind == "AWS_PROXY":
        return within(seconds, lambda: _call_function(lambdas, integration, call))
    raise UnsupportedError(f"integrations of type {kind} are not supported")


def within(seconds: float, work: Callable[[], T]) -> T:
    """What ``work`` returns, if it does in time; else UnavailableError, and ``work`` goes on.

    A thread of its own: nothing waits for a place.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  # raised again where it is waited for
            future.set_exception(error)

    threading.Thread(target=run, name="http-integration", daemon=True).start()
    try:
        return in_time(future, seconds)
    except DeadlineError as error:
        raise UnavailableError(f"no answer within {seconds} s") from error


def _call_function(lambdas: Functions, integration: Record, call: Call) -> HttpAnswer:
    version = str(integration.get("PayloadFormatVersion") or "1.0")
    event = integration_event(_mapped(integration, call), version)
    answer = lambdas.call(str(integration.get("IntegrationUri", "")), call, event)
    return read_answer(answer, version)


def _mapped(integration: Record, call: Call) -> Call:
    mapping = integration.get("RequestParameters")
    if not mapping:
        return call
    request = map_request(mapping, call)
    path = request.decoded_path if OVERWRITE_PATH in mapping else call.path
    return replace(call, request=request, path=path)


def _call_url(integration: Record, call: Call, seconds: float) -> HttpAnswer:
    """Forward the request: query, headers and body as they are, unless the mapping changes them.

    The Host is the URL's, if the mapping does not overwrite it. ``{name}`` in the URL stands for a
    path parameter. The route ``$default`` adds the whole path:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
    """
    mapping = integration.get("RequestParameters") or {}
    request = map_request(mapping, call)
    url = evaluate(str(integration.get("IntegrationUri", "")), call) or ""
    for name, value in request.path_parameters.items():
        for spelled in (f"{{{name}}}", f"{{{name}+}}"):
            url = url.replace(spelled, quote(value, safe=SAFE_IN_PATH))
    if call.route_key == DEFAULT_ROUTE:
        url = f"{url.rstrip('/')}{quote(call.path, safe=SAFE_IN_PATH)}"
    if OVERWRITE_PATH in mapping:
        scheme, _, rest = url.partition("://")
        url = f"{scheme}://{rest.partition('/')[0]}{request.path}"
    if request.query:
        url += f"{'&' if '?' in url else '?'}{request.query}"
    method = integration.get("IntegrationMethod") or "ANY"
    method = request.method if method == "ANY" else method
    forwarded = f"by=127.0.0.1;for={request.source_ip};host={call.domain_name};proto=https"
    has_host = any(target.lower() == OVERWRITE_HOST for target in mapping)
    headers = [pair for pair in request.headers if has_host or pair[0] != "host"]
    headers += [("forwarded", forwarded), ("via", "HTTP/1.1 AmazonAPIGateway")]
    return send(method, url, headers, request.body, seconds)


def _call_service(integration: Record, call: Call) -> HttpAnswer:
    operation = OPERATIONS[integration["IntegrationSubtype"]]
    mapping = integration.get("RequestParameters") or {}
    values = {name: evaluate(expression, call) for name, expression in mapping.items()}
    region = values.pop("Region", None) or call.region
    client = getattr(connect_to(region_name=region, config=CLIENT), operation.client)
    shape = client.meta.service_model.operation_model(operation.name).input_shape
    answers = XmlAnswers(operation) if operation.client == "sqs" else JsonAnswers()
    try:
        parameters = operation_parameters(operation, values, shape)
        result = getattr(client, operation.method)(**parameters)
    except ClientError as error:
        fault = error.response["Error"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return answers.fault(status, fault["Code"], fault["Message"])
    except (BotoCoreError, ValueError) as error:  # a parameter is missing, or of another type
        return answers.fault(400, "ValidationException", str(error))
    del result["ResponseMetadata"]  # which boto3 adds
    return answers.result(result)
