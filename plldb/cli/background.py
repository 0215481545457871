"""Composition of what goes on in the background: started, present, found again."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plldb.cli.options import list_given

if TYPE_CHECKING:
    from plldb.background.invocation_journal import InvocationJournal, JournalReader
    from plldb.background.json_lines import JsonLinesWriter
    from plldb.background.presence import Presence
    from plldb.background.session_folder import SessionFolder
    from plldb.background.session_record import SessionRecord
    from plldb.cli.factory import Factory
    from plldb.replay.history import History

logger = logging.getLogger(__name__)

# What the other process has of its own; its log has all that -v would say.
_NOT_GIVEN_ON = ("detach", "output", "verbose")


# --- Started --------------------------------------------------------------------------------------


def start(factory: Factory, stacks: Sequence[str], given: bytes) -> None:
    """Has the command that is running run in the background, and returns once it is ready.

    ``stacks`` are those that it is known to be about, ``given`` is what it reads from stdin. Raises
    BackgroundError with its error and its exit code if it does not come to that, or if a session
    runs already.
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
        place.begin()
        # Until the other process has one of its own; to stop this one stops both.
        place.write_record(_make_record(None, stacks))
        arguments = [*list_given(_NOT_GIVEN_ON), "--output=json", f"--background={lock}"]
        process = launch(place, arguments, lock, given)
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
def keep_record(
    factory: Factory, recordings: Path | None, stacks: Sequence[str], lock: int
) -> Iterator[Presence]:
    """In the background: keeps the record and the events of this session meanwhile.

    ``stacks`` are those that are known. ``lock`` is the descriptor that was inherited. However it
    ends, the record says so.
    """
    import signal

    from plldb.background.json_lines import JsonLinesWriter, name_older
    from plldb.background.presence import Presence
    from plldb.background.session_folder import SessionFolder

    try:
        os.set_inheritable(lock, False)
    except OSError:
        raise click.UsageError("--background is for --detach alone.") from None
    # However far it has come, it ends in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    place = SessionFolder(factory.home.value, Path.cwd())
    record = _make_record(recordings, stacks)
    presence = Presence(record, place.write_record)
    for old in (place.events, name_older(place.events)):
        old.unlink(missing_ok=True)
    presence.begin()
    with _ending(presence), JsonLinesWriter(place.events, factory.make_masks().apply) as events:
        factory.console.divert(lambda said: _put_event(events, presence, said))
        factory.followers.append(presence.take)
        yield presence


# A secret is known for one by what it lies under in the event or in a variable: alone, a line of
# output says nothing of it. The journal has all of an invocation together.
_IN_THE_JOURNAL = ("payload", "context", "answer", "answerBase64", "error")


def _put_event(events: JsonLinesWriter, presence: Presence, said: dict[str, Any]) -> None:
    """Without what the code has got, given and written: 'plldb invocation' shows that."""
    match said.get("event"):
        case "output":
            return
        case "inspector":
            # Whoever has the URL has the page.
            presence.note_inspector(str(said["url"]))
            said = said | {"url": None}
        case "started" | "invocation":
            said = {
                name: None if name in _IN_THE_JOURNAL else value for name, value in said.items()
            }
    events.put(said)


def _make_record(recordings: Path | None, stacks: Sequence[str]) -> SessionRecord:
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
        stacks=tuple(stacks),
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


@contextmanager
def open_journal(
    factory: Factory,
    stacks: Sequence[str],
    recordings: Path | None,
    in_background: bool,
    history: History,
) -> Iterator[InvocationJournal | None]:
    """Writes down the invocations of a session of ``stacks`` in this folder; None if that is not
    wanted, or if it can't be done, which is logged.

    Of AWS, events are other people's, as a rule: they are written down only if plldb.toml says so,
    or if the session is in the background, where they can't be seen otherwise.
    """
    from plldb.background.invocation_journal import InvocationJournal
    from plldb.background.session_folder import SessionFolder
    from plldb.errors import SessionError

    file, folder = factory.resolver.file, Path.cwd()
    is_wanted = None if file is None else file.record.invocations
    if is_wanted is None:
        is_wanted = in_background or not factory.target.is_aws
    if not is_wanted:
        yield None
        return
    place = SessionFolder(factory.home.value, folder)
    try:
        place.create()
        journal = InvocationJournal(
            place.journals,
            history,
            factory.make_masks().apply,
            None if recordings is None else folder / recordings,
            stacks,
        )
    except (OSError, SessionError) as error:
        logger.warning("the invocations of this session are not written down: %s", error)
        yield None
        return
    with journal:
        yield journal


def open_journals(
    factory: Factory, keep: Callable[[dict[str, Any]], dict[str, Any]]
) -> JournalReader:
    """What was written down for this folder, or the nearest above."""
    from plldb.background.invocation_journal import JournalReader
    from plldb.background.session_folder import find_nearest

    return JournalReader(find_nearest(factory.home.value, Path.cwd()).journals, keep)


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

    ``place`` is one where none runs, or with ``takes_emulator_over``, one that the caller has
    locked. Returns the record as it is then.
    """
    from dataclasses import replace

    from plldb.background.presence import tell_time
    from plldb.emulators.state import StateFile

    record = place.read_record()
    if record is None or record.has_ended:
        return record
    if not takes_emulator_over and place.is_running():
        return record  # another one has begun since
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
    if (now := place.read_record()) != record:
        return now  # to stop an emulator takes time
    ended = replace(
        record,
        state="ended",
        ended_at=tell_time(),
        error="It was killed.",
        hint=hint,
        inspector=None,
    )
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
        "inspector": record.inspector,
        "events": str(place.events),
        "log": record.log,
    }


_STATES = {
    "starting": "is being started in the background",
    "ready": "runs in the background",
    "ending": "waits for what runs, and ends then,",
}


def tell(place: SessionFolder, record: SessionRecord) -> str:
    """The same for people."""
    if record.has_ended:
        why = f": {record.error} {record.hint or ''}".rstrip() if record.error else "."
        return f"plldb {record.command} of {record.folder} ended at {record.ended_at}{why}"
    lines = [
        f"plldb {record.command} {_STATES[record.state]} in {record.folder}: process {record.pid}, "
        f"since {record.started_at}."
    ]
    lines += [f"  {function} runs here" for function in record.functions]
    lines += [f"  {function} is skipped: {why}" for function, why in record.skipped.items()]
    lines += [f"  inspector: {record.inspector}"] if record.inspector else []
    return "\n".join([*lines, f"  events: {place.events}", f"  log: {record.log}"])
