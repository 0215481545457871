"""``requestContext.domainName`` of REST APIs, which LocalStack takes from the request's Host.

Applications make URLs of it, as on AWS: with ``localhost:4566`` those would lead elsewhere.
"""

from typing import Any

from localstack.services.apigateway.next_gen.execute_api import handlers
from localstack.services.apigateway.next_gen.execute_api.context import RestApiInvocationContext

from .addresses import find_address, name_on_aws


def install() -> None:
    handlers.preprocess_request.append(name_api)


def name_api(_chain: Any, context: RestApiInvocationContext, _response: Any) -> None:
    """A Host that names the API stays; every other becomes the name that AWS gives it."""
    variables = context.context_variables
    named = find_address(variables.get("domainName") or "", "")
    if named is None or named.api_id != context.api_id:
        variables["domainName"] = name_on_aws(context.api_id, context.region)
        variables["domainPrefix"] = context.api_id
