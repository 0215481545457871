"""Invocations as the page shows them: in a list, and one of them whole.

What is long is cut, so that neither the browser nor the way there is stuffed; the rest comes when
somebody asks for it. Payloads stay the text that they are: a number that a browser would read and
write again might be another one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from plldb.replay.history import History, Invocation
from plldb.replay.invocation_document import describe_legs

# What a list has of a payload, and what the details have of it, in characters.
_PREVIEW = 160
CUT = 32_000
# Lines of output that come at once: the last ones.
_LINES = 1_000
# A line may be as long as it likes.
_LINE = 4_000


@dataclass(frozen=True)
class Search:
    """What to list; an empty string is anything.

    ``outcome`` is one of an invocation's, or the state of one that has none yet. ``text`` is looked
    for in event, answer, error, output, function and request id, in whatever case.
    """

    function: str = ""
    outcome: str = ""
    text: str = ""

    def finds(self, invocation: Invocation, history: History) -> bool:
        if self.function and invocation.function != self.function:
            return False
        if self.outcome and name_outcome(invocation) != self.outcome:
            return False
        return not self.text or self._finds_text(invocation, history)

    def _finds_text(self, invocation: Invocation, history: History) -> bool:
        # In JSON, it may be written in two ways more, and letters outside ASCII in either case.
        forms = {
            form.casefold()
            for text in (self.text, self.text.casefold())
            for form in (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
        }
        texts = map(str.casefold, _list_texts(invocation, history))
        return any(form in text for text in texts for form in forms)


def name_outcome(invocation: Invocation) -> str:
    """How it ended, or else how far it is: "queued", "running", "paused", "awaiting debugger"."""
    finished = invocation.finished
    return invocation.state.value if finished is None else finished.outcome


def get_event(invocation: Invocation) -> str | None:
    """JSON text, or None for one whose event never came here, or is not kept any more."""
    return None if invocation.started is None else invocation.started.event


def get_answer(invocation: Invocation) -> str | None:
    """JSON text, or base64 of bytes that are no JSON; None without an answer."""
    result = None if invocation.finished is None else invocation.finished.result
    if result is None or result.error is not None:
        return None
    return result.result if result.raw is None else result.raw


def is_base64(invocation: Invocation) -> bool:
    """Whether the answer is no JSON."""
    result = None if invocation.finished is None else invocation.finished.result
    return result is not None and result.raw is not None


def get_error(invocation: Invocation) -> Mapping[str, Any] | None:
    """As Lambda reports it, or why there was no answer; None for what did not end in one."""
    finished = invocation.finished
    if finished is None or finished.outcome == "succeeded":
        return None
    if finished.result is not None and finished.result.error is not None:
        return finished.result.error
    kind, message = invocation.error_type, invocation.error_message
    return {
        "errorType": kind or finished.outcome,
        "errorMessage": message or finished.error or "",
        "stackTrace": [],
    }


def summarize(invocation: Invocation) -> dict[str, Any]:
    """One in a list: less than a kilobyte, whatever its payloads are."""
    error, finished = get_error(invocation), invocation.finished
    came_to = get_answer(invocation) or ""
    if error is not None:
        came_to = f"{error['errorType']}: {error['errorMessage']}"
    return {
        "id": invocation.id,
        "requestId": invocation.request_id,
        "function": invocation.function,
        "outcome": name_outcome(invocation),
        "hasEnded": finished is not None,
        "arrived": invocation.arrived,
        "durationMs": None if finished is None else finished.duration_ms,
        "replayOf": invocation.replay_of,
        "event": (get_event(invocation) or "")[:_PREVIEW],
        "cameTo": came_to[:_PREVIEW],
        "revision": invocation.revision,
    }


def describe(invocation: Invocation) -> dict[str, Any]:
    """All of one, cut; ``…Characters`` says how long its payloads are."""
    started, finished = invocation.started, invocation.finished
    event, answer = get_event(invocation), get_answer(invocation)
    output = invocation.output
    return summarize(invocation) | {
        "stack": invocation.stack,
        "deadline": invocation.deadline,
        "hasPayload": invocation.has_payload,
        "event": None if event is None else event[:CUT],
        "eventCharacters": len(event or ""),
        "answer": None if answer is None else answer[:CUT],
        "answerCharacters": len(answer or ""),
        "isBase64": is_base64(invocation),
        "error": _cut_error(get_error(invocation)),
        "wasPaused": finished is not None and finished.was_paused,
        "legs": None if finished is None else describe_legs(finished.legs),
        "log": [{"stream": one.stream, "line": one.text[:_LINE]} for one in output[-_LINES:]],
        "earlierLines": max(0, len(output) - _LINES) + invocation.dropped_lines,
        "canReplay": started is not None,
        "handler": "" if started is None else started.local.handler,
        "folder": "" if started is None else str(started.local.code_dir),
    }


def list_page(history: History, search: Search, before: str, limit: int) -> dict[str, Any]:
    """The newest of those that are found, or those before the one with the id ``before``.

    ``next`` is what to give for the next page, or empty.
    """
    newest_first = history.list_all()[::-1]
    found = [one for one in newest_first if search.finds(one, history)]
    begin = 0
    if before:
        # If it is not there any more, neither are those that came before it.
        begin = next((n + 1 for n, one in enumerate(found) if one.id == before), len(found))
    page = found[begin : begin + limit]
    return {
        "invocations": [summarize(one) for one in page],
        "matching": len(found),
        "total": len(newest_first),
        "functions": sorted({one.function for one in newest_first}),
        "next": page[-1].id if begin + limit < len(found) else "",
    }


def _cut_error(error: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "errorType": error["errorType"],
        "errorMessage": error["errorMessage"][:CUT],
        "stackTrace": [line[:_LINE] for line in error["stackTrace"][:_LINES]],
    }


def _list_texts(invocation: Invocation, history: History) -> Iterator[str]:
    yield invocation.id
    yield invocation.function
    yield get_event(invocation) or ""
    yield get_answer(invocation) or ""
    if (error := get_error(invocation)) is not None:
        yield f"{error['errorType']}: {error['errorMessage']}"
        yield from error["stackTrace"]
    # Lists are without their output.
    whole = history.get(invocation.id)
    yield from (one.text for one in (() if whole is None else whole.output))
