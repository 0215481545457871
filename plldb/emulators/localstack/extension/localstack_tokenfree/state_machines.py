"""State machines that call an API, as ``arn:aws:states:::apigateway:invoke`` does.

LocalStack calls REST APIs alone, and only by its own names. Here a task reaches every API by the
name that AWS gives it, signed by the state machine's role if it says so, which ``@connections``
of a WebSocket API need.
https://docs.aws.amazon.com/step-functions/latest/dg/connect-api-gateway.html
"""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from localstack.aws.connect import connect_to
from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service import (  # noqa: E501
    state_task_service_api_gateway as tasks,
)
from localstack.utils.aws.client_types import ServicePrincipal
from localstack.utils.patch import patch

UNSIGNED = ("", "NO_AUTH")
TIMEOUT_SECONDS = 30.0  # that of every API and more


def install() -> None:
    patch(tasks.StateTaskServiceApiGateway._eval_service_task)(_call_api)


def url_of(parameters: Mapping[str, Any]) -> str:
    """``ApiEndpoint`` is a host, a path begins with a slash or not, and a value of the query is a
    list of values."""
    parts = (parameters.get("Stage") or "", (parameters.get("Path") or "").removeprefix("/"))
    path = "/".join(quote(part, safe="/@=~%") for part in parts if part)
    query = urlencode(parameters.get("QueryParameters") or {}, doseq=True)
    return f"https://{parameters['ApiEndpoint'].strip('/')}/{path}" + (f"?{query}" if query else "")


def _call_api(
    original: Callable[..., None],
    task: Any,
    env: Any,
    resource_runtime_part: Any,
    normalised_parameters: dict[str, Any],
    state_credentials: Any,
) -> None:
    """An endpoint that is a URL is what LocalStack's documentation has, and left to it."""
    given = normalised_parameters
    if "://" in str(given.get("ApiEndpoint")):
        original(task, env, resource_runtime_part, given, state_credentials)
        return
    url = url_of(given)
    request = AWSRequest(given["Method"], url, task._headers_of(given), _body(given))
    if (given.get("AuthType") or "") not in UNSIGNED:
        region = resource_runtime_part.region
        SigV4Auth(_credentials(state_credentials.role_arn, region), "execute-api", region).add_auth(
            request
        )
    response = requests.request(
        given["Method"],
        url,
        headers=dict(request.headers),
        data=request.data,
        timeout=TIMEOUT_SECONDS,
    )
    if not response.ok:
        raise tasks.SfnGatewayException(parameters=given, response=response)
    env.stack.append(_output(response))


def _body(parameters: Mapping[str, Any]) -> str | None:
    body = parameters.get("RequestBody")
    return None if body is None else json.dumps(body)


def _output(response: requests.Response) -> dict[str, Any]:
    """What the state gets. A body that is not JSON stays a text."""
    try:
        body = response.json()
    except ValueError:
        body = response.text
    return {
        "Headers": {name: [value] for name, value in response.headers.items()},
        "ResponseBody": body,
        "StatusCode": response.status_code,
        "StatusText": response.reason,
    }


def _credentials(role_arn: str, region: str) -> Credentials:
    sts = connect_to(region_name=region).sts.request_metadata(
        service_principal=ServicePrincipal.states
    )
    assumed = sts.assume_role(RoleArn=role_arn, RoleSessionName="states")["Credentials"]
    return Credentials(assumed["AccessKeyId"], assumed["SecretAccessKey"], assumed["SessionToken"])
