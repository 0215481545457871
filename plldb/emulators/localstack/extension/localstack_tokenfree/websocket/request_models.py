"""Validation of messages against the models of their route.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-request-validation.html
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft4Validator, SchemaError, ValidationError
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource, Unresolvable
from referencing.jsonschema import DRAFT4

from .expressions import Scope, choose


def is_valid(route: Mapping[str, Any], models: Mapping[str, Any], scope: Scope) -> bool:
    """Whether the message matches the model that the route's selection expression chooses.

    Without an expression nothing is asked for; with one and no model for it, not even for
    ``$default``, no message is valid, nor is one that can't be held against it. ``models`` are by
    name, and refer to each other by ``https://apigateway.amazonaws.com/restapis/ID/models/NAME``:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/models-mappings-models.html
    """
    expression = route.get("ModelSelectionExpression")
    if not expression:
        return True
    name = choose(expression, route.get("RequestModels") or {}, scope)
    model = models.get(name) if name else None
    if model is None:
        return False

    def referred(uri: str) -> Resource[Any]:
        other = models.get(uri.rpartition("/models/")[2])
        if other is None:
            raise NoSuchResource(ref=uri)  # type: ignore[call-arg]
        return DRAFT4.create_resource(_decoded(other["Schema"]))

    registry = Registry[Any](retrieve=referred)  # type: ignore[call-arg]
    try:
        schema = _decoded(model["Schema"])
        Draft4Validator(schema, registry=registry).validate(json.loads(scope.body))
    except (ValueError, ValidationError, SchemaError, Unresolvable, re.error):
        return False
    return True


def _decoded(schema: Any) -> Any:
    return json.loads(schema) if isinstance(schema, str) else schema
