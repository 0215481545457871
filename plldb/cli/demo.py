"""``plldb demo``: ``plldb dev`` on a sample of its own, told as a story, in seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from plldb.cli.command_base import Command
from plldb.cli.options import global_options

if TYPE_CHECKING:
    from plldb.cli.attach_options import AttachOptions
    from plldb.cli.factory import Factory
    from plldb.demo.story import SampleProject


@click.command(cls=Command)
@global_options
def demo() -> None:
    """Show it all on an emulator of its own: deploy, attach, debug, detach, clean up.

    \b
      plldb demo

    It does what 'plldb dev' does, with a sample project, and tells what happens meanwhile.
    """
    import tempfile
    import time

    from plldb.cli.dev import clean_up_at_signals
    from plldb.cli.factory import make_factory
    from plldb.demo.story import SampleProject

    started = time.perf_counter()
    console = make_factory().console
    clean_up_at_signals()
    with tempfile.TemporaryDirectory(prefix="plldb-demo-") as folder:
        project = SampleProject.copy_to(Path(folder) / "project")
        with _factory_of_its_own(Path(folder) / "home", console.is_json) as factory:
            _tell_the_story(factory, project)
    console.answer(
        {"event": "done", "seconds": round(time.perf_counter() - started, 1)},
        f"   {time.perf_counter() - started:.1f} s in all. Next, in your project: plldb dev",
    )


@contextmanager
def _factory_of_its_own(home: Path, is_json: bool) -> Iterator[Factory]:
    """One that nothing reaches that is set for other commands, nor for other emulators."""
    from plldb.cli.factory import Factory
    from plldb.config import Options

    for name in [name for name in os.environ if name.startswith(("PLLDB_", "AWS_"))]:
        del os.environ[name]
    os.environ["PLLDB_HOME"] = str(home)
    with closing(Factory(Options(output="json" if is_json else "text"), config="")) as factory:
        yield factory


def _tell_the_story(factory: Factory, project: SampleProject) -> None:
    from plldb.cli.attach import run_attach
    from plldb.cli.deploy import DeployOptions, deploy_project
    from plldb.cli.dev import deploy_helper_stack, run_emulator
    from plldb.demo.story import (
        SAMPLE_EVENT,
        SAMPLE_FUNCTION,
        SAMPLE_STACK,
        Narrator,
        describe_answer,
    )
    from plldb.dev.lambda_call import Answer, invoke
    from plldb.dev.stack_functions import find_function
    from plldb.stacks import find_helper_stack

    console = factory.console

    def tell(what: str, text: str) -> None:
        console.answer({"event": what, "text": text}, f"   {text}")

    console.title("1. Start the embedded emulator: IAM is enforced, no AWS account is needed")
    with run_emulator(factory, "ministack", keep=False):
        target = factory.target
        console.title("2. plldb bootstrap: deploy the helper stack")
        deploy_helper_stack(factory)
        helper = find_helper_stack(target, factory.settings.helper_stack)
        console.title("3. plldb deploy: a stack to debug, as you would have one")
        options = DeployOptions(None, SAMPLE_STACK, {})
        deploy_project(factory, target, project.folder, options, {"event": "deployed"})
        function = find_function(target, SAMPLE_STACK, SAMPLE_FUNCTION).physical_name

        def call(event: bytes) -> Answer:
            return invoke(target, function, event, None)

        tell("answer", f"its function answers {describe_answer(call(SAMPLE_EVENT))}")
        console.title(f"4. plldb attach {SAMPLE_STACK}")
        narrator = Narrator(target, helper, project, call, tell)
        factory.followers.append(narrator.follow)
        run_attach(factory, _make_attach_options(), project.folder)
        narrator.finish()
        console.title("5. Detached: the deployed code again")
        tell("answer", f"the same call: {describe_answer(call(SAMPLE_EVENT))}")
        console.title("6. Clean up")
    tell("emulator", "nothing is left")


def _make_attach_options() -> AttachOptions:
    """As the command line has them."""
    import sys

    from plldb.cli.attach import attach
    from plldb.cli.attach_options import AttachOptions
    from plldb.demo.story import SAMPLE_STACK

    arguments = [SAMPLE_STACK, "--python", sys.executable, "--when-absent", "wait"]
    return AttachOptions(**attach.make_context("attach", arguments).params)
