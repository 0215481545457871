"""Composition of ``plldb attach``: what it works with, made from its options."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import WhenAbsent
from plldb.cli.attach_editor import EditorOffer
from plldb.cli.attach_options import parse_debug_mode
from plldb.cli.attach_view import AttachView
from plldb.debugger.attachment import SessionOptions
from plldb.debugger.children.interpreter import Interpreter, find_interpreter
from plldb.debugger.children.invoker import Invoker
from plldb.debugger.children.local_function import Debugpy
from plldb.debugger.inline_code import write_inline_code
from plldb.debugger.overrides import OverrideOptions, Overrides, collect_overrides
from plldb.debugger.sources.choice import ChosenSources, CodeOptions, choose_sources
from plldb.debugger.sources.code_options import parse_code_options
from plldb.debugger.timing import read_timing
from plldb.stacks import read_deployed_stack, require_debuggable_stack

if TYPE_CHECKING:
    from plldb.aws import Target
    from plldb.cli.attach_options import AttachOptions
    from plldb.cli.factory import Factory


class AttachFactory:
    """Makes the collaborators of ``plldb attach``.

    ``folder`` is the one that the command runs in. Raises UsageError, click.UsageError or
    SourceError for an option that makes no sense or names what is not there, before any call goes
    to the target; ``look_at_stack`` does so for what only the deployed stack tells.
    """

    def __init__(self, factory: Factory, options: AttachOptions, folder: Path) -> None:
        self._factory = factory
        self._options = options
        self._folder = folder
        self.timing = read_timing(os.environ)
        self.overrides = Overrides()
        self._debug = parse_debug_mode(options.pdb, options.debugpy, options.wait_for_client)
        self.session = SessionOptions(
            options.stack_name,
            factory.settings.helper_stack,
            WhenAbsent(options.when_absent),
            options.take_over,
            self._runs_as_function(),
        )
        codes = parse_code_options(options.codes, folder)
        self._code = CodeOptions(folder, options.template, codes, options.functions)
        # What can be known before the stack is looked at.
        self.sources = choose_sources(self._code, options.stack_name)
        if not codes and self.sources.known:
            self._collect_overrides()
        self._python = self._find_interpreter()
        self.view = AttachView(factory.console, is_live=not options.pdb)
        factory.ask = self.view.ask

    @property
    def target(self) -> Target:
        return self._factory.target

    def look_at_stack(self) -> None:
        """Holds the project against what is deployed, before anything is changed.

        Raises SourceError or UsageError if it is another stack's, or if an option names a function
        that the stack has not; StackError or AwsError if the stack can't be read.
        """
        self.sources = self.choose_again()
        self.overrides = self._collect_overrides()
        for remark in self.sources.remarks:
            self._factory.console.warn(remark)

    def choose_again(self) -> ChosenSources:
        """The code, held against what is deployed at the moment. Raises as ``look_at_stack``."""
        stack = require_debuggable_stack(self.target, self._options.stack_name)
        sources = choose_sources(self._code, stack.name, read_deployed_stack(self.target, stack))
        notes = {name: write_inline_code(one) for name, one in sources.found.items()}
        notes = {name: note for name, note in notes.items() if note}
        return replace(sources, warnings={**sources.warnings, **notes})

    def _collect_overrides(self) -> Overrides:
        return collect_overrides(
            OverrideOptions(self._options.env, self._options.env_files, self._options.handlers),
            self._factory.resolver.file,
            self._options.stack_name,
            self._folder,
            os.environ,
            self.sources.known,
        )

    def make_invoker(self) -> Invoker:
        """With debugpy, it also shows how an editor attaches to each function."""
        is_role = self.session.as_function
        report = self.view.show_credentials
        invoker = Invoker(
            python=self._python,
            debug=self._debug,
            max_concurrency=self._options.max_concurrency,
            on_output=self.view.show_output,
            on_progress=self.view.show_progress,
            credentials={} if is_role else self._factory.serve_credentials(report),
            lender=self._factory.lend_roles() if is_role else None,
            environ=self.target.certificate_environment() | os.environ,
        )
        self._factory.console.note(
            f"Functions run under Python {self._python.version_text}: {self._python.path}"
        )
        if isinstance(self._debug, Debugpy):
            try:
                self._tell_how_to_attach(invoker, self._debug)
            except BaseException:
                invoker.discard()
                raise
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

    def _tell_how_to_attach(self, invoker: Invoker, debug: Debugpy) -> None:
        addresses = {
            logical_id: invoker.assign_debug_address(logical_id)
            for logical_id in sorted(self.sources.found)
        }
        offer = EditorOffer(self._factory.console, self._options.stack_name, addresses)
        offer.warn_of_taken_ports(debug)
        if self._options.write_launch_config:
            offer.write(self._folder)
        else:
            offer.show()
