"""Composition of what goes on in the background: started, present, found again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plldb.cli.options import list_given

if TYPE_CHECKING:
    from plldb.background.presence import Presence
    from plldb.background.session_folder import SessionFolder
    from plldb.background.session_record import SessionRecord
    from plldb.cli.attach_options import AttachOptions
    from plldb.cli.factory import Factory

# What the other process has of its own; its log has all that -v would say.
_NOT_GIVEN_ON = ("detach", "output", "verbose")


# --- Started --------------------------------------------------------------------------------------


def start(factory: Factory) -> None:
    """Has the command that is running run in the background, and returns once it is ready.

    Raises BackgroundError with its error and its exit code if it does not come to that, or if a
    session runs already.
    """
    import signal

    from plldb.background.launching import launch, wait_until_ready
    from plldb.background.session_folder import SessionFolder

    console = factory.console
    place = SessionFolder(factory.home.value, Path.cwd())
    place.create()
    lock = place.lock()
    if lock is None:
        raise _explain_running(place)
    # Whoever ends this command before the session is ready wants none.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        clean_up(factory, place, takes_emulator_over=True)
        # Until the other process has one of its own; to stop this one stops both.
        place.write_record(_make_record(recordings=None))
        arguments = [*list_given(_NOT_GIVEN_ON), "--output=json", f"--background={lock}"]
        process = launch(place, arguments, lock)
    finally:
        os.close(lock)
    with console.progress("Starting a session in the background…"):
        record = wait_until_ready(process, place)
    console.answer(describe(place, record, is_running=True), tell(place, record))
    console.note("plldb status tells how it is, plldb stop ends it.")


def _explain_running(place: SessionFolder) -> Exception:
    from plldb.errors import BackgroundError

    record = place.read_record()
    who = f", process {record.pid}" if record is not None else ""
    what = "is being started" if record is None or record.state == "starting" else "runs"
    return BackgroundError(
        f"A background session of this folder {what} already{who}.",
        "'plldb status' tells how it is, and 'plldb stop' ends it.",
    )


# --- Present --------------------------------------------------------------------------------------


@contextmanager
def keep_record(factory: Factory, options: AttachOptions, lock: int) -> Iterator[None]:
    """In the background: keeps the record and the events of this session meanwhile.

    ``lock`` is the descriptor that was inherited. However it ends, the record says so.
    """
    import signal

    from plldb.background.json_lines import JsonLinesWriter, name_older
    from plldb.background.presence import Presence
    from plldb.background.session_folder import SessionFolder
    from plldb.replay.masks import Masks

    try:
        os.set_inheritable(lock, False)
    except OSError:
        raise click.UsageError("--background is for --detach alone.") from None
    # However far it has come, it ends in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    place = SessionFolder(factory.home.value, Path.cwd())
    record = _make_record(options.record)
    presence = Presence(record, place.write_record)
    for old in (place.events, name_older(place.events)):
        old.unlink(missing_ok=True)
    presence.begin()
    with _ending(presence):
        file = factory.resolver.file
        masks = Masks(() if file is None else file.record.mask)
        with JsonLinesWriter(place.events, masks.apply) as events:
            factory.console.divert(events.put)
            factory.followers.append(presence.take)
            yield


def _make_record(recordings: Path | None) -> SessionRecord:
    """Of this process, which is about to start a session."""
    from plldb.background.presence import tell_time
    from plldb.background.session_record import SessionRecord
    from plldb.diagnostic_log import find_kept_log

    folder, log = Path.cwd(), find_kept_log()
    return SessionRecord(
        str(folder),
        click.get_current_context().info_name or "",
        os.getpid(),
        tell_time(),
        recordings=None if recordings is None else str(folder / recordings),
        log=None if log is None else str(log),
    )


@contextmanager
def _ending(presence: Presence) -> Iterator[None]:
    from plldb.errors import PlldbError

    try:
        yield
    except PlldbError as error:
        presence.end(error.exit_code, error.message, error.hint)
        raise
    except click.ClickException as error:
        presence.end(error.exit_code, error.format_message())
        raise
    except (KeyboardInterrupt, click.Abort):
        presence.end(1, "It was stopped before it was ready.")
        raise
    except BaseException as bug:
        presence.end(1, f"An unexpected error: {type(bug).__name__}.", "Its log has more.")
        raise
    presence.end(0)


# --- Found again ----------------------------------------------------------------------------------


def find_places(factory: Factory, stack_name: str | None, every: bool) -> list[SessionFolder]:
    """Of all folders, of those where a stack is or was attached to, or of this one or the nearest
    above it. Those that have never had a session are left out.
    """
    from plldb.background.session_folder import SessionFolder, find_nearest

    home = factory.home.value
    if not every and stack_name is None:
        return [one for one in [find_nearest(home, Path.cwd())] if one.record_file.exists()]
    found = []
    for place in SessionFolder.list_all(home):
        record = place.read_record()
        if record is not None and (stack_name is None or stack_name in record.stacks):
            found.append(place)
    return found


def clean_up(
    factory: Factory, place: SessionFolder, *, takes_emulator_over: bool = False
) -> SessionRecord | None:
    """Of a session that was killed: writes down that it has ended, and stops the emulator that it
    was to stop, unless the next one takes that over.

    ``place`` is one where none runs. Returns the record as it is then.
    """
    from dataclasses import replace

    from plldb.background.presence import tell_time
    from plldb.emulators.state import StateFile

    record = place.read_record()
    if record is None or record.has_ended:
        return record
    left = None
    if not takes_emulator_over and StateFile(factory.home.value).read() is not None:
        left = factory.lifecycle.down_if_left()
    restoring = " and ".join(f"plldb restore --stack-name {name}" for name in record.stacks)
    hint = (
        f"{left.emulator}, which it had started, is stopped now."
        if left is not None
        else "The helper stack gives its functions back by itself."
        + (f" At once: {restoring}" if restoring else "")
    )
    ended = replace(record, state="ended", ended_at=tell_time(), error="It was killed.", hint=hint)
    place.write_record(ended)
    return ended


# --- Shown ----------------------------------------------------------------------------------------


def describe(place: SessionFolder, record: SessionRecord, is_running: bool) -> dict[str, Any]:
    """A session as JSON has it."""
    return {
        "running": is_running,
        "state": record.state,
        "folder": record.folder,
        "command": record.command,
        "pid": record.pid,
        "stacks": [*record.stacks],
        "functions": [*record.functions],
        "skipped": dict(record.skipped),
        "startedAt": record.started_at,
        "endedAt": record.ended_at,
        "exitCode": record.exit_code,
        "error": record.error,
        "hint": record.hint,
        "recordings": record.recordings,
        "events": str(place.events),
        "log": record.log,
    }


_STATES = {
    "starting": "is being started in the background",
    "ready": "runs in the background",
    "ending": "waits for what runs, and ends then,",
    "ended": "has ended",
}


def tell(place: SessionFolder, record: SessionRecord) -> str:
    """The same for people."""
    lines = [
        f"plldb {record.command} {_STATES[record.state]} in {record.folder}: process {record.pid}, "
        f"since {record.started_at}."
    ]
    if record.has_ended:
        why = f": {record.error} {record.hint or ''}".rstrip() if record.error else "."
        return f"plldb {record.command} of {record.folder} ended at {record.ended_at}{why}"
    lines += [f"  {function} runs here" for function in record.functions]
    lines += [f"  {function} is skipped: {why}" for function, why in record.skipped.items()]
    return "\n".join([*lines, f"  events: {place.events}", f"  log: {record.log}"])
