"""A session in a thread: a stack's invocations run here while tests do."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from plldb.aws import Target
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import WhenAbsent
from plldb.config import find_layers_folder
from plldb.debugger.attachment import (
    DetachSwitch,
    SessionOptions,
    StackToDebug,
    attach_to_all,
)
from plldb.debugger.children.credential_server import CredentialServer, serving_target
from plldb.debugger.children.interpreter import Interpreter, find_interpreter
from plldb.debugger.children.invoker import Invoker
from plldb.debugger.children.role_lender import RoleLender
from plldb.debugger.deployed_layers.layer_fetcher import LayerFetcher
from plldb.debugger.deployed_layers.layer_supply import LayerSupply
from plldb.debugger.inline_code import write_generated_files, write_inline_code
from plldb.debugger.overrides import OverrideOptions, collect_overrides
from plldb.debugger.sources.choice import ChosenSources, CodeOptions, choose_sources
from plldb.debugger.sources.stack_settings import StackSettings, find_settings
from plldb.debugger.timing import read_timing
from plldb.errors import SessionError, StackError
from plldb.pytest_plugin.session_watch import SessionWatch
from plldb.pytest_plugin.stack_fixture import PlldbStack
from plldb.stacks import read_deployed_stack, require_debuggable_stack

# A child that is measured writes at its end what it has run, which takes a while on a busy machine.
_PATIENCE_SECONDS = 20.0
_READY_SECONDS = 120.0
# What still runs when the tests are over has so long to end, and its abandonment then; after that,
# nothing is waited for.
_END_SECONDS = 30.0
_PRESSES = 3
_MAX_CONCURRENCY = 10


@dataclass(frozen=True)
class AttachChoices:
    """What a test says of a session: as the options of ``plldb attach`` of these names."""

    functions: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    python: str | None = None
    as_function: bool | None = None


@dataclass(frozen=True)
class _LocalProject:
    """The code of a stack's functions here, and what is set of them."""

    debuggee: StackToDebug
    python: Interpreter


class BackgroundAttachment:
    """``folder`` is for code that stands in the template. Raises SourceError, UsageError,
    StackError or AwsError if nothing of the stack can run here.
    """

    def __init__(self, stack: PlldbStack, choices: AttachChoices, folder: Path) -> None:
        self.watch = SessionWatch(stack.name)
        self._stack = stack
        self._project = _read_project(stack, choices, folder)
        self._switch = DetachSwitch()
        # A daemon: pytest ends, whatever keeps the session.
        self._thread = threading.Thread(
            target=self._stay, name=f"plldb attached to {stack.name}", daemon=True
        )

    def start(self) -> None:
        """Returns once the functions' invocations come here.

        Raises what ended the session; StackError or SessionError if none does, or if it takes too
        long, and then it is over.
        """
        self._thread.start()
        watch = self.watch
        is_ready = watch.wait_for(lambda: watch.instrumented is not None, _READY_SECONDS)
        if is_ready and watch.instrumented:
            return
        reasons = "; ".join(f"{name}: {why}" for name, why in sorted(watch.skipped.items()))
        self.end()
        if is_ready:
            raise StackError(f"No function of stack {self._stack.name} runs here. {reasons}")
        raise SessionError(f"The session was not ready within {_READY_SECONDS:g} s.", reasons)

    def end(self) -> None:
        """Gives the functions back, once what runs has ended. Raises what went wrong."""
        for _ in range(_PRESSES):
            self._switch.press()
            self._thread.join(_END_SECONDS)
            if not self._thread.is_alive():
                if self.watch.error is not None:
                    raise self.watch.error
                return
        raise SessionError(
            f"The session of stack {self._stack.name} does not end.",
            f"To give its functions back: plldb restore --stack-name {self._stack.name}",
        )

    # --- The thread -------------------------------------------------------------------------------

    def _stay(self) -> None:
        try:
            self._attach()
        except BaseException as error:  # noqa: BLE001 (it is raised where it is waited for)
            self.watch.end(error)
        else:
            self.watch.end(None)

    def _attach(self) -> None:
        project, environ = self._project, os.environ
        with ExitStack() as closing:
            # A thread has connections of its own.
            target = closing.enter_context(Target(self._stack.emulator.settings))
            fetcher = closing.enter_context(
                LayerFetcher.of_target(target, find_layers_folder(environ))
            )
            supply = LayerSupply(fetcher, project.python, self.watch.take)
            attach_to_all(
                target,
                [project.debuggee],
                partial(self._make_invoker, target, closing),
                self.watch.take,
                read_timing(environ),
                supply.collect,
                self._switch,
            )

    def _make_invoker(self, target: Target, closing: ExitStack) -> Invoker:
        credentials: Mapping[str, str] = {}
        lender = None
        if self._project.debuggee.session.as_function:
            server = closing.enter_context(CredentialServer())
            lender = RoleLender(server, target.endpoint_environment())
        else:
            credentials = closing.enter_context(serving_target(target))
        return Invoker(
            python=self._project.python,
            max_concurrency=_MAX_CONCURRENCY,
            on_output=self.watch.take,
            on_progress=self.watch.take,
            credentials=credentials,
            lender=lender,
            environ=target.certificate_environment() | os.environ,
            patience=_PATIENCE_SECONDS,
        )


def _read_project(stack: PlldbStack, choices: AttachChoices, folder: Path) -> _LocalProject:
    """Its settings are those that plldb.toml has under the name that the project has for it."""
    emulator, environ = stack.emulator, os.environ
    settings = find_settings(emulator.file, stack.declared_name)
    code = CodeOptions(
        stack.template.parent, stack.template, functions=choices.functions, settings=settings
    )
    deployed = read_deployed_stack(
        emulator.target, require_debuggable_stack(emulator.target, stack.name)
    )
    sources = _write_inline_code(choose_sources(code, stack.name, deployed), folder)
    sources.require_code(deployed)
    if not sources.found:
        raise StackError(f"Stack {stack.name} has no function that could run here.")
    settings = None if settings is None else settings.with_names(deployed)
    given = OverrideOptions(choices.env, python=choices.python)
    overrides = collect_overrides(given, settings, emulator.root, environ, sources.known)
    as_function = choices.as_function
    if as_function is None:
        as_function = settings is not None and settings.stack.as_function
    session = SessionOptions(
        stack.name,
        emulator.helper_stack,
        # A test must not pass by what the deployed code answers.
        WhenAbsent.WAIT,
        as_function=as_function,
    )
    python = _find_python(stack, choices, settings, sources)
    return _LocalProject(StackToDebug(session, sources, overrides), python)


def _write_inline_code(sources: ChosenSources, folder: Path) -> ChosenSources:
    """Code that stands in the template, as files in a folder of the tests' own."""
    found = {
        name: replace(one, code_dir=folder / ".plldb" / name) if one.inline is not None else one
        for name, one in sources.found.items()
    }
    for one in found.values():
        write_inline_code(one)
        write_generated_files(one)
    return replace(sources, found=found)


def _find_python(
    stack: PlldbStack,
    choices: AttachChoices,
    settings: StackSettings | None,
    sources: ChosenSources,
) -> Interpreter:
    python, named_by = choices.python, "python="
    if python is None and settings is not None:
        python, named_by = settings.stack.python, f"{settings.table}: python"
    code = [source.code_dir for source in sources.found.values()]
    folders = [stack.template.parent, stack.emulator.root, *code]
    return find_interpreter(python, folders, os.environ, named_by)
