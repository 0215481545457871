"""What differs between two runs: their events, what they came to, and their output."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from plldb.inspector.listing import get_answer, get_error, get_event, is_base64
from plldb.replay.difference import compare_members
from plldb.replay.history import Invocation
from plldb.replay.invocation_document import parse_json

# What a page is told of one side of a place, and how many places; who has more knows that it is
# another thing altogether.
_SHOWN_CHARACTERS = 2_000
_SHOWN_PLACES = 500
# Of longer logs the ends are compared: it takes the square of their lengths.
_COMPARED_LINES = 1_000


def describe_difference(
    left: Invocation, right: Invocation, ignore: Sequence[str] = ()
) -> dict[str, Any]:
    """For the page; ``ignore`` are places that may differ, as in ``compare``."""
    places = compare_members(_collect_facts(left), _collect_facts(right), ignore)
    return {
        "left": left.id,
        "right": right.id,
        "isSame": not places,
        "places": [
            {"path": one.path, "left": _cut(one.recorded), "right": _cut(one.now)}
            for one in places[:_SHOWN_PLACES]
        ],
        "morePlaces": max(0, len(places) - _SHOWN_PLACES),
        "log": _compare_logs(left, right),
    }


def _collect_facts(run: Invocation) -> dict[str, Any]:
    """Without the trace: a line more in the code is no other result."""
    event, answer, error = get_event(run), get_answer(run), get_error(run)
    facts: dict[str, Any] = {} if event is None else {"event": parse_json(event)}
    if error is not None:
        return facts | {"error": {key: error[key] for key in ("errorType", "errorMessage")}}
    if answer is None:
        return facts
    return facts | ({"answerBase64": answer} if is_base64(run) else {"answer": parse_json(answer)})


def _compare_logs(left: Invocation, right: Invocation) -> list[dict[str, str]]:
    """Lines with what they are: " " in both, "-" in the left one alone, "+" in the right one."""
    then, now = ([line.text for line in one.output[-_COMPARED_LINES:]] for one in (left, right))
    lines = [*difflib.unified_diff(then, now, lineterm="", n=2)][2:]
    lines = [line for line in lines if not line.startswith("@@")]
    return [{"side": line[:1], "line": line[1:_SHOWN_CHARACTERS]} for line in lines[:_SHOWN_PLACES]]


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}… ({len(text)} characters)"
