"""``AWS_IAM`` on methods of REST APIs, which LocalStack 4.14 reads and then ignores.

A request without a signature is refused as on AWS; a signed one brings its caller to the function
as ``requestContext.identity``. Policies are not evaluated.
"""

from functools import lru_cache
from typing import Any

from localstack.aws.connect import connect_to
from localstack.services.apigateway.next_gen.execute_api import handlers
from localstack.services.apigateway.next_gen.execute_api.context import RestApiInvocationContext
from localstack.services.apigateway.next_gen.execute_api.gateway_response import (
    MissingAuthTokenError,
)

from .signatures import access_key_of


def install() -> None:
    handlers.preprocess_request.append(authenticate)


def authenticate(_chain: Any, context: RestApiInvocationContext, _response: Any) -> None:
    if context.resource_method.get("authorizationType") != "AWS_IAM":
        return
    access_key = access_key_of(context.request)
    if access_key is None:
        raise MissingAuthTokenError("Missing Authentication Token")
    identity = context.context_variables["identity"]
    identity.update(caller_identity(access_key, context.region))
    identity["sourceIp"] = context.request.remote_addr or identity["sourceIp"]


@lru_cache(maxsize=1024)
def caller_identity(access_key: str, region: str) -> dict[str, str]:
    """What STS says of an access key: a user, an assumed role, or the account's root.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    api-gateway-mapping-template-reference.html#context-variable-reference
    """
    sts = connect_to.get_client(
        "sts", region_name=region, aws_access_key_id=access_key, aws_secret_access_key=access_key
    )
    caller = sts.get_caller_identity()
    return {
        "accessKey": access_key,
        "accountId": caller["Account"],
        "caller": caller["UserId"],
        "user": caller["UserId"],
        "userArn": caller["Arn"],
    }
