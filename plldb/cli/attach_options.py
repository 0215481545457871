"""What the command line of ``plldb attach`` says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from plldb.debugger.children.local_function import DebugMode

DEBUGPY_ADDRESS = "127.0.0.1:5678"
_MAX_PORT = 65535


@dataclass(frozen=True)
class AttachOptions:
    """The options by the names that click has for them. ``codes`` are ``LOGICAL_ID=DIR``."""

    stack_name: str
    functions: tuple[str, ...]
    template: Path | None
    codes: tuple[str, ...]
    python: str | None
    handlers: tuple[str, ...]
    env: tuple[str, ...]
    env_files: tuple[Path, ...]
    pdb: bool
    debugpy: str | None
    wait_for_client: bool
    write_launch_config: bool
    when_absent: str
    take_over: bool
    as_function: bool | None
    max_concurrency: int
    record: Path | None

    def check(self) -> None:
        """Raises click.UsageError for options that do not go together."""
        if self.pdb and self.debugpy:
            raise click.UsageError("Choose one of --pdb and --debugpy.")
        if (self.wait_for_client or self.write_launch_config) and not self.debugpy:
            raise click.UsageError("--wait-for-client and --write-launch-config go with --debugpy.")


def parse_debug_mode(pdb: bool, debugpy: str | None, wait_for_client: bool) -> DebugMode:
    """``debugpy`` is ``[HOST:]PORT``, or None. Raises click.UsageError if it is neither."""
    from plldb.debugger.children.local_function import NO_DEBUGGER, Debugpy, Pdb

    if debugpy is None:
        return Pdb() if pdb else NO_DEBUGGER
    host, _, port = debugpy.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) <= _MAX_PORT:
        raise click.UsageError(f"--debugpy {debugpy}: give HOST:PORT, as in {DEBUGPY_ADDRESS}.")
    # Brackets are only there to tell the colons of an IPv6 address from the port's.
    host = host.removeprefix("[").removesuffix("]")
    return Debugpy(host or "127.0.0.1", int(port), wait_for_client)
