"""What a background session says of itself, by its events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plldb.background.presence import Presence
from plldb.background.session_record import SessionRecord
from plldb.debugger.attachment import Detaching, NothingToDebug, OfStack, SessionCreated
from plldb.debugger.protocol import Instrumented, Ready, Skipped, Taken
from plldb.debugger.redeployment import Removed

STARTING = SessionRecord("/shop", "dev", 4242, "2026-11-26T10:15:00+00:00")


class Written(list[SessionRecord]):
    def __init__(self) -> None:
        super().__init__()
        self.presence = Presence(STARTING, self.append)
        self.presence.begin()

    def after(self, *events: Any) -> SessionRecord:
        for event in events:
            self.presence.take(event)
        return self[-1]


def test_it_is_ready_once_its_stack_is() -> None:
    written = Written()
    assert written == [STARTING]
    events = (SessionCreated("0a1b2c3d", "shop"), Instrumented("A", {}), Skipped("B", "an image"))
    assert written.after(*events) == replace(STARTING, stacks=("shop",))
    ready = written.after(Ready(1, 1, 50))
    assert (ready.state, ready.stacks) == ("ready", ("shop",))
    assert (ready.functions, ready.skipped) == (("A",), {"B": "an image"})


def test_of_several_stacks_it_waits_for_all() -> None:
    written = Written()
    created = [SessionCreated("0a1b2c3d", name) for name in ("shop", "bank")]
    assert written.after(*created, OfStack("shop", Ready(1, 0, 50))).state == "starting"
    assert written.after(OfStack("shop", Ready(1, 0, 50))).state == "starting"
    assert written.after(OfStack("bank", NothingToDebug("no code"))).state == "ready"


def test_its_stacks_are_said_as_soon_as_they_are_known_and_it_waits_for_those() -> None:
    written = Written()
    written.presence.expect(["shop", "tables"])
    assert written == [STARTING, replace(STARTING, stacks=("shop", "tables"))]
    written.presence.expect(["shop"])
    ready = written.after(SessionCreated("0a1b2c3d", "shop"), Ready(1, 0, 50))
    assert (ready.state, ready.stacks) == ("ready", ("shop",))


def test_what_changes_afterwards_is_said() -> None:
    written = Written()
    ready = (SessionCreated("0a1b2c3d", "shop"), Instrumented("A", {}), Ready(1, 0, 50))
    assert written.after(*ready, Taken("A", "eve")).skipped == {"A": "eve has taken it over"}
    assert written.after(Instrumented("A", {}, is_again=True)).functions == ("A",)
    assert written[-1].skipped == {}
    assert written.after(Removed("A", "it was deleted")).functions == ()
    ending = written.after(Detaching((("B", "id"),), 12.5))
    assert (ending.state, ending.running, ending.seconds_left) == ("ending", ("B",), 12.5)


@pytest.mark.parametrize("error", [None, "It broke."])
def test_its_end_is_said_however_far_it_has_come(error: str | None) -> None:
    written = Written()
    written.presence.end(1 if error else 0, error, None)
    assert (written[-1].has_ended, written[-1].error) == (True, error)
    assert written[-1].ended_at is not None


def test_a_full_disk_ends_no_session() -> None:
    def refuse(_: SessionRecord) -> None:
        raise OSError(28, "No space left on device")

    presence = Presence(STARTING, refuse)
    with pytest.raises(OSError, match="space"):
        presence.begin()
    presence.take(SessionCreated("0a1b2c3d", "shop"))
    presence.take(Ready(1, 0, 50))
    presence.end(0)
