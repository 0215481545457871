"""The invocations of a session, on disk: for ``plldb invocations``, also after it has ended.

Each has a whole line when it has finished. Of one that takes its time, there is one before, and a
short one for each further state; what the last line says of a member counts. The first line of a
file says of which session it is.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

from plldb.background.json_lines import (
    JsonLinesWriter,
    is_being_written,
    name_older,
    parse_line,
    read_json_lines,
)
from plldb.debugger.children.invoker import OutputWritten, Progress, RunState
from plldb.debugger.invocation_runner import InvocationFinished, InvocationStarted
from plldb.replay.history import History, Invocation
from plldb.replay.recorder import name_file
from plldb.templates import as_list

# Sessions of one folder whose invocations are kept, and how much of each: two files of it.
_KEPT_SESSIONS = 5
_MAX_BYTES = 16_000_000
_SUFFIX = ".jsonl"
# What has finished by then is written once. To mask an event takes time, which whoever waits for
# the answer may need.
_PATIENCE_SECONDS = 0.3
# Of longer ones, a recording has event and answer. To mask them would take this process too long.
_LONGEST_CHARACTERS = 250_000
# What no invocation can be without, as a reader takes it.
_REQUIRED = {"id": str, "requestId": str, "function": str, "state": str, "arrived": float}
_FINISHED = {"state": "finished"}


class InvocationJournal:
    """Takes a session's events, after ``history`` has had them, and writes them into ``folder``.

    ``mask`` takes secrets out, also those of the function's variables, which are not written
    themselves. ``recordings`` is the folder of --record, ``stacks`` are those that the session is
    attached to. It is all done in another thread, and what can't be written harms nothing. Raises
    OSError if there can't be such a file.
    """

    def __init__(
        self,
        folder: Path,
        history: History,
        mask: Callable[[Any], Any],
        recordings: Path | None,
        stacks: Sequence[str] = (),
        max_bytes: int = _MAX_BYTES,
    ) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        _delete_old_ones(folder)
        self._history = history
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        first = {
            "journal": 1,
            "pid": os.getpid(),
            "recordings": None if recordings is None else str(recordings),
            "stacks": list(stacks),
        }
        path = folder / f"{now}-{os.getpid()}{_SUFFIX}"

        def prepare(value: Any) -> Any:
            return mask(value)["document"]

        self._writer = JsonLinesWriter(path, prepare, max_bytes, first=first)
        self._lock = threading.Lock()
        # Ids of what has begun, with the time; and of what there is a line of, unless it is over.
        self._begun: dict[str, float] = {}
        self._written: set[str] = set()
        self._has_news = threading.Event()
        self._is_closing = False
        self._waiter = threading.Thread(target=self._write_what_takes_time, daemon=True)
        self._waiter.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Of what is under way, there is a line at least."""
        self._is_closing = True
        self._has_news.set()
        self._waiter.join()
        self._writer.close()

    def take(self, event: object) -> None:
        match event:
            case Progress(request_id, _, deadline, RunState.RUNNING | RunState.PAUSED as state):
                id_ = self._history.find_id(request_id, deadline)
                if id_ is not None and id_ in self._written:
                    self._writer.put({"document": {"id": id_, "state": state.value}})
            case InvocationStarted():
                if (id_ := self._history.find_id(event.request_id, event.deadline)) is not None:
                    with self._lock:
                        self._begun[id_] = time.monotonic()
                    self._has_news.set()
            case InvocationFinished():
                if (id_ := self._history.find_id(event.request_id, event.deadline)) is not None:
                    with self._lock:
                        self._begun.pop(id_, None)
                        self._written.discard(id_)
                        self._write(id_)

    def _write_what_takes_time(self) -> None:
        while not self._is_closing:
            self._has_news.wait(_PATIENCE_SECONDS if self._begun else None)
            self._has_news.clear()
            self._write_older(time.monotonic() - _PATIENCE_SECONDS)
        self._write_older(time.monotonic())

    def _write_older(self, than: float) -> None:
        with self._lock:
            ids = [id_ for id_, began in self._begun.items() if began <= than]
            for id_ in ids:
                del self._begun[id_]
                self._written.add(id_)
                self._write(id_)

    def _write(self, id_: str) -> None:
        """With the lock: what was seen before its end must not be written after it."""
        invocation = self._history.get(id_)
        if invocation is not None:
            self._writer.put_later(partial(_describe, invocation))


def _describe(invocation: Invocation) -> dict[str, Any]:
    """With all that may be secret in it: what a variable holds may be in an answer or an output."""
    started = invocation.started
    variables = {} if started is None else dict(started.local.variables)
    return {"document": _shorten(invocation).to_document(), "variables": variables}


def _shorten(invocation: Invocation) -> Invocation:
    """Without an event and an answer that are too long, and with the end of a long output."""
    started, finished = invocation.started, invocation.finished
    result = None if finished is None else finished.result
    size = 0 if started is None else len(started.event)
    size += 0 if result is None else len(result.result or result.raw or "")
    if size > _LONGEST_CHARACTERS:
        if finished is not None and result is not None and result.error is None:
            finished = replace(finished, result=None)
        started = started and replace(started, event="null")
        invocation = replace(invocation, started=started, finished=finished, has_payload=False)
    output = _take_end(invocation.output)
    dropped = invocation.dropped_lines + len(invocation.output) - len(output)
    return replace(invocation, output=output, dropped_lines=dropped)


def _take_end(lines: tuple[OutputWritten, ...]) -> tuple[OutputWritten, ...]:
    size = 0
    for number, line in enumerate(reversed(lines)):
        size += len(line.text)
        if size > _LONGEST_CHARACTERS:
            return lines[len(lines) - number :]
    return lines


def _delete_old_ones(folder: Path) -> None:
    """Leaves room for one more, but those of sessions that run. Their names begin with the time."""
    paths = sorted(folder.glob(f"*{_SUFFIX}"))
    for path in paths[: max(0, len(paths) - _KEPT_SESSIONS + 1)]:
        if not _has_writer(path):
            for one in (path, name_older(path)):
                one.unlink(missing_ok=True)


def _has_writer(path: Path) -> bool:
    with suppress(OSError):
        return is_being_written(path)
    return False


def list_attached(folder: Path) -> list[str]:
    """The stacks that sessions are attached to which write into ``folder`` at this moment."""
    stacks: dict[str, None] = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        if _has_writer(path):
            first = next(read_json_lines(path), {})
            stacks |= dict.fromkeys(map(str, as_list(first.get("stacks"))))
    return list(stacks)


@dataclass
class _Session:
    """What is known of the invocations of one session, by their ids."""

    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Where its writer, if it is there, appends.
    path: Path | None = None

    @property
    def has_ended(self) -> bool:
        return self.path is None or not _has_writer(self.path)


@dataclass
class _File:
    """One of a session's, read up to ``rest``, the beginning of its next line."""

    file: IO[bytes]
    session: _Session
    rest: bytes = b""
    recordings: str | None = None


class JournalReader:
    """Reads what sessions have written into ``folder``, and what they write meanwhile.

    ``keep`` says what is held in memory of an invocation, ``id`` and ``state`` at least.
    """

    def __init__(self, folder: Path, keep: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._folder = folder
        self._keep = keep
        # By what they are on the disk: a file that is full gets another name.
        self._files: dict[tuple[int, int], _File] = {}
        self._sessions: dict[str, _Session] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._files.values():
            one.file.close()

    def read(self) -> list[dict[str, Any]]:
        """Invocations that have changed since the last call, each as it is now.

        ``recording`` is the file of its recording, if it is recorded. The state of one that has not
        finished, and whose session is gone, is "lost". Raises OSError.
        """
        self._open_new_ones()
        # Looked at before: what is written until then is read.
        ended = [one for one in self._sessions.values() if one.has_ended]
        changed: dict[int, dict[str, Any]] = {}
        for file in self._files.values():
            changed |= {id(one): one for one in self._read_file(file)}
        for session in ended:
            for one in session.known.values():
                if one["state"] not in ("finished", "lost"):
                    one["state"] = "lost"
                    changed[id(one)] = one
        return [dict(one) for one in changed.values()]

    @property
    def is_anybody_there(self) -> bool:
        """Whether one of the sessions that were read goes on."""
        return not all(one.has_ended for one in self._sessions.values())

    def _open_new_ones(self) -> None:
        # The older file of a session is read before the newer one.
        for suffix in (f"{_SUFFIX}.1", _SUFFIX):
            for path in sorted(self._folder.glob(f"*{suffix}")):
                session = self._sessions.setdefault(path.name.removesuffix(suffix), _Session())
                session.path = path
                with suppress(FileNotFoundError):
                    self._open(path, session)

    def _open(self, path: Path, session: _Session) -> None:
        file = path.open("rb")
        status = os.fstat(file.fileno())
        known = self._files.setdefault((status.st_dev, status.st_ino), _File(file, session))
        if known.file is not file:
            file.close()

    def _read_file(self, one: _File) -> Iterator[dict[str, Any]]:
        """Invocations, each as often as it has changed."""
        while chunk := one.file.readline():
            one.rest += chunk
            if not one.rest.endswith(b"\n"):
                return
            line, one.rest = one.rest, b""
            for value in parse_line(line):
                if "journal" in value:
                    one.recordings = value.get("recordings")
                elif isinstance(id_ := value.get("id"), str):
                    yield from self._take(one, id_, value)

    def _take(self, one: _File, id_: str, value: dict[str, Any]) -> Iterator[dict[str, Any]]:
        known = one.session.known
        if _is_whole(value):
            kept = self._keep(value | {"recording": _name_recording(one.recordings, value)})
            known.setdefault(id_, {}).update(kept)
            yield known[id_]
        # What has finished may be told to run by another thread afterwards.
        elif known.get(id_, _FINISHED)["state"] != "finished" and "state" in value:
            known[id_]["state"] = str(value["state"])
            yield known[id_]


def _is_whole(value: dict[str, Any]) -> bool:
    """Whether it has what no invocation can be without."""
    return all(isinstance(value.get(name), kind) for name, kind in _REQUIRED.items())


def _name_recording(folder: str | None, value: dict[str, Any]) -> str | None:
    if not isinstance(folder, str):
        return None
    return str(Path(folder) / name_file(value["function"], value["arrived"], value["requestId"]))
