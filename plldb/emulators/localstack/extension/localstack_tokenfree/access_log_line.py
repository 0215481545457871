"""Lines of access logs: a stage's format with its variables filled in.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-logging.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from .websocket.expressions import dig

_VARIABLE = re.compile(r"\$context\.(\w+(?:\.\w+)*)")
_NOTHING = "-"


def format_line(form: str, context: Mapping[str, Any]) -> str:
    """``form`` with a value for each ``$context.name``, or a hyphen where there is none."""
    return _VARIABLE.sub(lambda match: _text(dig(context, match[1])), form)


def outcome(status: int, error: str | None = None) -> dict[str, Any]:
    """The variables of the answer: its status, and API Gateway's own message if it made one."""
    if error is None:
        return {"status": status}
    return {"status": status, "error": {"message": error, "messageString": json.dumps(error)}}


def integration_variables(
    status: int | None, milliseconds: int | None, error: str | None = None
) -> dict[str, Any]:
    """The variables of what an integration came to."""
    return {
        "integration": {
            "error": error,
            "integrationStatus": status,
            "latency": milliseconds,
            "status": status,
        },
        "integrationErrorMessage": error,
        "integrationLatency": milliseconds,
        "integrationStatus": status,
    }


def _text(value: Any) -> str:
    if value is None or value == "":
        return _NOTHING
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
