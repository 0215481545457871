"""Messages and the models of their routes.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-request-validation.html
"""

import json
from typing import Any

import pytest
from localstack_tokenfree.websocket.expressions import Scope
from localstack_tokenfree.websocket.request_models import is_valid

ROUTE = {"ModelSelectionExpression": "$request.body.action", "RequestModels": {"a": "Asked"}}
NAMES = "https://apigateway.amazonaws.com/restapis/abc123/models/"


def asked(schema: Any, message: Any, **others: Any) -> bool:
    models = {"Asked": schema, **others}
    scope = Scope(body=json.dumps({"action": "a", **message}))
    return is_valid(ROUTE, {name: {"Schema": json.dumps(m)} for name, m in models.items()}, scope)


def test_a_model_refers_to_another() -> None:
    schema = {"properties": {"item": {"$ref": f"{NAMES}Item"}}}
    item = {"type": "object", "required": ["id"], "properties": {"next": {"$ref": f"{NAMES}Item"}}}
    assert asked(schema, {"item": {"id": 1, "next": {"id": 2}}}, Item=item)
    assert not asked(schema, {"item": {"id": 1, "next": {}}}, Item=item)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"item": {"$ref": f"{NAMES}Nobody"}}},
        {"properties": {"item": {"$ref": "#/definitions/nobody"}}},
        {"properties": {"item": {"pattern": "\\p{L}"}}},
    ],
)
def test_a_message_that_can_not_be_held_against_the_model_is_not_valid(schema: Any) -> None:
    assert not asked(schema, {"item": "x"})
    assert asked(schema, {})
