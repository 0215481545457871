"""What every REST operation can count on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lambda_functions.api import rest


def call(failure: Exception) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer of an operation that raises, and the record of it."""

    def fail(*_: Any) -> Any:
        raise failure

    record: dict[str, Any] = {"requestId": "some-request"}
    answer = rest.dispatch({"GET /x": fail})({"httpMethod": "GET", "resource": "/x"}, record, 0.0)
    return answer, record


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (rest.BadRequestError("stackName is missing."), 400),
        (rest.RefusedRequestError(409, "stackName is missing."), 409),
    ],
)
def test_what_is_wrong_with_a_request_is_told(failure: Exception, status: int) -> None:
    answer, record = call(failure)
    assert answer["statusCode"] == status
    assert json.loads(answer["body"]) == {"message": "stackName is missing."}
    assert record["level"] == "WARNING"


def test_what_goes_wrong_inside_is_not_but_it_can_be_found() -> None:
    answer, record = call(KeyError("table arn:aws:secret"))
    assert answer["statusCode"] == 500
    assert "some-request" in answer["body"]
    for inside in ("secret", "KeyError", "Traceback"):
        assert inside not in answer["body"]
    assert (record["level"], record["error"]) == ("ERROR", "KeyError")


def test_an_operation_that_does_not_exist() -> None:
    answer = rest.dispatch({})({"httpMethod": "GET", "resource": "/y"}, {}, 0.0)
    assert answer["statusCode"] == 404
