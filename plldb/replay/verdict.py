"""What a replay came to, beside what was recorded.

=================  ============  ==============================================================
recorded           ``expect``    the replay is good if it …
=================  ============  ==============================================================
an answer          answer        gives the same answer
an error, nothing  answer        gives any answer: what was wrong has been mended
an error           error         fails with an error of the same type and message
=================  ============  ==============================================================
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plldb.debugger.children.invoker import Outcome
from plldb.replay.difference import Difference, compare, compare_members
from plldb.replay.recording import Recording, name_answer


@dataclass(frozen=True)
class Verdict:
    """``summary`` follows the function's name; ``trace`` are the lines of an error's."""

    is_good: bool
    summary: str
    differences: tuple[Difference, ...] = ()
    trace: tuple[str, ...] = ()

    @property
    def explanation(self) -> str:
        """All of it, in lines for people."""
        lines = [self.summary, *map(str, self.differences), *self.trace]
        return "\n".join(line.rstrip("\n") for line in lines)


def judge(recording: Recording, outcome: Outcome, ignore: Sequence[str] = ()) -> Verdict:
    """``ignore`` are places that may differ, beside those that the recording names."""
    if recording.expect == "error":
        return _judge_error(recording, outcome, [*recording.ignore, *ignore])
    if outcome.error is not None:
        error = outcome.error
        what = f"{error['errorType']}: {error['errorMessage']}"
        as_then = " as it did when it was recorded" if _is_same_error(recording, outcome) else ""
        return Verdict(False, f"fails{as_then}: {what}", (), tuple(error["stackTrace"]))
    if recording.outcome != "succeeded":
        then = "no answer" if recording.error is None else recording.error.get("errorType", "")
        return Verdict(True, f"answers now; when it was recorded, it came to {then}")
    recorded = name_answer(recording.raw, recording.answer)
    return _compare(recorded, _name_outcome(outcome), [*recording.ignore, *ignore])


def _judge_error(recording: Recording, outcome: Outcome, ignore: Sequence[str]) -> Verdict:
    if outcome.error is None:
        return Verdict(False, "answers, where an error is expected")
    if recording.error is None:
        return Verdict(True, f"fails as expected: {outcome.error['errorType']}")
    recorded = {"error": _facts_of_error(recording.error)}
    now = {"error": _facts_of_error(outcome.error)}
    return _compare(recorded, now, ignore, "fails as it did when it was recorded")


def _compare(
    recorded: dict[str, Any],
    now: dict[str, Any],
    ignore: Sequence[str],
    praise: str = "answers as it did when it was recorded",
) -> Verdict:
    differences = compare_members(recorded, now, ignore)
    if not differences:
        return Verdict(True, praise)
    places = "1 place" if len(differences) == 1 else f"{len(differences)} places"
    return Verdict(False, f"differs from what was recorded, in {places}:", tuple(differences))


def _name_outcome(outcome: Outcome) -> dict[str, Any]:
    text = outcome.result or "null"
    try:
        return name_answer(outcome.raw, json.loads(text))
    except RecursionError:
        return name_answer(outcome.raw, text)


def _facts_of_error(error: Any) -> dict[str, str]:
    return {key: str(error.get(key, "")) for key in ("errorType", "errorMessage")}


def _is_same_error(recording: Recording, outcome: Outcome) -> bool:
    if not recording.error or not outcome.error:
        return False
    then, now = _facts_of_error(recording.error), _facts_of_error(outcome.error)
    return not compare(then, now, "error")
