"""``plldb sessions``: who is attached, and how to put an end to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from plldb.cli.command_base import Group
from plldb.cli.name_types import STACK_NAME
from plldb.cli.options import global_options, helper_stack_option

if TYPE_CHECKING:
    from plldb.cli.factory import Factory
    from plldb.debugger.api_client import SessionView

# A whole id, or so much of one that it is worth looking for.
_ID = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,28}")
_WHOLE_ID_LENGTH = 36
_SHOWN_LENGTH = 8
_COLUMNS = ("session", "stack", "status", "owner", "created", "expires")
_stack_name = click.option("--stack-name", type=STACK_NAME, help="Only sessions of this stack.")


@click.group(cls=Group)
@global_options
def sessions() -> None:
    """See who is attached, and close sessions.

    \b
      plldb sessions list
      plldb sessions close 1a2b3c4d
    """


@sessions.command("list")
@_stack_name
@click.option("--all", "with_closed", is_flag=True, help="Closed ones too; takes --stack-name.")
@helper_stack_option()
@global_options
def list_(stack_name: str | None, with_closed: bool) -> None:
    """List who is attached.

    \b
      plldb sessions list
      plldb sessions list --stack-name my-stack --all

    Those are the sessions of all stacks, or of one; of one, also your own that nobody has
    connected to yet. A session's id is a credential, so only its beginning is shown.
    """
    from plldb.cli.factory import make_factory

    if with_closed and stack_name is None:
        raise click.UsageError("--all takes --stack-name: closed sessions are kept by their stack.")
    factory = make_factory()
    console = factory.console
    with console.progress("Listing sessions…"):
        found = factory.open_api().list_sessions(stack_name)
        views = [view for view in found if with_closed or view.status != "CLOSED"]
    _show(factory, views)
    if not views:
        of_stack = f" to stack {stack_name}" if stack_name else ""
        console.note(f"Nobody is attached{of_stack}.")


@sessions.command()
@click.argument("session_id", metavar="ID", required=False)
@_stack_name
@click.option("--all", "every", is_flag=True, help="All open ones of the stack; not with an ID.")
@click.option("--yes", is_flag=True, help="Do not ask before closing all.")
@helper_stack_option()
@global_options
def close(session_id: str | None, stack_name: str | None, every: bool, yes: bool) -> None:
    """Close a session, whoever is attached.

    \b
      plldb sessions close 1a2b3c4d
      plldb sessions close --all --stack-name my-stack

    ID is what 'plldb sessions list' shows, or a whole id. The stack's functions are restored;
    whoever was attached is told who closed the session, and their 'plldb attach' ends with exit
    code 1. Closing what is closed changes nothing; by the beginning of its id, it is found with
    --stack-name only.
    """
    from plldb.cli.factory import make_factory

    if every == (session_id is not None):
        raise click.UsageError("Name one session by its ID, or close --all of a stack.")
    if session_id is not None:
        _check_id(session_id)
        _close_one(make_factory(), session_id, stack_name)
        return
    if stack_name is None:
        raise click.UsageError("--all takes --stack-name.")
    _close_all(make_factory(), stack_name, yes)


def _check_id(session_id: str) -> None:
    if not _ID.fullmatch(session_id):
        raise click.UsageError(
            "That is no session: give its id, or the 8 characters that 'plldb sessions list' shows."
        )


def _close_one(factory: Factory, session_id: str, stack_name: str | None) -> None:
    api = factory.open_api()
    with factory.console.progress("Closing the session…"):
        if stack_name is None and len(session_id) < _WHOLE_ID_LENGTH:
            stack_name = find_stack_name(session_id, list(api.list_sessions()))
        closed = api.close_session(session_id, stack_name)
    text = f"Session {closed.session} of stack {closed.stack_name} is closed."
    factory.console.answer(_encode(closed), text)


def _close_all(factory: Factory, stack_name: str, yes: bool) -> None:
    from plldb.errors import UsageError

    api = factory.open_api()
    question = (
        f"Close all sessions of stack {stack_name} at {factory.target.description}, "
        "attached ones included?"
    )
    if not yes and not factory.console.confirm(question):
        raise UsageError("Nothing was closed.", "Agree when asked, or give --yes.")
    with factory.console.progress("Closing sessions…"):
        count = api.close_sessions(stack_name)
    what = f"{count} sessions are" if count != 1 else "1 session is"
    text = f"{what} closed." if count else f"Stack {stack_name} had no open session."
    factory.console.answer({"stackName": stack_name, "closed": count}, text)


def find_stack_name(beginning: str, attached: Sequence[SessionView]) -> str:
    """The stack of the attached session whose id begins so.

    Raises SessionError if there is none, or if there are several, of different stacks.
    """
    from plldb.errors import SessionError

    stacks = sorted(
        {view.stack_name for view in attached if view.session == beginning[:_SHOWN_LENGTH]}
    )
    match stacks:
        case [stack_name]:
            return stack_name
        case []:
            raise SessionError(
                f"No attached session begins with {beginning[:_SHOWN_LENGTH]}.",
                "'plldb sessions list' shows who is attached; one that is not attached is found "
                "with --stack-name.",
            )
    raise SessionError(
        f"Sessions of several stacks begin with {beginning[:_SHOWN_LENGTH]}: {', '.join(stacks)}.",
        "Name the one that you mean with --stack-name.",
    )


# --- What is shown --------------------------------------------------------------------------------


def _show(factory: Factory, views: Sequence[SessionView]) -> None:
    if factory.console.is_json:
        for view in views:
            factory.console.answer(_encode(view), "")
    elif views:
        now = datetime.now(UTC)
        factory.console.table(_COLUMNS, [format_row(view, now) for view in views])


def _encode(view: SessionView) -> dict[str, str]:
    """As the management API spells it."""
    return {
        "session": view.session,
        "stackName": view.stack_name,
        "status": view.status,
        "owner": view.owner,
        "createdAt": view.created_at,
        "expiresAt": view.expires_at,
    }


def format_row(view: SessionView, now: datetime) -> tuple[str, ...]:
    """A session in the columns of the table."""
    expires = "-" if view.status == "CLOSED" else _format_span(view.expires_at, now)
    return (
        view.session,
        view.stack_name,
        view.status,
        view.owner,
        _format_span(view.created_at, now),
        expires,
    )


_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def _format_span(time: str, now: datetime) -> str:
    """``in 43 min`` or ``17 min ago``; the text itself, if it is no time."""
    try:
        seconds = round((datetime.fromisoformat(time) - now).total_seconds())
    except (ValueError, TypeError):
        return time
    length, unit = next((one for one in _UNITS if abs(seconds) >= one[0]), _UNITS[-1])
    amount = f"{abs(seconds) // length} {unit}"
    return f"in {amount}" if seconds > 0 else f"{amount} ago"
