"""The store's contract, as the unit tests have it, against the table that is really deployed."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from lambda_functions.invocations.dynamodb import DynamoDbInvocationStore
from lambda_functions.invocations.store import InvocationStore

from tests.invocation_life import InvocationLife
from tests.memory_stores import MemoryInvocationStore

from .support import Backend

# Each step is several calls to the engine.
_SETTINGS = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_the_table_agrees_with_the_memory(backend: Backend) -> None:
    client = backend.target.client("dynamodb")

    class OnTheTable(InvocationLife):
        @staticmethod
        def make_stores() -> list[InvocationStore]:
            table = DynamoDbInvocationStore(client, backend.helper.debugger_table)
            return [MemoryInvocationStore(), table]

    # Its tokens are of sessions that are not there: the reaper would settle them.
    with backend.reaper_off():
        run_state_machine_as_test(OnTheTable, settings=_SETTINGS)
