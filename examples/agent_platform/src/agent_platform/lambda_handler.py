"""The Lambda function: API Gateway's events become requests to the application."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from mangum import Mangum

from agent_platform.api import Platform, create_app
from agent_platform.settings import Settings, read_service_key, read_settings
from agent_platform.stores import Stores, make_memory_stores

if TYPE_CHECKING:
    from mangum.types import LambdaContext


def _make_stores(settings: Settings) -> Stores:
    if settings.session_store == "memory":
        return make_memory_stores()
    from agent_platform.dynamodb_stores import make_dynamodb_stores

    return make_dynamodb_stores(os.environ)


def _read_secret(arn: str) -> str:
    import boto3

    found = boto3.client("secretsmanager").get_secret_value(SecretId=arn)
    return str(found["SecretString"])


settings = read_settings(os.environ)
service_key = read_service_key(os.environ, _read_secret)
app = create_app(Platform(_make_stores(settings), settings, service_key))
_respond = Mangum(app, lifespan="off")


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    started = time.perf_counter()
    answer = _respond(event, context)
    milliseconds = (time.perf_counter() - started) * 1000
    _log(event["requestContext"]["http"], answer["statusCode"], milliseconds)
    return answer


def _log(request: dict[str, Any], status: int, milliseconds: float) -> None:
    """A line for each request. No token is in a path."""
    line = {"method": request["method"], "path": request["path"], "status": status}
    print(json.dumps(line | {"milliseconds": round(milliseconds, 1)}))
