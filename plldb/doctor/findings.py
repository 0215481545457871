"""What a check comes back with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self


class CheckStatus(StrEnum):
    """How bad it is; the JSON output has the value."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class CheckResult:
    """``found`` says how things are, ``hint`` what to do; ``data`` goes to the JSON output."""

    status: CheckStatus
    found: str
    hint: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def ok(cls, found: str, **data: Any) -> Self:
        """All is well."""
        return cls(CheckStatus.OK, found, None, data)

    @classmethod
    def warning(cls, found: str, hint: str, **data: Any) -> Self:
        """Things work, or what does not work is not needed by everybody."""
        return cls(CheckStatus.WARNING, found, hint, data)

    @classmethod
    def problem(cls, found: str, hint: str | None, **data: Any) -> Self:
        """Something that is needed does not work."""
        return cls(CheckStatus.PROBLEM, found, hint, data)

    @classmethod
    def skipped(cls, found: str, hint: str | None = None, **data: Any) -> Self:
        """Nobody looked, or it could not be found out."""
        return cls(CheckStatus.SKIPPED, found, hint, data)


@dataclass(frozen=True)
class Finding:
    """The result of the check of that name."""

    check: str
    result: CheckResult

    def to_json(self) -> dict[str, Any]:
        """The finding as ``plldb doctor --output json`` prints it."""
        result = self.result
        own = {
            "check": self.check,
            "status": str(result.status),
            "found": result.found,
            "hint": result.hint,
        }
        return own | dict(result.data)
