"""The application as its environment has it: ``app`` for a server, ``handler`` for Lambda.

| variable | default | |
|---|---|---|
| USE_DYNAMODB_SESSIONS | false | whether sessions are kept in DynamoDB, or in memory |
| SESSION_TABLE_NAME | duel-arena-sessions | in which table |
| SESSION_SECONDS | 3600 | how long a session lives without a request |
| SECURE_COOKIES | false | whether its cookie is sent over HTTPS only |
"""

from __future__ import annotations

import os

from mangum import Mangum

from arena.app import create_app
from arena.sessions.stores import open_store


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() == "true"


app = create_app(
    open_store(
        os.environ.get("SESSION_TABLE_NAME", "duel-arena-sessions")
        if _is_on("USE_DYNAMODB_SESSIONS")
        else None
    ),
    max_age=int(os.environ.get("SESSION_SECONDS", "3600")),
    https_only=_is_on("SECURE_COOKIES"),
)
handler = Mangum(app, lifespan="off")
