"""Which of the invocations that were written down is meant, and what lists show of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plldb.errors import SessionError

# Members that may be long; lists do without them.
LONG = ("payload", "context", "output", "answer", "answerBase64", "error", "wasPaused", "legs")
# Of an event, an answer or a message, a list shows so many characters.
_SHOWN_CHARACTERS = 60


def summarize(document: Mapping[str, Any]) -> dict[str, Any]:
    """An invocation as lists have it."""
    return {name: value for name, value in document.items() if name not in LONG}


def abridge(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same with the beginnings of its event and its answer, for people."""
    return summarize(document) | {
        "shortEvent": shorten(document.get("payload")),
        "shortAnswer": shorten(document.get("answer")),
    }


def shorten(value: Any) -> str:
    return shorten_text(json.dumps(value, ensure_ascii=False))


def shorten_text(text: str) -> str:
    """One line of it, without its end."""
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def has_failed(document: Mapping[str, Any]) -> bool:
    """Whether its caller has got no answer from here."""
    return document.get("outcome") in ("failed", "abandoned") or document.get("state") == "lost"


def is_of(document: Mapping[str, Any], function: str) -> bool:
    """``function`` is its name, with its stack's before it or without."""
    name, stack = str(document.get("function")), f"{document.get('stackName')}/"
    return name.removeprefix(stack) == function.removeprefix(stack)


def choose(found: Iterable[dict[str, Any]], beginning: str) -> dict[str, Any]:
    """The one whose id is ``beginning``, or begins so. Raises SessionError: several, or none."""
    by_id = {str(one["id"]): one for one in found}
    if beginning in by_id:
        return by_id[beginning]
    ids = [one for one in by_id if one.startswith(beginning)] if beginning else []
    if len(ids) == 1:
        return by_id[ids[0]]
    if ids:
        lines = [f"  {one}  {by_id[one]['function']}  {_tell_end(by_id[one])}" for one in ids]
        raise SessionError(
            f"{len(ids)} invocations begin with {beginning}:\n" + "\n".join(lines),
            "Give more of the id.",
        )
    raise SessionError(f"No invocation begins with {beginning}.", _list_some([*by_id]))


def _tell_end(document: Mapping[str, Any]) -> str:
    return str(document.get("outcome") or document.get("state"))


def _list_some(ids: Sequence[str]) -> str:
    if not ids:
        return "None has been written down for this folder: 'plldb dev' and 'plldb attach' do so."
    return f"'plldb invocations' lists them; the last one is {ids[-1]}."
