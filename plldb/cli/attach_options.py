"""What the command line of ``plldb attach`` says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from plldb.debugger.children.local_function import DebugMode

# Any port that is free.
INSPECTOR_ADDRESS = "127.0.0.1:0"
DEBUGPY_ADDRESS = "127.0.0.1:5678"
_MAX_PORT = 65535

# As 'plldb replay' has it, too.
post_mortem_option = click.option(
    "--post-mortem/--no-post-mortem",
    default=True,
    show_default=True,
    help="With --pdb: stop at an exception that nobody catches; 'retry' runs the event again by "
    "the saved code.",
)


@dataclass(frozen=True)
class AttachOptions:
    """The options by the names that click has for them. ``codes`` are ``[FUNCTION=]DIR``.

    Stacks may be named either way. If there are several, a function's name may begin with that of
    its stack: ``orders/Greeter``.
    """

    stacks: tuple[str, ...]
    stack_names: tuple[str, ...]
    functions: tuple[str, ...]
    template: Path | None
    terraform: Path | None
    codes: tuple[str, ...]
    python: str | None
    handlers: tuple[str, ...]
    env: tuple[str, ...]
    env_files: tuple[Path, ...]
    pdb: bool
    post_mortem: bool
    debugpy: str | None
    wait_for_client: bool
    write_launch_config: bool
    when_absent: str
    take_over: bool
    as_function: bool | None
    aliases: bool
    max_concurrency: int
    record: Path | None
    inspect: str | None
    detach: bool = False
    # Of a process that was started in the background: the descriptor of its lock.
    background: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The stacks, each once."""
        return tuple(dict.fromkeys((*self.stack_names, *self.stacks)))

    @property
    def stack_name(self) -> str:
        """The only stack, or the first one."""
        return self.names[0]

    @property
    def reads_stdin(self) -> bool:
        return self.terraform == Path("-")

    def require_stack(self) -> None:
        """Raises click.UsageError if there is none."""
        if not self.names:
            raise click.UsageError(
                "Name the stack to debug: plldb attach STACK, or --stack-name, or in plldb.toml "
                "[attach]: stacks."
            )

    def split(self) -> list[AttachOptions]:
        """The options that each stack has. Raises click.UsageError for a stack that has none."""
        if len(self.names) == 1:
            return [self]
        return [self._of_stack(name) for name in self.names]

    def _of_stack(self, name: str) -> AttachOptions:
        functions = self._select(self.functions, name)
        if self.functions and not functions:
            raise click.UsageError(f"--function names none of stack {name}: leave the stack out.")
        # A folder without a function may begin like a stack.
        folders = tuple(code for code in self.codes if "=" not in code)
        codes = self._select((code for code in self.codes if "=" in code), name)
        return replace(
            self,
            stacks=(name,),
            stack_names=(),
            functions=functions,
            codes=(*folders, *codes),
            handlers=self._select(self.handlers, name),
            env=self._select(self.env, name),
        )

    def _select(self, values: Iterable[str], name: str) -> tuple[str, ...]:
        """Those of a stack, without its name, and those that name no stack."""
        others = tuple(f"{other}/" for other in self.names if other != name)
        return tuple(
            value.removeprefix(f"{name}/") for value in values if not value.startswith(others)
        )

    def check(self) -> None:
        """Raises click.UsageError, or UsageError, for options that do not go together, and for an
        address at which nothing is to listen; SourceError for a page that nothing here can serve.
        """
        if self.template and self.terraform:
            raise click.UsageError("Choose one of --template and --terraform.")
        for option, given in (("--template", self.template), ("--terraform", self.terraform)):
            if len(self.names) > 1 and given:
                raise click.UsageError(
                    f"{option} is one stack's: name those of several in plldb.toml, [stacks.NAME]."
                )
        if self.pdb and self.debugpy:
            raise click.UsageError("Choose one of --pdb and --debugpy.")
        parse_debug_mode(self.pdb, self.debugpy, self.wait_for_client)  # for what is no address
        if (self.wait_for_client or self.write_launch_config) and not self.debugpy:
            raise click.UsageError("--wait-for-client and --write-launch-config go with --debugpy.")
        if self.inspect is not None:
            from plldb.inspector.address import parse_address
            from plldb.inspector.extra import require_installed

            parse_address(self.inspect)
            require_installed()
        if self.pdb and (self.detach or self.background is not None):
            raise click.UsageError(
                "--pdb takes a terminal, and --detach leaves none: choose --debugpy for an editor."
            )


def parse_debug_mode(
    pdb: bool, debugpy: str | None, wait_for_client: bool, post_mortem: bool = True
) -> DebugMode:
    """``debugpy`` is ``[HOST:]PORT``, or None. Raises click.UsageError if it is neither."""
    from plldb.debugger.children.local_function import NO_DEBUGGER, Debugpy, Pdb

    if debugpy is None:
        return Pdb(post_mortem=post_mortem) if pdb else NO_DEBUGGER
    host, _, port = debugpy.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) <= _MAX_PORT:
        raise click.UsageError(f"--debugpy {debugpy}: give HOST:PORT, as in {DEBUGPY_ADDRESS}.")
    # Brackets are only there to tell the colons of an IPv6 address from the port's.
    host = host.removeprefix("[").removesuffix("]")
    return Debugpy(host or "127.0.0.1", int(port), wait_for_client)
