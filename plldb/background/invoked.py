"""What became here of an invocation that this machine has made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from plldb.background.invocation_journal import JournalReader
from plldb.background.known_invocations import is_of

# Until it is known that it was here, and then, until all that is said of it is written.
_ARRIVAL_SECONDS = 1.5
_END_SECONDS = 5.0
_POLL_SECONDS = 0.05
# An emulator may tell the caller another request id than the function. Clocks are the same one.
_SLACK_SECONDS = 0.1


@dataclass(frozen=True)
class Call:
    """``function`` by its name in the stack; ``event`` as the journal has it. Times are in seconds
    since the epoch. ``is_id_sure``: the function has had the same ``request_id``.
    """

    function: str
    request_id: str
    event: Any
    began: float
    ended: float
    is_id_sure: bool

    def is_it(self, document: Mapping[str, Any]) -> bool:
        if document["requestId"] == self.request_id:
            return True
        return (
            not self.is_id_sure
            and is_of(document, self.function)
            and self.began - _SLACK_SECONDS <= document["arrived"] <= self.ended
            and document.get("replayOf") is None
            and (document.get("payload") == self.event or not document.get("hasPayload"))
        )


def find_invoked(
    open_journals: Callable[[Callable[[dict[str, Any]], dict[str, Any]]], JournalReader],
    call: Call,
) -> dict[str, Any] | None:
    """The invocation as it was written down, with its end if that comes in time.

    None if it did not run here: at once if no session goes on. ``open_journals`` gets what a
    JournalReader is to keep.
    """
    with open_journals(partial(_keep, call)) as journals:
        return _find(journals)


def _keep(call: Call, document: dict[str, Any]) -> dict[str, Any]:
    """Of other invocations next to nothing: there may be many, and they may be long."""
    return document if call.is_it(document) else {key: document[key] for key in ("id", "state")}


def _find(journals: JournalReader) -> dict[str, Any] | None:
    known: dict[str, dict[str, Any]] = {}

    def look() -> bool:
        # All of it was kept, or it is another one.
        found = (one for one in journals.read() if "requestId" in one)
        known.update({one["id"]: one for one in found})
        return bool(known)

    # Before a session is looked for: it may have ended since.
    if not look() and not journals.is_anybody_there:
        return None
    _poll(look, _ARRIVAL_SECONDS)

    def is_whole() -> bool:
        look()
        return all(
            one["state"] == "lost" or (one["state"] == "finished" and _is_recorded(one))
            for one in known.values()
        )

    _poll(is_whole, _END_SECONDS if known else 0.0)
    # Of calls that are all the same, which come at once, one is as good as the other.
    return min(known.values(), key=lambda one: one["arrived"], default=None)


def _is_recorded(document: Mapping[str, Any]) -> bool:
    recording = document.get("recording")
    return recording is None or Path(str(recording)).exists()


def _poll(look: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not look() and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
