"""Following a stack operation: every event once and in order, and the failure that matters."""

from __future__ import annotations

import pytest

from plldb.bootstrap.stack_operation import ResourceEvent, StackOperation
from plldb.errors import BootstrapError
from plldb.stacks import StackState
from tests.unit.fakes import FakeTarget, Scene


def follow(
    scenes: list[Scene], *, before: int = 0, timeout_seconds: float = 60
) -> tuple[list[ResourceEvent], StackState | None]:
    """What is reported of an operation on a stack that has ``before`` events already."""
    target = FakeTarget()
    arn = target.cloudformation.add("plldb", "UPDATE_IN_PROGRESS")
    for number in range(before):
        target.cloudformation.add_event("plldb", f"Old{number}", "CREATE_FAILED", "long ago")
    operation = StackOperation(target, "plldb", arn, timeout_seconds)  # type: ignore[arg-type]
    target.cloudformation.play("plldb", scenes)
    events: list[ResourceEvent] = []
    return events, operation.follow(events.append)


def failure(scenes: list[Scene]) -> BootstrapError:
    with pytest.raises(BootstrapError) as raised:
        follow(scenes)
    return raised.value


@pytest.mark.parametrize("before", [0, 1, 2, 3, 7])
def test_events_come_once_and_in_order_and_old_ones_not_at_all(before: int) -> None:
    events, _ = follow(
        [
            Scene("UPDATE_IN_PROGRESS"),
            Scene("UPDATE_IN_PROGRESS", [(f"R{n}", "UPDATE_IN_PROGRESS", "") for n in range(5)]),
            Scene("UPDATE_IN_PROGRESS"),
            Scene("UPDATE_COMPLETE", [(f"R{n}", "UPDATE_COMPLETE", "") for n in range(5)]),
        ],
        before=before,
    )
    assert [(e.logical_id, e.status) for e in events] == [
        *((f"R{n}", "UPDATE_IN_PROGRESS") for n in range(5)),
        *((f"R{n}", "UPDATE_COMPLETE") for n in range(5)),
    ]


@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"])
def test_a_good_end_gives_the_stack(status: str) -> None:
    _, stack = follow([Scene(status)])
    assert stack is not None
    assert stack.status == status


def test_a_deleted_stack_is_none() -> None:
    events, stack = follow([Scene("DELETE_COMPLETE", [("Table", "DELETE_COMPLETE", "")])])
    assert stack is None
    assert [event.logical_id for event in events] == ["Table"]


@pytest.mark.parametrize(
    "status",
    [
        "CREATE_FAILED",
        "ROLLBACK_COMPLETE",
        "ROLLBACK_FAILED",
        "UPDATE_ROLLBACK_COMPLETE",
        "UPDATE_ROLLBACK_FAILED",
        "UPDATE_FAILED",
        "DELETE_FAILED",
    ],
)
def test_a_bad_end_names_the_resource_and_the_reason(status: str) -> None:
    error = failure([Scene(status, [("Table", "CREATE_FAILED", "it exists already")])])
    assert status in error.message
    assert "Table (AWS::Test::Resource): it exists already" in error.message
    assert error.hint


def test_the_first_failure_is_named_and_not_what_fell_with_it() -> None:
    error = failure(
        [
            Scene(
                "ROLLBACK_IN_PROGRESS",
                [
                    ("Queue", "CREATE_FAILED", "Resource creation cancelled"),
                    ("Topic", "CREATE_FAILED", "Resource creation Cancelled"),
                    ("Table", "CREATE_FAILED", "it exists already"),
                    ("Role", "CREATE_FAILED", "came later"),
                    ("plldb", "ROLLBACK_IN_PROGRESS", "The following resource(s) failed"),
                ],
            ),
            Scene("ROLLBACK_COMPLETE"),
        ]
    )
    assert error.message.endswith("Table (AWS::Test::Resource): it exists already")


def test_the_stacks_own_event_is_no_reason_if_there_is_a_resource() -> None:
    error = failure(
        [
            Scene(
                "DELETE_FAILED",
                [
                    ("plldb", "DELETE_FAILED", "The following resource(s) failed to delete"),
                    ("Bucket", "DELETE_FAILED", "not empty"),
                ],
            )
        ]
    )
    assert error.message.endswith("Bucket (AWS::Test::Resource): not empty")


def test_without_any_event_the_stacks_reason_is_told_or_that_there_is_none() -> None:
    assert "gave no reason" in failure([Scene("ROLLBACK_COMPLETE")]).message


def test_an_operation_without_end_is_given_up() -> None:
    with pytest.raises(BootstrapError, match="still in state UPDATE_IN_PROGRESS"):
        follow([Scene("UPDATE_IN_PROGRESS")] * 100, timeout_seconds=0)


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        ("CREATE_FAILED", "exists", True),
        ("DELETE_FAILED", "", True),
        ("CREATE_FAILED", "Resource creation cancelled", False),
        ("CREATE_COMPLETE", "", False),
        ("UPDATE_IN_PROGRESS", "", False),
    ],
)
def test_what_is_a_failure(status: str, reason: str, expected: bool) -> None:
    assert ResourceEvent("Table", "T", status, reason).is_failure is expected
