"""How an editor attaches to functions: shown to be copied, or written for VS Code."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from plldb.cli.options import list_given
from plldb.debugger.launch_config import (
    LAUNCH_FILE,
    TASKS_FILE,
    make_attach_command,
    make_launch_entries,
    make_task_entries,
    render_entries,
    write_entries,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plldb.cli.console import Console
    from plldb.debugger.children.local_function import Debugpy
    from plldb.debugger.launch_config import Address

# They are no use to an editor (which needs text to know when plldb is ready), or nobody's business.
_NOT_FOR_THE_TASK = ("output", "env", "write_launch_config", "background")


class EditorOffer:
    """``addresses`` are those that editors attach to, by the functions' logical ids."""

    def __init__(self, console: Console, stack_name: str, addresses: Mapping[str, Address]) -> None:
        self._console = console
        self._stack_name = stack_name
        self._addresses = addresses
        self._entries = make_launch_entries(stack_name, addresses)

    def show(self) -> None:
        """Where each function is, for other programs; for people, what launch.json takes.

        What starts plldb, too, needs a task: that is left to ``write``.
        """
        if not self._console.is_json:
            configurations = self._entries[: len(self._addresses)]
            self._console.answer({}, f"{LAUNCH_FILE} takes: {render_entries(configurations)}")
        self._tell_programs()

    def write(self, folder: Path) -> None:
        """Into the workspace, which is ``folder``. Says nothing where nothing is new.

        Raises SourceError if a file can't be edited.
        """
        found = shutil.which("plldb")
        beside = Path(sys.executable).with_name("plldb")
        # Installed for all users, or for one, it is elsewhere.
        program = str(beside) if found is None or beside.exists() else found
        given = [*list_given(_NOT_FOR_THE_TASK), "--write-launch-config"]
        command = make_attach_command(program, found, given, folder)
        files = {
            LAUNCH_FILE: self._entries,
            TASKS_FILE: make_task_entries(self._stack_name, command),
        }
        written = [
            name for name, entries in files.items() if write_entries(folder / name, entries, folder)
        ]
        if written:
            names = " and ".join(map(str, written))
            self._console.answer(
                {"event": "launch.written", "files": [str(name) for name in written]},
                f"Written: {names}. “plldb: {self._stack_name}” in VS Code starts it all.",
            )
        self._tell_programs()

    def warn_of_taken_ports(self, debug: Debugpy) -> None:
        """Where a function is elsewhere than it would be by itself."""
        moved = [
            f"{function} at {port}"
            for number, (function, (_, port)) in enumerate(self._addresses.items())
            if port != debug.port + number
        ]
        if moved:
            self._console.warn(
                f"ports from {debug.port} on are taken. Editors attach to {', '.join(moved)}."
            )

    def _tell_programs(self) -> None:
        if not self._console.is_json:
            return
        for function, entry in zip(self._addresses, self._entries, strict=False):
            self._console.answer(
                {
                    "event": "launch.configuration",
                    "function": function,
                    "configuration": entry.value,
                },
                "",
            )
