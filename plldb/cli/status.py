"""``plldb status`` and ``plldb stop``: sessions in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from plldb.cli.command_base import Command
from plldb.cli.name_types import STACK_NAME
from plldb.cli.options import global_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from plldb.background.session_folder import SessionFolder
    from plldb.background.session_record import SessionRecord
    from plldb.cli.console import Console
    from plldb.cli.factory import Factory

_stack_name = click.option(
    "--stack-name", type=STACK_NAME, help="That of this stack, in whatever folder."
)
_every = click.option("--all", "every", is_flag=True, help="Those of all folders.")


@click.command(cls=Command)
@_stack_name
@_every
@global_options
def status(stack_name: str | None, every: bool) -> None:
    """Tell which session runs in the background of this folder.

    \b
      plldb status
      plldb status --all --output json

    That is one that 'plldb dev --detach' or 'plldb attach --detach' started here, or else in the
    nearest folder above. Of one that was killed, what it has left is cleaned up.
    """
    from plldb.cli.background import clean_up, describe, tell
    from plldb.cli.factory import make_factory

    factory = make_factory()
    console = factory.console
    shown = 0

    def show(place: SessionFolder) -> None:
        nonlocal shown
        is_running = place.is_running()
        record = place.read_record() if is_running else clean_up(factory, place)
        if record is not None:
            shown += 1
            is_running = is_running or not record.has_ended
            console.answer(describe(place, record, is_running), tell(place, record))

    _do_for_each(console, _find(factory, stack_name, every), show)
    if not shown and not (console.is_json and every):
        console.answer({"running": False}, _NONE)


@click.command(cls=Command)
@_stack_name
@_every
@click.option("--now", is_flag=True, help="Abandon what runs, where it is waited for otherwise.")
@global_options
def stop(stack_name: str | None, every: bool, now: bool) -> None:
    """End the session that runs in the background of this folder.

    \b
      plldb stop
      plldb stop --stack-name my-stack --now

    It lets end what runs, gives the functions back, and stops the emulator that it has started, as
    Ctrl-C would have it. The command returns when all that is done, and succeeds if none runs.
    """
    from plldb.background.launching import stop as stop_session
    from plldb.cli.background import clean_up, describe, tell
    from plldb.cli.factory import make_factory

    factory = make_factory()
    console = factory.console
    stopped = 0

    def end(place: SessionFolder) -> None:
        nonlocal stopped
        if not place.is_running():
            clean_up(factory, place)
            return
        with console.progress("Stopping the session…"):
            stop_session(place, now, lambda record: _say_what_runs(console, record))
        stopped += 1
        if (record := clean_up(factory, place)) is not None:
            data = describe(place, record, is_running=False) | {"stopped": True}
            console.answer(data, tell(place, record))

    _do_for_each(console, _find(factory, stack_name, every), end)
    if not stopped:
        console.answer({"running": False, "stopped": False}, _NONE)


_NONE = "No session runs in the background."


def _find(factory: Factory, stack_name: str | None, every: bool) -> list[SessionFolder]:
    from plldb.cli.background import find_places

    if every and stack_name is not None:
        raise click.UsageError("Choose one of --stack-name and --all.")
    return find_places(factory, stack_name, every)


def _do_for_each(
    console: Console, places: Sequence[SessionFolder], act: Callable[[SessionFolder], None]
) -> None:
    """Whatever comes of one of them. Raises BackgroundError afterwards if there was one at which it
    failed, which is told by its folder where there are others.
    """
    from plldb.errors import BackgroundError, PlldbError

    failed = []
    for place in places:
        try:
            act(place)
        except (PlldbError, OSError) as error:
            if len(places) == 1:
                raise
            reason = error.explanation if isinstance(error, PlldbError) else str(error)
            console.warn(f"{_name_folder(place)}: {reason}")
            failed.append(_name_folder(place))
    if failed:
        raise BackgroundError(
            f"It failed for {len(failed)} of {len(places)} sessions: {', '.join(failed)}."
        )


def _name_folder(place: SessionFolder) -> str:
    """That of the project, if the record says it."""
    try:
        record = place.read_record()
    except OSError:
        record = None
    return str(place.path) if record is None else record.folder


def _say_what_runs(console: Console, record: SessionRecord) -> None:
    console.warn(
        f"it waits for {', '.join(record.running)}, for {record.seconds_left:.0f} s at most; "
        "'plldb stop --now' abandons that."
    )
