"""A recording: one invocation in a file, with all that is needed to run it again.

docs/howto/recordings.md describes the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plldb import __version__
from plldb.errors import SourceError

SUFFIX = ".plldb.json"
# Changes when a file of the new kind can't be read by an older plldb.
SCHEMA = 1
OUTCOMES = ("succeeded", "failed", "abandoned")
EXPECTATIONS = ("answer", "error")
_MEND = "Record it again, or mend it; docs/howto/recordings.md says what is in it."


@dataclass(frozen=True)
class RecordedFunction:
    """The function as it ran; folders are relative to that of the project."""

    logical_id: str
    name: str
    handler: str
    runtime: str = ""
    memory_size: int = 128
    timeout: int = 3
    region: str = "us-east-1"
    stack: str = ""
    code: str = "."
    build: str | None = None
    layers: tuple[str, ...] = ()
    logging: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Recording:
    """One invocation. ``event`` and ``answer`` are JSON values, with secrets masked.

    ``raw`` is an answer that is no JSON, in base64. ``error`` is as Lambda reports it. ``expect``
    is what a replay is to come to: see ``verdict``. ``ignore`` are places that may differ, as in
    ``difference``. ``times`` are for people: ``recordedAt``, ``durationMs``, ``legs``.
    """

    function: RecordedFunction
    request_id: str
    event: Any
    context: Mapping[str, Any]
    variables: Mapping[str, str]
    outcome: str
    expect: str = "answer"
    answer: Any = None
    raw: str | None = None
    error: Mapping[str, Any] | None = None
    ignore: tuple[str, ...] = ()
    times: Mapping[str, Any] = field(default_factory=dict)

    @property
    def recorded_at(self) -> str:
        """UTC, as ISO 8601 has it; empty if the file does not say."""
        return str(self.times.get("recordedAt", ""))

    def to_document(self) -> dict[str, Any]:
        """As it stands in the file."""
        made = self.function
        return {
            "plldbRecording": SCHEMA,
            "plldb": __version__,
            "requestId": self.request_id,
            "times": dict(self.times),
            "function": {
                "logicalId": made.logical_id,
                "name": made.name,
                "handler": made.handler,
                "runtime": made.runtime,
                "memorySize": made.memory_size,
                "timeout": made.timeout,
                "region": made.region,
                "stack": made.stack,
                "code": made.code,
                "build": made.build,
                "layers": [*made.layers],
                "logging": dict(made.logging),
            },
            "variables": dict(self.variables),
            "context": dict(self.context),
            "event": self.event,
            "outcome": self.outcome,
            "expect": self.expect,
            "ignore": [*self.ignore],
            **(
                name_answer(self.raw, self.answer)
                if self.outcome == "succeeded"
                else {"error": self.error}
            ),
        }


def name_answer(raw: str | None, answer: Any) -> dict[str, Any]:
    """An answer under the name that it has in the file, and in places that differ."""
    return {"answer": answer} if raw is None else {"answerBase64": raw}


def render(document: Mapping[str, Any]) -> bytes:
    """For people and for `git diff`: a member a line, in the order of its making."""
    try:
        text = json.dumps(document, indent=2)
    except RecursionError:
        text = json.dumps(document)  # C, which goes deeper than Python
    return (text + "\n").encode()


def read_recording(path: Path) -> Recording:
    """Raises SourceError if it can't be read, or makes no sense: where, and what to do."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(
            f"{path} can't be read: {error.strerror}.", "Name a recording that is there."
        ) from None
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise SourceError(f"{path} is no JSON: {reason}.", _MEND) from None
    return _read(_Members(path, "", document))


def read_recordings(folder: Path, warn: Callable[[str], None]) -> Iterator[tuple[Path, Recording]]:
    """The recordings in a folder, by the names of their files; ``warn`` hears of those that make no
    sense.
    """
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            recording = read_recording(path)
        except SourceError as error:
            warn(error.explanation)
        else:
            yield path, recording


class _Members:
    """The members of an object in a file, each checked as it is taken."""

    def __init__(self, path: Path, where: str, value: Any) -> None:
        self._path, self._where = path, where
        if not isinstance(value, dict):
            raise self.refuse(where or "the whole", value, "an object")
        self.values: dict[str, Any] = value

    def take(self, key: str, kind: type, default: Any) -> Any:
        value = self.values.get(key, default)
        is_right = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
        if not is_right and not (value is None and default is None):
            raise self.refuse(f"{self._where}{key}", value, _KINDS[kind])
        return value

    def take_texts(self, key: str) -> tuple[str, ...]:
        values = self.take(key, list, [])
        for value in values:
            if not isinstance(value, str):
                raise self.refuse(f"{self._where}{key}", value, "strings")
        return tuple(values)

    def take_choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        value = self.take(key, str, default)
        if value not in choices:
            raise self.refuse(f"{self._where}{key}", value, f"one of {', '.join(choices)}")
        return str(value)

    def within(self, key: str) -> _Members:
        return _Members(self._path, f"{self._where}{key}.", self.values.get(key, {}))

    def refuse(self, where: str, value: Any, wanted: str) -> SourceError:
        shown = json.dumps(value)[:60]
        return SourceError(f"{self._path}: {where.rstrip('.')} is {shown}, not {wanted}.", _MEND)


_KINDS = {str: "a string", int: "a whole number", list: "a list", dict: "an object"}


def _read(all_: _Members) -> Recording:
    schema = all_.values.get("plldbRecording")
    if schema != SCHEMA:
        raise all_.refuse("plldbRecording", schema, f"{SCHEMA}, which this plldb reads")
    made = all_.within("function")
    variables, logging = all_.within("variables"), made.within("logging")
    outcome = all_.take_choice("outcome", OUTCOMES, "")
    error = all_.take("error", dict, None)
    if error is not None:
        for key in ("errorType", "errorMessage"):
            all_.within("error").take(key, str, "")
    return Recording(
        RecordedFunction(
            made.take("logicalId", str, ""),
            made.take("name", str, ""),
            made.take("handler", str, None) or _require(made, "handler"),
            made.take("runtime", str, ""),
            made.take("memorySize", int, 128),
            made.take("timeout", int, 3),
            made.take("region", str, "us-east-1"),
            made.take("stack", str, ""),
            made.take("code", str, "."),
            made.take("build", str, None),
            made.take_texts("layers"),
            {key: logging.take(key, str, "") for key in logging.values},
        ),
        all_.take("requestId", str, ""),
        all_.values.get("event"),
        all_.take("context", dict, {}),
        {key: variables.take(key, str, "") for key in variables.values},
        outcome,
        all_.take_choice("expect", EXPECTATIONS, "answer"),
        all_.values.get("answer"),
        all_.take("answerBase64", str, None),
        error,
        all_.take_texts("ignore"),
        all_.take("times", dict, {}),
    )


def _require(members: _Members, key: str) -> str:
    raise members.refuse(f"function.{key}", members.values.get(key), "a string")
