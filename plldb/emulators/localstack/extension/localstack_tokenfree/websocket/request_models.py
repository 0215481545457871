"""Validation of messages against the models of their route.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-request-validation.html
"""

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft4Validator, SchemaError, ValidationError

from .expressions import Scope, choose


def is_valid(route: Mapping[str, Any], models: Mapping[str, Any], scope: Scope) -> bool:
    """Whether the message matches the model that the route's selection expression chooses.

    Without an expression nothing is asked for; with one and no model for it, not even for
    ``$default``, no message is valid. ``models`` are by name.
    """
    expression = route.get("ModelSelectionExpression")
    if not expression:
        return True
    name = choose(expression, route.get("RequestModels") or {}, scope)
    model = models.get(name) if name else None
    if model is None:
        return False
    try:
        Draft4Validator(_decoded(model["Schema"])).validate(json.loads(scope.body))
    except (ValueError, ValidationError, SchemaError):
        return False
    return True


def _decoded(schema: Any) -> Any:
    return json.loads(schema) if isinstance(schema, str) else schema
