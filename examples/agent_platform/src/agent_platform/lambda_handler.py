"""The Lambda function: API Gateway's events become requests to the application."""

from __future__ import annotations

import os

from mangum import Mangum

from agent_platform.api import Platform, create_app
from agent_platform.settings import Settings, read_settings
from agent_platform.stores import Stores, make_memory_stores


def _make_stores(settings: Settings) -> Stores:
    if settings.session_store == "memory":
        return make_memory_stores()
    from agent_platform.dynamodb_stores import make_dynamodb_stores

    return make_dynamodb_stores(os.environ)


settings = read_settings(os.environ)
app = create_app(Platform(_make_stores(settings), settings))
handler = Mangum(app, lifespan="off")
