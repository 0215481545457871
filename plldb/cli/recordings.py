"""``plldb recordings``: the recorded invocations in a folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from plldb.cli.command_base import Command
from plldb.cli.name_types import PathName
from plldb.cli.options import global_options

# Where examples and the inspector put them.
_CUSTOMARY = Path("recordings")


@click.command(cls=Command)
@click.argument(
    "folder",
    metavar="[DIR]",
    default=".",
    type=PathName(path_type=Path, exists=True, file_okay=False),
)
@global_options
def recordings(folder: Path) -> None:
    """List the recorded invocations in DIR, the oldest first.

    \b
      plldb recordings
      plldb recordings tests/recordings --output json

    DIR is this folder by default. 'plldb attach --record DIR' makes them, 'plldb replay FILE' runs
    one again.
    """
    from plldb.cli.factory import make_factory
    from plldb.replay.recording import read_recordings

    console = make_factory().console
    found: list[dict[str, Any]] = []
    for path, recording in read_recordings(folder, console.warn):
        failure = recording.error or {}
        found.append(
            {
                "file": str(path),
                "function": recording.function.logical_id,
                "requestId": recording.request_id,
                "recordedAt": recording.recorded_at,
                "durationMs": recording.times.get("durationMs"),
                "outcome": recording.outcome,
                "error": failure.get("errorType"),
            }
        )
    found.sort(key=lambda one: (one["recordedAt"], one["file"]))
    if console.is_json:
        console.answer({"recordings": found}, "")
        return
    if not found:
        console.answer({}, _explain_none(folder))
        return
    rows = [
        (
            one["file"],
            one["function"],
            one["recordedAt"][:19].replace("T", " "),
            str(one["durationMs"]),
            one["error"] or one["outcome"],
        )
        for one in found
    ]
    console.table(("file", "function", "recorded", "ms", "outcome"), rows)


def _explain_none(folder: Path) -> str:
    """Where they were looked for, and where they come from."""
    from plldb.replay.recording import SUFFIX

    said = f"There are no recordings in {folder.absolute().resolve()}."
    inner = folder / _CUSTOMARY
    if any(inner.glob(f"*{SUFFIX}")):
        return f"{said} There are some in {inner}: plldb recordings {shlex.quote(str(inner))}"
    return (
        f"{said} 'plldb dev --record {_CUSTOMARY}' and 'plldb attach --record {_CUSTOMARY}' make "
        f"them, in the folder {_CUSTOMARY}."
    )
