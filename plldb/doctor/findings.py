"""What a check comes back with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Result:
    """``found`` says how things are, ``hint`` what to do; ``data`` goes to the JSON output."""

    status: Status
    found: str
    hint: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """The result of the check of that name."""

    check: str
    result: Result

    def to_json(self) -> dict[str, Any]:
        result = self.result
        own = {
            "check": self.check,
            "status": str(result.status),
            "found": result.found,
            "hint": result.hint,
        }
        return own | dict(result.data)


def ok(found: str, **data: Any) -> Result:
    return Result(Status.OK, found, None, data)


def warning(found: str, hint: str, **data: Any) -> Result:
    """Things work, or will not be needed by everybody."""
    return Result(Status.WARNING, found, hint, data)


def problem(found: str, hint: str | None, **data: Any) -> Result:
    return Result(Status.PROBLEM, found, hint, data)


def skipped(found: str, hint: str | None = None, **data: Any) -> Result:
    """It was not looked at, or could not be found out."""
    return Result(Status.SKIPPED, found, hint, data)
