"""Whether the function and its tables answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from lambda_functions.api.health import check_health

from tests.unit.fakes import client_error

NOW = 1_800_000_000.5


def failing(error: Exception) -> Callable[[], object]:
    def probe() -> object:
        raise error

    return probe


def check(**probes: Callable[[], object]) -> tuple[int, dict[str, Any], dict[str, Any]]:
    record: dict[str, Any] = {}
    answer = check_health({}, record, NOW, probes)
    return answer["statusCode"], json.loads(answer["body"]), record


def test_all_is_well() -> None:
    status, body, record = check(sessions=lambda: None, debugger=lambda: None)
    assert status == 200
    assert body == {
        "status": "ok",
        "time": NOW,
        "tables": {"sessions": "reachable", "debugger": "reachable"},
    }
    assert record == {"outcome": "ok"}


@pytest.mark.parametrize(
    "error",
    [
        client_error("ResourceNotFoundException"),
        client_error("AccessDeniedException"),
        EndpointConnectionError(endpoint_url="https://secret"),
    ],
)
def test_a_table_that_does_not_answer_is_named(error: Exception) -> None:
    status, body, record = check(sessions=failing(error), debugger=lambda: None)
    assert status == 503
    assert body["status"] == "unhealthy"
    assert body["tables"] == {"sessions": "unreachable", "debugger": "reachable"}
    assert record == {"outcome": "unhealthy", "level": "ERROR"}
    assert "secret" not in json.dumps(body)


def test_a_mistake_of_its_own_is_no_answer() -> None:
    with pytest.raises(KeyError):
        check(sessions=failing(KeyError("x")))
