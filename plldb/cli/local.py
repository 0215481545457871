"""``plldb local``: the emulator on this machine."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import click

from plldb.cli.options import global_options

if TYPE_CHECKING:
    from plldb.emulators.base import RunningEmulator
    from plldb.emulators.lifecycle import Lifecycle

_WATCH_SECONDS = 0.5


@click.group()
def local() -> None:
    """Start, stop and find an AWS emulator on this machine."""


@local.command()
@click.option(
    "--emulator", type=click.Choice(["ministack"]), default="ministack", show_default=True
)
@click.option("--port", type=click.IntRange(1, 65535), help="A free one by default.")
@click.option("--detach", is_flag=True, help="Return once it is healthy, and leave it running.")
@global_options
def up(emulator: str, port: int | None, detach: bool) -> None:
    """Start an emulator and wait until it is healthy.

    Without --detach it stays in front until Ctrl-C, which stops it.
    """
    from plldb.cli.factory import make_factory

    factory = make_factory()
    console = factory.console
    with console.progress(f"Starting {emulator}…"):
        started = factory.lifecycle.up(emulator, port)
    running = started.running
    state = "is ready" if started.is_new else "runs already"
    console.answer(_described(running), f"{running.emulator} {state} at {running.endpoint_url}")
    if detach or not started.is_new:
        return
    console.note("Press Ctrl-C to stop it.")
    _stay_in_front(factory.lifecycle, running)
    console.note(f"{running.emulator} is stopped.")


@local.command()
@global_options
def down() -> None:
    """Stop the emulator that 'plldb local up' started."""
    from plldb.cli.factory import make_factory

    factory = make_factory()
    with factory.console.progress("Stopping the emulator…"):
        stopped = factory.lifecycle.down()
    text = f"{stopped.emulator} is stopped." if stopped else "No emulator was running."
    factory.console.answer({"running": False, "stopped": stopped is not None}, text)


@local.command()
@global_options
def status() -> None:
    """Tell which emulator runs, and where."""
    from plldb.cli.factory import make_factory

    factory = make_factory()
    running = factory.lifecycle.status()
    if running is None:
        factory.console.answer({"running": False}, "No emulator is running.")
        return
    factory.console.answer(
        {"running": True} | _described(running),
        f"{running.emulator} runs at {running.endpoint_url} (process {running.pid})",
    )


def _described(running: RunningEmulator) -> dict[str, object]:
    return {
        "endpointUrl": running.endpoint_url,
        "emulator": running.emulator,
        "pid": running.pid,
    }


def _stay_in_front(lifecycle: Lifecycle, running: RunningEmulator) -> None:
    """Until a signal, or until the emulator ends by itself or by ``plldb local down``."""
    from plldb.errors import EmulatorError

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        while lifecycle.status() == running:
            time.sleep(_WATCH_SECONDS)
        if lifecycle.ended_by_itself(running):
            raise EmulatorError(f"{running.emulator} ended by itself.", "Start it again.")
    except KeyboardInterrupt:
        pass
    finally:
        lifecycle.down()
