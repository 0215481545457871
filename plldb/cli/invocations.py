"""``plldb invocations`` and ``plldb invocation``: what ran here, now and before."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plldb.cli.command_base import Command
from plldb.cli.name_types import ANY_NAME
from plldb.cli.options import global_options

if TYPE_CHECKING:
    from plldb.background.invocation_journal import JournalReader
    from plldb.cli.console import Console

_LOOK_SECONDS = 0.2
_SHOWN_OF_ID = 8
_COLUMNS = ("time", "id", "function", "outcome", "ms", "event", "answer or error")


@click.command(cls=Command)
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--function", metavar="NAME", help="Only those of this function.")
@click.option("--failed", is_flag=True, help="Only those that got no answer from here.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="So many of the last ones.",
)
@global_options
def invocations(follow: bool, function: str | None, failed: bool, limit: int) -> None:
    """List the invocations that ran here, the oldest first.

    \b
      plldb invocations
      plldb invocations --failed --function Greeter --limit 5
      plldb invocations --follow --output json

    They are those of 'plldb dev' and 'plldb attach' in this folder or the nearest above that has
    had any: of sessions that run, in the background or not, and of the last ones before. With
    --follow, in JSON, each has a line for each state that it comes to.
    """
    from plldb.background.known_invocations import abridge, has_failed, is_of, summarize
    from plldb.cli.background import open_journals
    from plldb.cli.factory import make_factory

    factory = make_factory()
    console = factory.console

    def select(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        chosen = [
            one
            for one in found
            if (function is None or is_of(one, function)) and (not failed or has_failed(one))
        ]
        return sorted(chosen, key=lambda one: one["arrived"])

    with open_journals(factory, summarize if console.is_json else abridge) as journals:
        listed = select(journals.read())[-limit:]
        _show(console, listed)
        if not listed and not follow:
            console.note("No such invocation has been written down.")
        if follow:
            with suppress(KeyboardInterrupt):
                for one in _follow(journals):
                    _show_news(console, select([one]))


def _follow(journals: JournalReader) -> Iterator[dict[str, Any]]:
    while True:
        time.sleep(_LOOK_SECONDS)
        yield from journals.read()


def _show(console: Console, listed: Iterable[dict[str, Any]]) -> None:
    rows = []
    for one in listed:
        if console.is_json:
            console.answer(finalize(one), "")
        else:
            rows.append(_make_row(one))
    if rows:
        console.table(_COLUMNS, rows)


def _show_news(console: Console, news: Iterable[dict[str, Any]]) -> None:
    """For people, those that have come to an end."""
    for one in news:
        if console.is_json or one["state"] in ("finished", "lost"):
            console.answer(finalize(one), "" if console.is_json else "  ".join(_make_row(one)))


@click.command(cls=Command)
@click.argument("id_", type=ANY_NAME, metavar="ID")
@global_options
def invocation(id_: str) -> None:
    """Show all of an invocation that ran here: event, answer or error, output, where time went.

    \b
      plldb invocation last
      plldb invocation da8aa257 --output json

    ID is what 'plldb invocations' shows, the beginning of an id, or "last". What was secret is
    masked, as in recordings.
    """
    from plldb.background.known_invocations import choose, summarize
    from plldb.cli.background import open_journals
    from plldb.cli.factory import make_factory

    factory = make_factory()

    def keep(document: dict[str, Any]) -> dict[str, Any]:
        is_meant = id_ == "last" or document["id"].startswith(id_)
        return document if is_meant else summarize(document)

    with open_journals(factory, keep) as journals:
        found = sorted(journals.read(), key=lambda one: one["arrived"])
    chosen = finalize(found[-1] if found and id_ == "last" else choose(found, id_))
    factory.console.answer(chosen, "" if factory.console.is_json else _tell(chosen))


# --- Shown ----------------------------------------------------------------------------------------


def finalize(document: Mapping[str, Any]) -> dict[str, Any]:
    """What is shown of it: a recording that is not there is none."""
    recording = document.get("recording")
    is_there = isinstance(recording, str) and Path(recording).exists()
    return {**document, "recording": recording if is_there else None}


def _make_row(one: Mapping[str, Any]) -> tuple[str, ...]:
    from plldb.background.known_invocations import shorten_text

    message = f"{one.get('errorType')}: {one.get('errorMessage')}"
    result = message if one.get("errorType") else one.get("reason") or one["shortAnswer"]
    return (
        datetime.fromtimestamp(one["arrived"]).strftime("%m-%d %H:%M:%S"),
        str(one["id"])[:_SHOWN_OF_ID],
        str(one["function"]),
        str(one.get("outcome") or one["state"]),
        "" if one.get("durationMs") is None else f"{one['durationMs']:.0f}",
        str(one["shortEvent"]),
        "" if one.get("outcome") is None else shorten_text(str(result)),
    )


def _tell(one: Mapping[str, Any]) -> str:
    """All of it, for people."""
    import json

    arrived = datetime.fromtimestamp(one["arrived"]).isoformat(" ", "milliseconds")
    duration = "" if one.get("durationMs") is None else f", {one['durationMs']:.0f} ms"
    parts = [
        f"{one['function']}  {one['id']}",
        f"{arrived}  {one.get('outcome') or one['state']}{duration}",
    ]
    if one.get("reason"):
        parts.append(f"No answer from here counts: {one['reason']}")
    legs = {name: leg for name, leg in (one.get("legs") or {}).items() if leg is not None}
    if legs:
        parts.append("  ".join(f"{name} {leg:.1f} ms" for name, leg in legs.items()))
    if one.get("recording"):
        parts.append(f"recording: {one['recording']}")
    parts.append(f"event: {json.dumps(one.get('payload'), indent=2, ensure_ascii=False)}")
    parts += [f"  │ {line['line']}" for line in one.get("output") or ()]
    if error := one.get("error"):
        frames = "".join(error.get("stackTrace") or ()).rstrip()
        parts.append(f"error: {error.get('errorType')}: {error.get('errorMessage')}\n{frames}")
    elif one.get("outcome") == "succeeded":
        answer = one.get("answerBase64") or one.get("answer")
        parts.append(f"answer: {json.dumps(answer, indent=2, ensure_ascii=False)}")
    return "\n".join(parts)
