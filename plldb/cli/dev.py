"""``plldb dev``: from a project's folder to its breakpoints, in one command."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from plldb.cli.attach import attach, detach, present, run_attach
from plldb.cli.attach_options import INSPECTOR_ADDRESS, AttachOptions
from plldb.cli.command_base import Command
from plldb.cli.deploy import (
    DeployOptions,
    deploy_project,
    name_stacks,
    parameter_option,
    template_option,
    yes_option,
)
from plldb.cli.name_types import STACK_NAME
from plldb.cli.options import global_options, helper_stack_option, parse_assignments

if TYPE_CHECKING:
    from plldb.background.presence import Presence
    from plldb.cli.console import Console
    from plldb.cli.factory import Factory
    from plldb.dev.seeding import Seed
    from plldb.dev.stack_deployment import Deployment
    from plldb.emulators.base import RunningEmulator

# What this command knows by itself.
_KNOWN = ("stacks", "stack_names", "template", "terraform")
# What tells deployments from the events of a session, in JSON output.
_MARKS = {"event": "deployed"}
# Functions to name; who has more knows them.
_MOST_NAMED = 5
_F = TypeVar("_F", bound=Callable[..., Any])


def _take_options_of_attach(command: _F) -> _F:
    """All of them, but for those that say which stack, and of what: this command knows that."""
    taken = [one for one in attach.params if one.name not in _KNOWN]
    declared = command.__dict__.setdefault("__click_params__", [])
    declared.extend(one for one in reversed(taken) if one.expose_value)
    return command


@click.command(cls=Command, has_settings=True)
@template_option
@click.option(
    "--stack-name",
    type=STACK_NAME,
    help="How to call the stack; or of a CDK app, which one alone to debug.",
)
@parameter_option
@click.option(
    "--emulator",
    type=click.Choice(["ministack", "localstack"]),
    default="ministack",
    show_default=True,
    help="Which one to start, where none runs and none is named.",
)
@click.option(
    "--seed",
    metavar="COMMAND",
    help="Run it after each deployment, as 'plldb exec' would: to fill tables, to create users.",
)
@click.option("--keep", is_flag=True, help="Leave the emulator running at the end.")
@click.option(
    "--no-inspect",
    is_flag=True,
    help="Serve no inspector page, which otherwise is there at a terminal, if it is installed.",
)
@yes_option
@helper_stack_option()
@_take_options_of_attach
@global_options
def dev(
    template: Path | None,
    stack_name: str | None,
    parameters: tuple[str, ...],
    emulator: str,
    seed: str | None,
    keep: bool,
    no_inspect: bool,
    yes: bool,
    **given: Any,
) -> None:
    """Deploy the project in this folder, and run its functions here until Ctrl-C.

    \b
      plldb dev
      plldb dev --pdb
      plldb dev --debugpy --write-launch-config

    It starts the embedded emulator if none runs, deploys the helper stack and the project's own
    template, and attaches. Edits of the code are in the next invocation; an edited template is
    deployed again. Ctrl-C gives the functions back, and stops the emulator that it started.
    """
    own = DeployOptions(template, stack_name, parse_assignments("--parameter", parameters), yes=yes)
    # Of a folder, such as cdk.out, the sources of each stack are found by its name.
    named = None if template is None or template.is_dir() else template
    attach_options = AttachOptions(
        stacks=(), stack_names=(), template=named, terraform=None, **given
    )
    if no_inspect and attach_options.inspect is not None:
        raise click.UsageError("Choose one of --inspect and --no-inspect.")
    attach_options.check()
    seed_words = _split_seed(seed)
    from plldb.cli.factory import make_factory

    factory = make_factory()
    if attach_options.detach:
        detach(factory, attach_options, _name_known(stack_name))
        return
    factory.keep_log("dev")
    if attach_options.inspect is None and not no_inspect and _can_inspect(factory):
        attach_options = replace(attach_options, inspect=INSPECTOR_ADDRESS)
    clean_up_at_signals()
    with ExitStack() as cleaning:
        presence = cleaning.enter_context(present(factory, attach_options, _name_known(stack_name)))
        cleaning.enter_context(run_emulator(factory, emulator, keep))
        # Nothing is deployed where there is no project.
        names = name_stacks(factory, Path.cwd(), own)
        if presence is not None:
            presence.expect(names)
        deploy_helper_stack(factory)
        _run(factory, own, attach_options, _make_seed(factory, seed_words), presence)


def _name_known(stack_name: str | None) -> tuple[str, ...]:
    return () if stack_name is None else (stack_name,)


def clean_up_at_signals() -> None:
    """SIGTERM and SIGHUP end it as Ctrl-C does, however far it has come."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, signal.default_int_handler)


def _can_inspect(factory: Factory) -> bool:
    """Whether somebody is there to look at a page, and there is one to look at."""
    from plldb.inspector.extra import is_installed

    return factory.console.is_terminal and is_installed()


def _split_seed(seed: str | None) -> list[str]:
    """Its words, as a shell splits them; empty without one. Raises click.UsageError."""
    import shlex

    try:
        words = shlex.split(seed or "")
    except ValueError as error:
        raise click.UsageError(f"--seed {seed} can't be split into words: {error}.") from None
    if seed is not None and not words:
        raise click.UsageError("--seed is empty.")
    return words


def _make_seed(factory: Factory, words: Sequence[str]) -> Seed | None:
    if not words:
        return None
    from plldb.cli.terminal_text import make_line
    from plldb.dev.seeding import Seed

    console = factory.console
    environ = factory.open_tool_environment()
    return Seed(words, environ, lambda line: console.note(make_line(line, "seed")))


def _run_seed(console: Console, seed: Seed | None, deployed: Sequence[Deployment]) -> None:
    """If it fails, that is said, and all goes on."""
    from plldb.errors import CommandError

    if seed is None:
        return
    try:
        seed.run({one.stack_name: one.outputs for one in deployed})
    except CommandError as error:
        console.warn(error.explanation)


@contextmanager
def run_emulator(factory: Factory, name: str, keep: bool) -> Iterator[None]:
    """Starts one if calls would go to the one that was started here, and none runs.

    One that a killed 'plldb dev' has left is as good as one that was started by this.
    """
    selected = factory.resolver.target
    is_needed = selected.kind.value == "emulator" and selected.endpoint_url.value is None
    if not is_needed:
        yield
        return
    console, owned = factory.console, None
    try:
        owned = _take_over_emulator(factory, keep) or _start_emulator(factory, name, keep)
        yield
    finally:
        if owned is not None and not keep:
            factory.lifecycle.down(only=owned)
            console.note(f"{owned.emulator} is stopped.")


def _take_over_emulator(factory: Factory, keep: bool) -> RunningEmulator | None:
    """The one that a killed 'plldb dev' has left, if there is one."""
    if factory.find_running_emulator() is None:
        return None
    running = factory.lifecycle.take_over(is_owned=not keep)
    if running is not None:
        factory.console.note(
            f"{running.emulator} runs at {running.endpoint_url}, left by a 'plldb dev' that was "
            "killed; this one takes it over."
        )
    return running


def _start_emulator(factory: Factory, name: str, keep: bool) -> RunningEmulator | None:
    """None if one ran already, which is whoever started it to stop."""
    if factory.find_running_emulator() is not None:
        return None
    with factory.console.progress(f"Starting {name}…"):
        started = factory.lifecycle.up(name, port=None, is_owned=not keep)
    factory.console.note(f"{name} is ready at {started.running.endpoint_url}")
    return started.running if started.is_new else None


def deploy_helper_stack(factory: Factory) -> None:
    """As 'plldb bootstrap' does, in one line."""
    from plldb.bootstrap import operations

    name = factory.settings.helper_stack
    with factory.console.progress(f"Deploying helper stack {name}…"):
        operations.deploy_helper_stack(factory.target, factory.resolver)
    factory.console.note(f"Helper stack {name} is ready.")


def _run(
    factory: Factory,
    own: DeployOptions,
    options: AttachOptions,
    seed: Seed | None,
    presence: Presence | None,
) -> None:
    # Here, as all that 'plldb --help' does not need.
    import logging

    from plldb.dev.template_watch import TemplateWatch
    from plldb.errors import PlldbError

    logger = logging.getLogger(__name__)
    folder, console = Path.cwd(), factory.console
    deployed, files = deploy_project(factory, factory.target, folder, own, _MARKS)
    names = tuple(one.stack_name for one in deployed)
    with_functions = tuple(name for name in names if _say_how_to_call(factory, name))
    options = replace(options, stack_names=with_functions or names[:1])
    options.check()
    if presence is not None:
        presence.expect(options.names)
    _run_seed(console, seed, deployed)

    def deploy_again() -> list[Path]:
        nonlocal files
        if factory.target.is_aws and not own.yes:
            console.warn("The template has changed. On AWS, 'plldb deploy' asks and deploys it.")
            return files
        try:
            # Another thread has connections of its own.
            with factory.open_target() as target:
                again, files = deploy_project(factory, target, folder, own, _MARKS)
            _run_seed(console, seed, again)
        except PlldbError as error:
            _say_what_goes_on(console, error.message)
        except Exception as bug:
            # Whatever a template makes go wrong, the next one may be right.
            logger.debug("an unexpected error", exc_info=bug)
            _say_what_goes_on(console, f"{type(bug).__name__}: {bug}")
        return files

    # The seed is stopped first: at its end, the watch waits for it.
    with TemplateWatch(files, deploy_again), seed or nullcontext():
        run_attach(factory, options, folder)


def _say_what_goes_on(console: Console, reason: str) -> None:
    import logging

    logging.getLogger(__name__).info("the last good deployment goes on: %s", reason)
    console.warn(f"The last good deployment goes on. {reason}")


def _say_how_to_call(factory: Factory, stack_name: str) -> bool:
    """Whether the stack has any function."""
    from plldb.dev.stack_functions import list_functions

    functions = list_functions(factory.target, stack_name)
    own = [function for function in functions if not function.is_of_cdk]
    for function in own[:_MOST_NAMED]:
        factory.console.note(f"Call it: plldb invoke {function.name} --stack-name {stack_name}")
    return bool(functions)
