"""Writes a recording of each invocation that runs here."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from plldb.bootstrap.cloudformation.lambda_functions.shared.ids import shortened
from plldb.debugger.invocation_runner import InvocationFinished, InvocationStarted
from plldb.debugger.reserved_variables import is_reserved
from plldb.errors import SourceError
from plldb.files import replace_file
from plldb.replay.history import find_stack_name
from plldb.replay.invocation_document import choose_context, describe_legs
from plldb.replay.masks import Masks
from plldb.replay.recording import SUFFIX, RecordedFunction, Recording, render

if TYPE_CHECKING:
    from plldb.debugger.attachment import AttachEvent

_NAME_CHARACTERS = re.compile(r"[^A-Za-z0-9_.-]+")


class Recorder:
    """Takes a session's events, and writes one file into ``folder`` for each invocation that ran.

    ``project`` is the folder that those of the code are told from, ``stacks`` are the names of the
    session's. A file is written in a thread of the recorder's own: the invocation has been
    answered by then, and no other one waits for it. One that can't be written harms nothing:
    ``warn`` is told why, once. Leaving the recorder, as a context manager, waits for what is being
    written. Raises SourceError if there can be no such folder.
    """

    def __init__(
        self,
        folder: Path,
        project: Path,
        stacks: Sequence[str],
        masks: Masks,
        warn: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._project = project
        self._stacks = stacks
        self._masks = masks
        self._warn = warn
        self._has_warned = False
        # By request id and deadline: Lambda's own retries have the same id.
        self._started: dict[tuple[str, float], InvocationStarted] = {}
        self._writer = ThreadPoolExecutor(1, "recorder")
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(
                f"There can be no recordings in {folder}: {error.strerror}.",
                "Name another folder: --record DIR",
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.shutdown()

    def take(self, event: AttachEvent) -> None:
        match event:
            case InvocationStarted():
                self._started[event.request_id, event.deadline] = event
            case InvocationFinished():
                started = self._started.pop((event.request_id, event.deadline), None)
                if started is not None:
                    self._writer.submit(self._write, started, event)

    def _write(self, started: InvocationStarted, finished: InvocationFinished) -> None:
        try:
            stack = find_stack_name(started.function, self._stacks)
            recording = make_recording(started, finished, self._project, stack)
            document = mask_recording(recording, self._masks).to_document()
            name = name_file(started.function, started.arrived, started.request_id)
            replace_file(self._folder / name, render(document), 0o600)
        except (OSError, ValueError, RecursionError, MemoryError) as error:
            reason = explain(error)
            if not self._has_warned:
                self._has_warned = True
                who = f"{started.function} {shortened(started.request_id)}"
                self._warn(f"{who} could not be recorded in {self._folder}: {reason}.")


def explain(error: Exception) -> str | None:
    """Why something can't be recorded."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return error.strerror if isinstance(error, OSError) else type(error).__name__


def name_file(function: str, arrived: float, request_id: str) -> str:
    """``<function>-<time>-<request id's beginning>.plldb.json``; the time is UTC."""
    time = datetime.fromtimestamp(arrived, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    beginning = re.sub(r"\W", "", shortened(request_id))
    return f"{_NAME_CHARACTERS.sub('_', function)}-{time}-{beginning}{SUFFIX}"


def make_recording(
    started: InvocationStarted, finished: InvocationFinished, project: Path, stack_name: str
) -> Recording:
    """With its secrets still in it. Raises ValueError, RecursionError for what Python can't read.

    Of the variables, none is there that plldb or Lambda sets, and none of the AWS SDK's.
    """
    local, result = started.local, finished.result

    def relate(folder: Path) -> str:
        return os.path.relpath(folder, project)

    error = None if result is None else result.error
    if result is None:
        reason = finished.error or "there was no answer"
        error = {"errorType": "abandoned", "errorMessage": reason, "stackTrace": []}
    text = None if result is None else result.result
    return Recording(
        RecordedFunction(
            local.logical_id,
            local.function_name,
            local.handler,
            local.runtime,
            local.memory_size,
            local.timeout,
            local.region,
            stack_name,
            relate(local.code_dir),
            None if local.build_dir is None else relate(local.build_dir),
            tuple(map(relate, local.layers)),
            dict(local.logging),
        ),
        started.request_id,
        json.loads(started.event),
        choose_context(started.context),
        choose_variables(local.variables),
        finished.outcome,
        answer=None if text is None else json.loads(text),
        raw=None if result is None else result.raw,
        error=None if error is None else dict(error),
        times={
            "recordedAt": datetime.fromtimestamp(started.arrived, UTC).isoformat(),
            "durationMs": finished.duration_ms,
            "legs": describe_legs(finished.legs),
        },
    )


def choose_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Those that the code needs to run: the function's own."""
    return {
        name: value
        for name, value in variables.items()
        if not is_reserved(name) and not name.upper().startswith("AWS_")
    }


def mask_recording(recording: Recording, masks: Masks) -> Recording:
    """All at once: what is secret in the variables may stand in the answer, or in a trace."""
    masked: dict[str, Any] = masks.apply(
        {
            "event": recording.event,
            "answer": recording.answer,
            "raw": recording.raw,
            "error": recording.error,
            "context": dict(recording.context),
            "variables": dict(recording.variables),
        }
    )
    return replace(recording, **masked)
