"""The invocations of a session, on disk: for ``plldb invocations``, also after it has ended.

Each has a line when it begins, one for each state that it comes to, and a whole one when it has
finished; the last line of a member counts. The first line of a file says of which session it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

from plldb.background.json_lines import (
    JsonLinesWriter,
    is_being_written,
    name_older,
    parse_line,
)
from plldb.debugger.children.invoker import Progress, RunState
from plldb.debugger.invocation_runner import InvocationFinished, InvocationStarted
from plldb.replay.history import History, Invocation
from plldb.replay.recorder import name_file

# Sessions of one folder whose invocations are kept, and how much of each: two files of it.
_KEPT_SESSIONS = 5
_MAX_BYTES = 16_000_000
_SUFFIX = ".jsonl"
# What no invocation can be without, as a reader takes it.
_REQUIRED = {"id": str, "requestId": str, "function": str, "state": str, "arrived": float}
_FINISHED = {"state": "finished"}


class InvocationJournal:
    """Takes a session's events, after ``history`` has had them, and writes them into ``folder``.

    ``mask`` takes secrets out, also those of the function's variables, which are not written
    themselves. ``recordings`` is the folder of --record. It is all done in
    another thread, and what can't be written harms nothing. Raises OSError if there can't be such
    a file.
    """

    def __init__(
        self,
        folder: Path,
        history: History,
        mask: Callable[[Any], Any],
        recordings: Path | None,
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
        }
        path = folder / f"{now}-{os.getpid()}{_SUFFIX}"

        def prepare(value: Any) -> Any:
            return mask(value)["document"]

        self._writer = JsonLinesWriter(path, prepare, max_bytes, first=first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def take(self, event: object) -> None:
        match event:
            case Progress(request_id, _, deadline, RunState.RUNNING | RunState.PAUSED as state):
                id_ = self._history.find_id(request_id, deadline)
                if id_ is not None:
                    self._writer.put({"document": {"id": id_, "state": state.value}})
            case InvocationStarted() | InvocationFinished():
                id_ = self._history.find_id(event.request_id, event.deadline)
                invocation = None if id_ is None else self._history.get(id_)
                if invocation is not None:
                    self._writer.put_later(partial(_describe, invocation))


def _describe(invocation: Invocation) -> dict[str, Any]:
    """With all that may be secret in it: what a variable holds may be in an answer or an output."""
    started = invocation.started
    variables = {} if started is None else dict(started.local.variables)
    return {"document": invocation.to_document(), "variables": variables}


def _delete_old_ones(folder: Path) -> None:
    """Leaves room for one more. Their names begin with the time."""
    paths = sorted(folder.glob(f"*{_SUFFIX}"))
    for path in paths[: max(0, len(paths) - _KEPT_SESSIONS + 1)]:
        for one in (path, name_older(path)):
            one.unlink(missing_ok=True)


@dataclass
class _Session:
    """What is known of the invocations of one session, by their ids."""

    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Where its writer, if it is there, appends.
    path: Path | None = None

    @property
    def has_ended(self) -> bool:
        with suppress(OSError):
            return self.path is None or not is_being_written(self.path)
        return True


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
