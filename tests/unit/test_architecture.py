"""Imports go one way, side effects stay at the edges, and one place writes to the terminal."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import plldb

PACKAGE = Path(plldb.__file__).parent
WIRE_MESSAGES = "plldb.bootstrap.cloudformation.lambda_functions.messages"
FUNCTIONS = "plldb.bootstrap.cloudformation.lambda_functions"
LAYER = "plldb.bootstrap.cloudformation.layer"
# Runs in a child process, under the interpreter of the user's project, which has no plldb.
RUNNER = "plldb.debugger.runner"
FOREIGN = [
    # Runs inside the emulator's container, as a package of its own.
    PACKAGE / "emulators" / "localstack",
    # The demo's project: a user's code.
    PACKAGE / "demo" / "sample",
]

# A module may import what stands in a row above its own, and its own part.
LAYERS = [
    {"errors", "clock"},
    {"config"},
    {"settings_file"},
    {"aws"},
    {"stacks"},
    {"bootstrap", "debugger", "emulators"},
    {"demo", "doctor"},
    {"cli"},
]
PURE = [
    "plldb.clock",
    "plldb.bootstrap.planner",
    "plldb.bootstrap.packager",
    "plldb.bootstrap.parameters",
    "plldb.bootstrap.release",
    "plldb.doctor.findings",
    "plldb.doctor.requirements",
    "plldb.debugger.launch_config",
    "plldb.debugger.protocol",
    "plldb.debugger.snapshot",
    "plldb.debugger.sources",
    "plldb.debugger.timing",
    f"{FUNCTIONS}.messages",
    f"{FUNCTIONS}.sessions",
]
EFFECTS = {"boto3", "botocore", "asyncio", "click", "requests", "websockets", "rich", "subprocess"}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if not {*FOREIGN} & {*path.parents} and "__pycache__" not in path.parts
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}


def part_of(name: str) -> str:
    """``plldb.cli.main`` → ``cli``; the package itself and ``__main__`` are the outermost."""
    _, _, rest = name.partition(".")
    return rest.partition(".")[0]


def imported(name: str, *, at_run_time_only: bool = False) -> Iterator[str]:
    """The modules that a module imports, anywhere in it, by their full names."""
    package = name if SOURCES[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in _nodes(TREES[name], at_run_time_only):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                anchor = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*anchor, *([base] if base else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in SOURCES else base


def _nodes(tree: ast.AST, at_run_time_only: bool) -> Iterator[ast.AST]:
    """All nodes; without what only a type checker sees, if asked."""
    for node in ast.iter_child_nodes(tree):
        checked = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not (checked and at_run_time_only):
            yield node
            yield from _nodes(node, at_run_time_only)


def test_every_part_has_its_place() -> None:
    known = set().union(*LAYERS) | {"", "__main__"}
    assert {part_of(name) for name in SOURCES} <= known


@pytest.mark.parametrize("name", SOURCES)
def test_imports_go_one_way(name: str) -> None:
    part = part_of(name)
    if part in ("", "__main__") or name.startswith(FUNCTIONS):
        return
    row = next(number for number, layer in enumerate(LAYERS) if part in layer)
    allowed = {part, ""}.union(*LAYERS[:row])
    wrong = {
        module
        for module in imported(name)
        if module.partition(".")[0] == "plldb"
        and part_of(module) not in allowed
        and module != WIRE_MESSAGES
    }
    assert not wrong


@pytest.mark.parametrize("name", [name for name in SOURCES if not name.startswith(FUNCTIONS)])
def test_of_the_helper_stacks_code_the_local_side_takes_the_messages_only(name: str) -> None:
    taken = {module for module in imported(name) if module.startswith(FUNCTIONS)}
    # ``from …lambda_functions import messages`` names the package and the module.
    assert taken <= {WIRE_MESSAGES}


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith(FUNCTIONS)])
def test_what_runs_on_aws_needs_nothing_that_is_not_there(name: str) -> None:
    for module in imported(name):
        top = module.partition(".")[0]
        is_there = top in sys.stdlib_module_names or top in ("boto3", "botocore")
        assert is_there or module.startswith(FUNCTIONS), module
    relative = [
        node
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("plldb")
    ]
    assert not relative, "siblings are imported relatively: on AWS there is no plldb"


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith(LAYER)])
def test_what_runs_in_a_users_function_needs_the_standard_library_only(name: str) -> None:
    for module in imported(name):
        assert module.partition(".")[0] in sys.stdlib_module_names or module.startswith(LAYER)
    absolute = [
        node
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.ImportFrom) and not node.level
        if (node.module or "").startswith(("plldb", "plldb_shim"))
    ]
    assert not absolute, "siblings are imported relatively"


def test_what_runs_under_the_users_interpreter_needs_the_standard_library_only() -> None:
    """But for the editor's debugger, where that is asked for."""
    tops = {module.partition(".")[0] for module in imported(RUNNER)}
    assert tops - sys.stdlib_module_names <= {"debugpy"}
    at_import = {
        name
        for node in TREES[RUNNER].body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [
            *([node.module or ""] if isinstance(node, ast.ImportFrom) else []),
            *(alias.name for alias in node.names if isinstance(node, ast.Import)),
        ]
    }
    assert "debugpy" not in {name.partition(".")[0] for name in at_import}


@pytest.mark.parametrize("name", [name for name in SOURCES if name != RUNNER])
def test_and_nothing_of_plldb_imports_it(name: str) -> None:
    """It is started as a program, by its path."""
    assert RUNNER not in imported(name)


@pytest.mark.parametrize("name", PURE)
def test_what_decides_does_nothing(name: str) -> None:
    assert not {module.partition(".")[0] for module in imported(name)} & EFFECTS


@pytest.mark.parametrize("name", PURE)
def test_nor_does_anything_that_it_imports(name: str) -> None:
    """Importing it loads none of these: through no module of ours, either."""
    loaded, queue = set(), [name]
    while queue:
        for module in imported(queue.pop(), at_run_time_only=True):
            if module not in loaded:
                loaded.add(module)
                queue += [module] if module in SOURCES else []
    assert not {module for module in loaded if module.partition(".")[0] in EFFECTS}


def test_importing_the_package_imports_nothing() -> None:
    assert list(imported("plldb")) == []


def _writes_to_the_terminal(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("print", "input", "click.echo", "click.secho", "click.confirm"):
                yield called
        if isinstance(node, ast.Attribute):
            text = ast.unparse(node)
            if text in ("sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__"):
                yield text
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names]
            yield from (name for name in names if name.partition(".")[0] == "rich")


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in SOURCES
        # On AWS, a function's stdout is its log and no terminal; so it is for what runs in a
        # user's function. The runner is a process of its own, whose output plldb reads.
        if name not in ("plldb.cli.console", f"{FUNCTIONS}.log", RUNNER)
        if not name.startswith(LAYER)
    ],
)
def test_only_the_console_writes_to_the_terminal(name: str) -> None:
    assert not list(_writes_to_the_terminal(TREES[name]))


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in SOURCES
        # The process that the runner ends is its own, and so is that of the layer: a function that
        # is being stopped, on an emulator.
        if part_of(name) != "cli" and name != RUNNER and not name.startswith(LAYER)
    ],
)
def test_only_the_command_line_ends_the_process(name: str) -> None:
    calls = {ast.unparse(node.func) for node in ast.walk(TREES[name]) if isinstance(node, ast.Call)}
    assert not calls & {"sys.exit", "exit", "quit", "os._exit"}
    assert not [
        node
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Raise) and node.exc and "SystemExit" in ast.unparse(node.exc)
    ]


@pytest.mark.parametrize("name", [n for n in SOURCES if n.startswith("plldb.cli.")])
def test_commands_load_what_they_need_when_they_run(name: str) -> None:
    """So that ``plldb --help`` loads click, and nothing heavy."""
    heavy = {"boto3", "botocore", "requests", "rich", "websockets", "psutil", "filelock"}
    at_import = {
        module.partition(".")[0]
        for node in TREES[name].body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in [
            *([node.module or ""] if isinstance(node, ast.ImportFrom) else []),
            *(alias.name for alias in node.names if isinstance(node, ast.Import)),
        ]
    }
    assert not at_import & heavy
