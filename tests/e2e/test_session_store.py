"""The store's contract, as the unit tests have it, against the table that is really deployed."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from lambda_functions.sessions.dynamodb import DynamoDbSessionStore
from lambda_functions.sessions.store import SessionStore

from tests.memory_stores import MemorySessionStore
from tests.session_life import SessionLife

from .support import Backend

# Each step is several calls to the engine.
_SETTINGS = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_the_table_agrees_with_the_model(backend: Backend) -> None:
    client = backend.target.client("dynamodb")

    class OnTheTable(SessionLife):
        @staticmethod
        def make_stores() -> list[SessionStore]:
            table = DynamoDbSessionStore(client, backend.helper.sessions_table)
            return [MemorySessionStore(), table]

    run_state_machine_as_test(OnTheTable, settings=_SETTINGS)
