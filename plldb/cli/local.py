"""``plldb local``: the emulator on this machine."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import click

from plldb.cli.command_base import Group
from plldb.cli.options import global_options

if TYPE_CHECKING:
    from plldb.emulators.base import RunningEmulator
    from plldb.emulators.lifecycle import Lifecycle

_WATCH_SECONDS = 0.5


@click.group(cls=Group)
@global_options
def local() -> None:
    """Start, stop and find an AWS emulator on this machine.

    \b
      plldb local up --detach
      plldb local status
      plldb local down
    """


@local.command()
@click.option(
    "--emulator",
    type=click.Choice(["ministack", "localstack"]),
    default="ministack",
    show_default=True,
    help="ministack runs as a child process, localstack in a container.",
)
@click.option("--image", help="Another LocalStack image, such as the vendor's with its token.")
@click.option("--port", type=click.IntRange(1, 65535), help="A free one by default.")
@click.option("--detach", is_flag=True, help="Return once it is healthy, and leave it running.")
@global_options
def up(emulator: str, image: str | None, port: int | None, detach: bool) -> None:
    """Start an emulator and wait until it is healthy.

    \b
      plldb local up
      plldb local up --detach --port 4566
      plldb local up --emulator localstack

    Without --detach it stays in front until Ctrl-C, which stops it.
    """
    from plldb.cli.factory import make_factory

    if image is not None and emulator != "localstack":
        raise click.UsageError("--image goes with --emulator localstack.")
    factory = make_factory()
    console, lifecycle = factory.console, factory.make_lifecycle(image)
    # From the start: a SIGTERM cleans up as Ctrl-C does, however far this has come.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    in_front: RunningEmulator | None = None
    try:
        with console.progress(f"Starting {emulator}…"):
            started = lifecycle.up(emulator, port)
        running = started.running
        if started.is_new and not detach:
            in_front = running
        state = "is ready" if started.is_new else "runs already"
        console.answer(_describe(running), f"{running.emulator} {state} at {running.endpoint_url}")
        if in_front:
            console.note("Press Ctrl-C to stop it.")
            _watch(lifecycle, running)
    except KeyboardInterrupt:
        console.note(f"{emulator} is stopped.")
    finally:
        if in_front:
            lifecycle.down(only=in_front)


@local.command()
@global_options
def down() -> None:
    """Stop the emulator that 'plldb local up' started.

    \b
      plldb local down
    """
    from plldb.cli.factory import make_factory

    factory = make_factory()
    with factory.console.progress("Stopping the emulator…"):
        stopped = factory.lifecycle.down()
    text = f"{stopped.emulator} is stopped." if stopped else "No emulator was running."
    factory.console.answer({"running": False, "stopped": stopped is not None}, text)


@local.command()
@global_options
def status() -> None:
    """Tell which emulator runs, and where.

    \b
      plldb local status --output json
    """
    from plldb.cli.factory import make_factory

    factory = make_factory()
    running = factory.lifecycle.status()
    if running is None:
        factory.console.answer({"running": False}, "No emulator is running.")
        return
    factory.console.answer(
        {"running": True} | _describe(running),
        f"{running.emulator} runs at {running.endpoint_url}",
    )


def _describe(running: RunningEmulator) -> dict[str, object]:
    return {
        "endpointUrl": running.endpoint_url,
        "emulator": running.emulator,
        "pid": running.pid or None,
        "containerId": running.container_id or None,
    }


def _watch(lifecycle: Lifecycle, running: RunningEmulator) -> None:
    """Returns once it was stopped by ``plldb local down``; raises if it ended by itself."""
    from plldb.errors import EmulatorError

    while lifecycle.status() == running:
        time.sleep(_WATCH_SECONDS)
    if lifecycle.ended_by_itself(running):
        raise EmulatorError(f"{running.emulator} ended by itself.", "Start it again.")
