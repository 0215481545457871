"""Composition of ``plldb attach``: what it works with, made from its options."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import WhenAbsent
from plldb.cli.attach_editor import EditorOffer
from plldb.cli.attach_inspector import EditorSession, choose_runner, serve_inspector
from plldb.cli.attach_options import parse_debug_mode
from plldb.cli.attach_view import AttachView
from plldb.cli.console import read_stdin
from plldb.debugger.attachment import SessionOptions, StackToDebug, name_function
from plldb.debugger.children.interpreter import Interpreter, find_interpreter
from plldb.debugger.children.invoker import Invoker
from plldb.debugger.children.local_function import Debugpy
from plldb.debugger.deployed_layers.layer_supply import LayerSupply
from plldb.debugger.inline_code import write_generated_files, write_inline_code
from plldb.debugger.overrides import (
    OverrideOptions,
    Overrides,
    collect_overrides,
)
from plldb.debugger.sources import terraform
from plldb.debugger.sources.choice import ChosenSources, CodeOptions, choose_sources
from plldb.debugger.sources.code_options import parse_code_options
from plldb.debugger.sources.project import Project
from plldb.debugger.sources.stack_settings import (
    StackSettings,
    find_settings,
    list_functions,
    list_project,
)
from plldb.debugger.timing import read_timing
from plldb.deployed import DeployedStack
from plldb.errors import UsageError
from plldb.stacks import check_debuggable_stack, find_stack, read_deployed_stack

if TYPE_CHECKING:
    from plldb.aws import Target
    from plldb.cli.attach_options import AttachOptions
    from plldb.cli.factory import Factory
    from plldb.debugger.attachment import AttachEvent
    from plldb.replay.history import History


class AttachFactory:
    """Makes the collaborators of ``plldb attach``.

    ``folder`` is the one that the command runs in. Raises UsageError, click.UsageError or
    SourceError for an option that makes no sense or names what is not there, before any call goes
    to the target; ``look_at_stack`` does so for what only the deployed stack tells.
    """

    def __init__(
        self,
        factory: Factory,
        options: AttachOptions,
        folder: Path,
        view: AttachView | None = None,
    ) -> None:
        self._factory = factory
        self._options = options
        self._folder = folder
        self.timing = read_timing(os.environ)
        self.overrides = Overrides()
        self._debug = parse_debug_mode(
            options.pdb, options.debugpy, options.wait_for_client, options.post_mortem
        )
        self.session = SessionOptions(
            options.stack_name,
            factory.settings.helper_stack,
            WhenAbsent(options.when_absent),
            options.take_over,
            self._runs_as_function(),
            aliases=options.aliases,
        )
        codes = parse_code_options(options.codes, folder)
        self._settings = find_settings(factory.resolver.file, options.stack_name)
        self._code = CodeOptions(
            folder,
            options.template,
            codes,
            options.functions,
            self._settings,
            self._read_terraform(),
        )
        # What can be known before the stack is looked at.
        self.sources = choose_sources(self._code, options.stack_name)
        if not codes and self.sources.known and not self._names_functions:
            self._collect_overrides(self._settings)
        self._python = self._find_interpreter()
        self.view = view or AttachView(factory.console, is_live=not options.pdb)
        factory.ask = self.view.ask
        self._editor_session = EditorSession()
        self._history: History | None = None
        # Who wants to know what goes on, beside the view.
        self._listeners: list[Callable[[AttachEvent], None]] = [*factory.followers]

    @property
    def target(self) -> Target:
        return self._factory.target

    def report(self, event: AttachEvent) -> None:
        """To all who want to know what goes on."""
        self.view.show(event)
        for take in self._listeners:
            take(event)

    def keep_history(self, stacks: Sequence[AttachFactory]) -> History:
        """The invocations of the session, from now on; one history for all who ask."""
        if self._history is None:
            from plldb.replay.history import History

            self._history = History(_list_names(stacks))
            self._listeners.append(self._history.take)
        return self._history

    @contextmanager
    def open_recorder(self, stacks: Sequence[AttachFactory]) -> Iterator[None]:
        """Records what is reported meanwhile, if that is asked for. Raises SourceError."""
        if self._options.record is None:
            yield
            return
        from plldb.replay.recorder import Recorder

        masks = self._factory.make_masks()
        folder, warn = self._folder / self._options.record, self._factory.console.warn
        with Recorder(folder, self._folder, _list_names(stacks), masks, warn) as recorder:
            self._listeners.append(recorder.take)
            yield

    @contextmanager
    def open_journal(self, stacks: Sequence[AttachFactory]) -> Iterator[None]:
        """Writes down meanwhile what 'plldb invocations' shows."""
        from plldb.cli.background import open_journal

        history, names = self.keep_history(stacks), _list_names(stacks)
        record, in_background = self._options.record, self._options.background is not None
        with open_journal(self._factory, names, record, in_background, history) as journal:
            if journal is not None:
                self._listeners.append(journal.take)
            yield

    @contextmanager
    def open_inspector(self, stacks: Sequence[AttachFactory]) -> Iterator[None]:
        """Serves the page meanwhile, if that is asked for, and says where it is.

        Raises SourceError if the page can't be served.
        """
        if self._options.inspect is None:
            yield
            return
        from plldb.inspector.keeping import Keeping

        history, file = self.keep_history(stacks), self._factory.resolver.file
        self._listeners.append(self._editor_session.take)
        record = self._options.record
        recordings = None if record is None else self._folder / record
        with serve_inspector(
            self._options.inspect,
            history,
            choose_runner(self._debug, self._editor_session, self._python, history),
            Keeping(self._folder, self._factory.make_masks(), recordings),
            () if file is None else file.record.ignore,
        ) as inspector:
            self._factory.console.answer(
                {"event": "inspector", "url": inspector.url}, f"Inspector: {inspector.url}"
            )
            yield

    @property
    def stack(self) -> StackToDebug:
        """Once it was looked at."""
        return StackToDebug(self.session, self.sources, self.overrides, self.choose_again)

    def make_layer_supply(self) -> LayerSupply:
        return LayerSupply(self._factory.open_layer_fetcher(), self._python, self.view.show)

    def look_at_stack(self) -> None:
        """Holds the project against what is deployed, before anything is changed.

        Raises SourceError or UsageError if it is another stack's, if none of the functions has code
        here, or if an option names one that the stack has not; StackError or AwsError if the stack
        can't be read.
        """
        deployed = self._read_deployed()
        self.session = replace(self.session, members=deployed.members)
        self.sources = self._choose(deployed)
        self.sources.require_code(deployed)
        settings = None if self._settings is None else self._settings.with_names(deployed)
        self.overrides = self._collect_overrides(settings)
        for remark in self.sources.remarks:
            self._factory.console.warn(remark)

    def choose_again(self) -> ChosenSources:
        """The code, held against what is deployed at the moment. Raises as ``look_at_stack``."""
        if not self._options.reads_stdin:
            self._code = replace(self._code, project=self._read_terraform())
        return self._choose(self._read_deployed())

    @property
    def _names_functions(self) -> bool:
        """Whether the settings file does; only the stack tells which they are."""
        return self._settings is not None and bool(self._settings.stack.functions)

    def _read_deployed(self) -> DeployedStack:
        """The stack, or the functions that Terraform or the settings file lists in its place."""
        target, name = self.target, self._options.stack_name
        if self._code.project is not None:
            if find_stack(target, name) is not None:
                raise UsageError(
                    f"--stack-name {name}: that is a stack of CloudFormation's.",
                    "Choose another name for the functions of --terraform.",
                )
            return list_project(name, self._code.project, target.region)
        stack = find_stack(target, name)
        if stack is None and self._settings is not None and self._settings.may_be_list:
            return list_functions(self._settings, target.region, lambda: target.account_id)
        return read_deployed_stack(target, check_debuggable_stack(target, name, stack))

    def _read_terraform(self) -> Project | None:
        file = self._options.terraform
        if file is None:
            return None
        if self._options.reads_stdin:
            return terraform.read_project(read_stdin(), Path("<stdin>"), [self._folder])
        return terraform.read_project_file(self._folder / file)

    def _choose(self, deployed: DeployedStack) -> ChosenSources:
        sources = choose_sources(self._code, deployed.name, deployed)
        for one in sources.found.values():
            write_generated_files(one)
        notes = {name: write_inline_code(one) for name, one in sources.found.items()}
        notes = {name: note for name, note in notes.items() if note}
        return replace(sources, warnings={**sources.warnings, **notes})

    def _collect_overrides(self, settings: StackSettings | None) -> Overrides:
        options = self._options
        given = OverrideOptions(options.env, options.env_files, options.handlers, options.python)
        return collect_overrides(given, settings, self._folder, os.environ, self.sources.known)

    def make_invoker(self, stacks: Sequence[AttachFactory]) -> Invoker:
        """One for all stacks. With debugpy, it also shows how an editor attaches to each function.

        Raises UsageError if only some of them are to run under their functions' roles.
        """
        if len({one.session.as_function for one in stacks}) > 1:
            raise UsageError(
                "Some of these stacks run under the roles of their functions, by plldb.toml, and "
                "some do not.",
                "Choose one for all: --as-function or --no-as-function.",
            )
        is_role = self.session.as_function
        report = self.view.show_credentials
        invoker = Invoker(
            python=self._python,
            debug=self._debug,
            max_concurrency=self._options.max_concurrency,
            on_output=self.report,
            on_progress=self.report,
            credentials={} if is_role else self._factory.serve_credentials(report),
            lender=self._factory.lend_roles() if is_role else None,
            environ=self.target.certificate_environment() | os.environ,
        )
        self._factory.console.note(
            f"Functions run under Python {self._python.version_text}: {self._python.path}"
        )
        if is_role:
            self._factory.console.note(
                "Each function's code has the rights of the function's role, and none of yours."
            )
        if isinstance(self._debug, Debugpy):
            try:
                self._tell_how_to_attach(invoker, self._debug, stacks)
            except BaseException:
                invoker.discard()
                raise
        self._editor_session.invoker = invoker
        return invoker

    def _find_interpreter(self) -> Interpreter:
        python, named_by = self._options.python, "--python"
        file, name = self._factory.resolver.file, self._options.stack_name
        if python is None and file is not None and name in file.stacks:
            python = file.stacks[name].python
            named_by = f"{file.path.name} [stacks.{name}]: python"
        return find_interpreter(python, [*self._list_project_folders()], os.environ, named_by)

    def _runs_as_function(self) -> bool:
        if self._options.as_function is not None:
            return self._options.as_function
        file = self._factory.resolver.file
        stack = None if file is None else file.stacks.get(self._options.stack_name)
        return stack is not None and stack.as_function

    def _list_project_folders(self) -> Iterator[Path]:
        """Where the project's virtual environment may be."""
        if self._options.template is not None:
            yield (self._folder / self._options.template).parent
        yield self._folder
        yield from (source.code_dir for source in self.sources.found.values())

    def _tell_how_to_attach(
        self, invoker: Invoker, debug: Debugpy, stacks: Sequence[AttachFactory]
    ) -> None:
        functions = [
            name_function(function, stack.session.stack_name, len(stacks))
            for stack in stacks
            for function in sorted(stack.sources.found)
        ]
        addresses = {function: invoker.assign_debug_address(function) for function in functions}
        names = ", ".join(_list_names(stacks))
        offer = EditorOffer(self._factory.console, names, addresses)
        offer.warn_of_taken_ports(debug)
        if self._options.write_launch_config:
            offer.write(self._folder)
        else:
            offer.show()


def _list_names(stacks: Sequence[AttachFactory]) -> list[str]:
    return [made.session.stack_name for made in stacks]


def make_for_each(factory: Factory, options: AttachOptions, folder: Path) -> list[AttachFactory]:
    """One for each stack, with one view for all. Raises as AttachFactory does."""
    first, *others = options.split()
    made = AttachFactory(factory, first, folder)
    return [made, *(AttachFactory(factory, one, folder, made.view) for one in others)]
