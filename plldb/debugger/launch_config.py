"""VS Code's launch.json and tasks.json: how an editor attaches, and starts what it attaches to.

Each function has a configuration, for a session that is attached already. The stack has a compound:
it runs ``plldb attach`` as a task, waits until that is ready, and starts the configurations of all
functions. A compound reads them after its task, so a port that has changed meanwhile is right.

https://code.visualstudio.com/docs/debugtest/debugging-configuration
https://code.visualstudio.com/docs/debugtest/tasks#_background-watching-tasks
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from plldb.debugger.jsonc import Change, Entry, put_entries
from plldb.errors import SourceError
from plldb.files import replace_file

LAUNCH_FILE = Path(".vscode", "launch.json")
TASKS_FILE = Path(".vscode", "tasks.json")
WORKSPACE = "${workspaceFolder}"

_VERSIONS = {LAUNCH_FILE.name: "0.2.0", TASKS_FILE.name: "2.0.0"}
_PREFIX = "plldb: "
# Addresses to listen at that are none to connect to.
_ANY_IPV4 = "0.0.0.0"  # nosec B104  # noqa: S104
_ANY_ADDRESS = {"": "127.0.0.1", _ANY_IPV4: "127.0.0.1", "::": "::1"}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Lines of plldb attach: the first one, and the one after which editors can attach.
_BEGINS = r"Session [0-9a-f]{8}"
_IS_READY = r"Ready: \d+ functions? runs? here"

Address = tuple[str, int]


def make_launch_config(function: str, stack_name: str, address: Address) -> dict[str, Any]:
    """Attaches VS Code to a function, by its logical id.

    https://code.visualstudio.com/docs/python/debugging#_set-configuration-options
    """
    host, port = address
    return {
        "name": f"{_PREFIX}{function} ({stack_name})",
        "type": "debugpy",
        "request": "attach",
        "connect": {"host": _ANY_ADDRESS.get(host, host), "port": port},
        # The code runs where it lies. Without the second one, VS Code would show copies of what is
        # outside of the workspace; without any, it would take the code's folder for the workspace.
        "pathMappings": [
            {"localRoot": WORKSPACE, "remoteRoot": WORKSPACE},
            {"localRoot": "/", "remoteRoot": "/"},
        ],
        "justMyCode": False,
    }


def make_launch_entries(stack_name: str, addresses: Mapping[str, Address]) -> list[Entry]:
    """What launch.json gets for functions, by their logical ids.

    Of what is there already, ports change, and which functions a compound starts.
    """
    configs = [
        make_launch_config(function, stack_name, address) for function, address in addresses.items()
    ]
    compound = {
        "name": f"{_PREFIX}{stack_name}",
        "configurations": [config["name"] for config in configs],
        "preLaunchTask": _name_task(stack_name),
        "stopAll": True,
    }
    return [
        *(
            Entry("configurations", "name", config, partial(_revise_config, config))
            for config in configs
        ),
        Entry("compounds", "name", compound, partial(_revise_compound, compound, stack_name)),
    ]


def make_task_entries(stack_name: str, command: Sequence[str]) -> list[Entry]:
    """The task for tasks.json that attaches; one that is there already stays as it is."""
    task = {
        "label": _name_task(stack_name),
        "type": "process",
        "command": command[0],
        "args": [*command[1:]],
        "options": {"cwd": WORKSPACE},
        "isBackground": True,
        "problemMatcher": {
            "owner": "plldb",
            # VS Code insists on one. Nothing matches it: problems have files, and this names none.
            "pattern": [{"regexp": ".", "file": 1, "location": 2, "message": 3}],
            "background": {
                "activeOnStart": True,
                "beginsPattern": _BEGINS,
                "endsPattern": _IS_READY,
            },
        },
        "presentation": {"reveal": "always", "panel": "dedicated"},
    }
    return [Entry("tasks", "label", task)]


def make_attach_command(
    program: str, found: str | None, arguments: Sequence[str], folder: Path
) -> list[str]:
    """How VS Code runs what is running now, in the same folder, on whatever machine.

    ``program`` is the path of plldb's program, ``found`` that of the one in PATH, if there is one.
    Paths in the workspace ``folder`` are relative to it.
    """
    if found is not None and not _is_inside(program, folder) and _is_same(found, program):
        program = Path(found).name
    root = str(folder).rstrip(os.sep) + os.sep
    # A whole argument, or an option's value: not a part of another path.
    path = re.compile(rf"(^|=){re.escape(root)}")
    return [path.sub(rf"\1{WORKSPACE}/", one) for one in (program, *arguments)]


def write_entries(path: Path, entries: Sequence[Entry], folder: Path) -> bool:
    """Puts entries into launch.json or tasks.json; False if there is nothing to change.

    The file is made if it is missing, and written in one step; a link is followed, but not out of
    the workspace ``folder``. Raises SourceError, whose hint has what to add by hand, if it can't be
    read, edited or written.
    """
    version = _VERSIONS[path.name]
    try:
        # Through a link, to what it leads to.
        path = path.resolve()
        if folder.resolve() not in path.parents:
            raise ValueError(f"a link leads there, out of {folder}")
        text = path.read_bytes().decode("utf-8") if path.exists() else ""
        edited = put_entries(text, version, entries)
        if edited == text:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        replace_file(path, edited.encode("utf-8"), mode)
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise SourceError(
            f"{path} can't be edited: {reason}.", f"Add this to it:\n{render_entries(entries)}"
        ) from None
    return True


def render_entries(entries: Iterable[Entry]) -> str:
    """What a file would have that had nothing else, as JSON."""
    sections: dict[str, list[Any]] = {}
    for entry in entries:
        sections.setdefault(entry.section, []).append(entry.value)
    return json.dumps(sections, indent=4, ensure_ascii=False)


def _name_task(stack_name: str) -> str:
    return f"{_PREFIX}attach {stack_name}"


def _revise_config(config: dict[str, Any], existing: dict[str, Any]) -> Iterator[Change]:
    """The port is ours to say; the host is, unless the developer knows a way of his own."""
    connect, existing_connect = config["connect"], existing.get("connect")
    if not isinstance(existing_connect, dict):
        yield ("connect",), connect
        return
    if existing_connect.get("port") != connect["port"]:
        yield ("connect", "port"), connect["port"]
    host = existing_connect.get("host")
    if host != connect["host"] and host in (*_LOOPBACK, None):
        yield ("connect", "host"), connect["host"]


def _revise_compound(
    compound: dict[str, Any], stack_name: str, existing: dict[str, Any]
) -> Iterator[Change]:
    """Starts what is debugged now, beside what the developer has added."""
    wanted, listed = compound["configurations"], existing.get("configurations")
    if not isinstance(listed, list):
        yield ("configurations",), wanted
        return
    kept = [one for one in listed if one in wanted or not _is_ours(one, stack_name)]
    new = [*kept, *(one for one in wanted if one not in kept)]
    if new != listed:
        yield ("configurations",), new


def _is_ours(name: Any, stack_name: str) -> bool:
    return isinstance(name, str) and name.startswith(_PREFIX) and name.endswith(f" ({stack_name})")


def _is_inside(path: str, folder: Path) -> bool:
    return folder in Path(path).parents


def _is_same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
