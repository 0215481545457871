"""What a developer sets of functions for a session: variables, and other handlers.

::

    the function's own variables, as they were deployed
    plldb.toml     [stacks.NAME]               env-file, env
                   [stacks.NAME.functions.ID]  env-file, env, handler
    command line   --env-file FILE, in their order
                   --env NAME=VALUE
                   --env FUNCTION:NAME=VALUE, --handler FUNCTION=HANDLER

What stands below wins.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from plldb.config import FileOverrides, suggest
from plldb.debugger.children.interpreter import Interpreter, find_interpreter
from plldb.debugger.children.local_function import LocalFunction
from plldb.debugger.env_files import Variables, read_env_file
from plldb.debugger.reserved_variables import find_refusal
from plldb.debugger.sources.stack_settings import StackSettings
from plldb.debugger.wrapped_handlers import find_wrapped_handler
from plldb.errors import UsageError

logger = logging.getLogger(__name__)

# As awslambdaric takes it, which makes dots of the slashes.
_HANDLER = re.compile(r"[^\s.](?:[^\s]*[^\s.])?\.[^\s./]+")


@dataclass(frozen=True)
class Overrides:
    """``variables`` come in the order of their strength, the strongest last.

    ``handlers`` and ``interpreters`` are by logical id.
    """

    variables: tuple[Variables, ...] = ()
    handlers: Mapping[str, str] = field(default_factory=dict)
    interpreters: Mapping[str, Interpreter] = field(default_factory=dict)

    def apply(self, function: LocalFunction) -> LocalFunction:
        """The function as it is to be run here.

        Its handler is the one that the developer chose, or else its own, where another product's
        wraps that.
        """
        variables = dict(function.variables)
        for one in self.variables:
            variables |= {**one.get(None, {}), **one.get(function.logical_id, {})}
        handler = self.handlers.get(function.logical_id) or find_wrapped_handler(
            function.handler, variables
        )
        if handler is not None:
            logger.info("%s: %s runs, not %s", function.logical_id, handler, function.handler)
        return replace(
            function,
            variables=variables,
            handler=handler or function.handler,
            interpreter=self.interpreters.get(function.logical_id),
        )

    def qualify(self, prefix: str) -> Overrides:
        """The same with names of functions that begin with a prefix."""

        def named(name: str | None) -> str | None:
            return None if name is None else prefix + name

        return Overrides(
            tuple({named(name): values for name, values in one.items()} for one in self.variables),
            {prefix + name: handler for name, handler in self.handlers.items()},
            {prefix + name: python for name, python in self.interpreters.items()},
        )


@dataclass(frozen=True)
class OverrideOptions:
    """What the command line says, as it stands there. ``python`` is for all functions."""

    env: tuple[str, ...] = ()
    env_files: tuple[Path, ...] = ()
    handlers: tuple[str, ...] = ()
    python: str | None = None


def collect_overrides(
    options: OverrideOptions,
    settings: StackSettings | None,
    folder: Path,
    environ: Mapping[str, str],
    known: Iterable[str],
) -> Overrides:
    """What holds for the functions of one stack, of which the settings file may say something.

    ``folder`` is where relative files of the options are, ``known`` are the logical ids of the
    stack's functions. A variable without a value is taken from ``environ``. Raises UsageError for a
    function that is not known, for a variable that can't be set, and for whatever else makes no
    sense; SourceError for an interpreter that is none.
    """
    known = sorted(known)
    variables: list[Variables] = []
    handlers: dict[str, str] = {}
    for where, function, overrides in _list_tables(settings):
        if function is not None:
            _check_function(function, where, known)
        variables += _read_overrides(where, function, overrides, environ, known)
        if function is not None and overrides.handler is not None:
            handlers[function] = _check_handler(overrides.handler, f"{where}: handler")
    for path in options.env_files:
        where = f"--env-file {path}"
        found = read_env_file(folder / path.expanduser(), where, environ)
        variables.append(_check_variables(found, where, known))
    variables.append(_parse_env_options(options.env, environ, known))
    return Overrides(
        tuple(filter(None, variables)),
        handlers | _parse_handler_options(options.handlers, known),
        _find_interpreters(settings, environ) if options.python is None else {},
    )


def _find_interpreters(
    settings: StackSettings | None, environ: Mapping[str, str]
) -> dict[str, Interpreter]:
    """Those that the settings file names for single functions, by these as it names them."""
    if settings is None:
        return {}
    return {
        name: find_interpreter(one.python, [], environ, f"{settings.name_function(name)}: python")
        for name, one in settings.stack.functions.items()
        if one.python is not None
    }


def _list_tables(
    settings: StackSettings | None,
) -> Iterator[tuple[str, str | None, FileOverrides]]:
    """What plldb.toml says of a stack: each with its table's name and its function, None for all.

    Those of all functions come first.
    """
    if settings is None:
        return
    where = f"{settings.file.name} [stacks.{settings.name}]"
    yield where, None, settings.stack.overrides
    for function, overrides in settings.stack.functions.items():
        yield f"{where[:-1]}.functions.{function}]", function, overrides


def _read_overrides(
    where: str,
    function: str | None,
    overrides: FileOverrides,
    environ: Mapping[str, str],
    known: list[str],
) -> Iterator[Variables]:
    if overrides.env_file is not None:
        named_by = f"{where}: env-file"
        found = read_env_file(overrides.env_file, named_by, environ)
        if function is not None and found.keys() - {None}:
            raise UsageError(
                f"{named_by}: {overrides.env_file} names functions itself.",
                "Name it for the stack, in the table above this one.",
            )
        yield _check_variables(
            {function if name is None else name: table for name, table in found.items()},
            named_by,
            known,
        )
    if overrides.env:
        yield _check_variables({function: overrides.env}, f"{where}: env", known)


def _parse_env_options(
    values: Iterable[str], environ: Mapping[str, str], known: list[str]
) -> Variables:
    found: dict[str | None, dict[str, str]] = {}
    for text in values:
        key, equals, value = text.partition("=")
        function, colon, name = key.rpartition(":")
        where = f"--env {key}"
        if not name or (colon and not function):
            raise UsageError(
                f"--env {text} is not NAME=VALUE.",
                "For example --env TABLE=greetings, or --env Greeter:TABLE=greetings for one "
                "function.",
            )
        if not equals and name not in environ:
            raise UsageError(
                f"{where}: it has no value, and there is no variable {name} here.",
                f"Give it one: {where}=VALUE",
            )
        one = {name: value if equals else environ[name]}
        _check_variables({function or None: one}, where, known)
        found.setdefault(function or None, {}).update(one)
    return found


def _parse_handler_options(values: Iterable[str], known: list[str]) -> dict[str, str]:
    handlers: dict[str, str] = {}
    for text in values:
        function, equals, handler = text.partition("=")
        where = f"--handler {text}"
        if not (equals and function):
            raise UsageError(
                f"{where} is not FUNCTION=HANDLER.",
                "For example: --handler Greeter=app.handler",
            )
        _check_function(function, where, known)
        if function in handlers:
            raise UsageError(f"--handler names {function} twice.", "Leave one out.")
        handlers[function] = _check_handler(handler, where)
    return handlers


def _check_handler(handler: str, where: str) -> str:
    if not _HANDLER.fullmatch(handler):
        raise UsageError(
            f"{where}: {handler!r} is no handler.",
            "Give MODULE.FUNCTION, for example app.handler or src/orders/app.handler.",
        )
    return handler


def _check_variables(variables: Variables, where: str, known: list[str]) -> Variables:
    """The variables. Raises UsageError if one can't be set, or for a function that is not known.

    No value is shown: it may be a secret.
    """
    for function, table in variables.items():
        if function is not None:
            _check_function(function, where, known)
        for name, value in table.items():
            reason = find_refusal(name)
            if reason is None and "\0" in value:
                reason = "its value has a character that no variable can have"
            if reason is not None:
                raise UsageError(f"{where}: {name!r} can't be set: {reason}.", "Leave it out.")
    return variables


def _check_function(function: str, where: str, known: list[str]) -> None:
    if function not in known:
        hint = (
            suggest(function, known)
            if known
            else "No code of this stack's functions was found here: see --template and --code."
        )
        raise UsageError(f"{where}: the stack has no function {function!r}.", hint)
