"""The last recorded event of a function: ``plldb invoke --last``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plldb.errors import UsageError
from plldb.replay.masks import MASK
from plldb.replay.recording import Recording, read_recordings


@dataclass(frozen=True)
class LastEvent:
    """``payload`` is JSON; ``is_masked``: something secret in it was masked as it was recorded."""

    path: Path
    payload: bytes
    is_masked: bool


def find_last_event(
    folder: Path, name: str, physical_name: str, warn: Callable[[str], None]
) -> LastEvent:
    """Of the recordings in ``folder``, the latest of a function.

    ``name`` is its path of logical ids, ``physical_name`` its name at Lambda or its ARN. ``warn``
    hears of files that make no sense. Raises UsageError if there is none.
    """
    # An ARN's parts, of which one is the name; or the name alone.
    names = {name, *physical_name.split(":")}
    found: list[tuple[str, Path, Recording]] = []
    for path, recording in read_recordings(folder, warn):
        if names & {recording.function.logical_id, recording.function.name}:
            found.append((recording.recorded_at, path, recording))
    if not found:
        raise UsageError(
            f"There is no recording of {name} in {folder}.",
            "'plldb dev --record DIR' makes them; --recordings DIR says where they are.",
        )
    _, path, recording = max(found, key=lambda one: one[:2])
    payload = json.dumps(recording.event, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return LastEvent(path, payload, MASK.encode() in payload)
