"""What a run of ``tools.aws_acceptance`` has seen: as JSON, and as a page for people."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tools.acceptance_suite import Suite


@dataclass
class Step:
    """``must`` is what has to be seen, ``seen`` what was; ``outcome`` ok, failed or skipped."""

    name: str
    must: str
    outcome: str = "skipped"
    seen: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Latency:
    """How long something took, in milliseconds."""

    name: str
    median: float
    p95: float
    count: int

    @classmethod
    def of(cls, name: str, seconds: Sequence[float]) -> Latency:
        """``seconds`` are at least one."""
        ordered = sorted(seconds)
        p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        return cls(
            name, round(statistics.median(ordered) * 1000, 1), round(p95 * 1000, 1), len(ordered)
        )


@dataclass
class Report:
    """``environment`` says what was run where; ``left`` is what could not be cleaned up.

    ``is_rehearsal``: it was no AWS, but an emulator.
    """

    environment: Mapping[str, str]
    steps: list[Step] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    suite: Suite | None = None
    left: list[str] = field(default_factory=list)
    is_rehearsal: bool = False

    def add_suite(self, part: Suite) -> None:
        self.suite = (self.suite or Suite()) + part

    @property
    def is_good(self) -> bool:
        """Nothing failed, nothing was skipped, and nothing is left."""
        return bool(self.steps) and not self.left and all(one.outcome == "ok" for one in self.steps)

    def write(self, folder: Path) -> None:
        document = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (folder / "report.json").write_text(document + "\n", encoding="utf-8")
        (folder / "report.md").write_text(self.render(), encoding="utf-8")

    def render(self) -> str:
        where = "rehearsed on an emulator" if self.is_rehearsal else "on AWS"
        parts = [
            f"# plldb {where}: {'all seen' if self.is_good else 'not all as it must be'}\n",
            _table(("", ""), self.environment.items()),
            "## Steps\n",
            _table(
                ("step", "outcome", "s", "must be seen", "seen"),
                [
                    (one.name, one.outcome, f"{one.seconds:.1f}", one.must, one.seen)
                    for one in self.steps
                ],
            ),
        ]
        if self.latencies:
            rows = [(one.name, one.median, one.p95, one.count) for one in self.latencies]
            parts += ["## Latencies, in ms\n", _table(("", "median", "p95", "of"), rows)]
        if self.findings:
            found = [(one["check"], one["status"], one["found"]) for one in self.findings]
            parts += ["## plldb doctor --deep\n", _table(("check", "", "found"), found)]
        if self.suite is not None:
            parts += ["## End-to-end tests\n", _describe_suite(self.suite)]
        if self.left:
            parts += ["## Left behind: delete it\n", "".join(f"- {one}\n" for one in self.left)]
        return "\n".join(parts)


def _describe_suite(suite: Suite) -> str:
    line = f"{suite.passed} passed, {len(suite.failed)} failed, {suite.skipped} skipped.\n"
    return line + "".join(f"- {name}\n" for name in suite.failed)


def _table(heads: Sequence[str], rows: Any) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(value: object) -> str:
    """On one line, and a bar is none of the table's."""
    return " ".join(str(value).split()).replace("|", "\\|")
