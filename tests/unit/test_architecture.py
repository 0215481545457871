"""Imports go one way, side effects stay at the edges, and one place writes to the terminal.

Each rule is one test, which names every module that breaks it.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import plldb

PACKAGE = Path(plldb.__file__).parent
FUNCTIONS = "plldb.bootstrap.cloudformation.lambda_functions"
LAYER = "plldb.bootstrap.cloudformation.layer"
# Names, ids, requests and messages: what the developer's machine shares with the helper stack.
SHARED_WITH_THE_LOCAL_SIDE = {
    f"{FUNCTIONS}.websocket.wire",
    f"{FUNCTIONS}.instrumentation.request",
    f"{FUNCTIONS}.shared.constants",
    f"{FUNCTIONS}.shared.ids",
    f"{FUNCTIONS}.shared.signed_request",
}
# Runs in a child process, under the interpreter of the user's project, which has no plldb.
RUNTIME = "plldb.debugger.children.runtime"
# plldb imports these of its modules, too: both ends of the pipes speak by them.
BOTH_ENDS = {f"{RUNTIME}.{name}" for name in ("frames", "output", "file_stamps")}
FOREIGN = [
    # Runs inside the emulator's container, as a package of its own.
    PACKAGE / "emulators" / "localstack",
    # The demo's project: a user's code.
    PACKAGE / "demo" / "sample",
]

# A module may import what stands in a row above its own, and its own part.
LAYERS = [
    {"errors"},
    {"templates"},
    {"deployed"},
    {
        *("certificates", "clock_skew", "diagnostic_log", "files", "held_signals"),
        *("json_text", "network_refusals", "option_names", "proxies"),
    },
    {"config"},
    {"settings_file"},
    {"aws_profile", "credentials"},
    {"aws"},
    {"stacks"},
    {"bootstrap", "debugger", "emulators"},
    {"replay"},
    {"background", "inspector"},
    {"doctor"},
    {"dev"},
    {"demo", "pytest_plugin"},
    {"cli"},
]
# Inside the helper stack: handlers put rooms together, and what is shared uses no room.
ROOMS = {"api", "websocket", "sessions", "invocations", "instrumentation"}
PURE = [
    "plldb.background.session_record",
    "plldb.clock_skew",
    "plldb.bootstrap.planner",
    "plldb.bootstrap.packager",
    "plldb.bootstrap.parameters",
    "plldb.bootstrap.release",
    "plldb.doctor.findings",
    "plldb.doctor.requirements",
    "plldb.dev.log_lines",
    "plldb.dev.tool_environment",
    "plldb.debugger.deployed_layers.arrangement",
    "plldb.debugger.deployed_layers.extraction",
    "plldb.debugger.deployed_layers.layer_cache",
    "plldb.debugger.jsonc",
    "plldb.debugger.launch_config",
    "plldb.debugger.protocol",
    "plldb.debugger.reserved_variables",
    "plldb.debugger.wrapped_handlers",
    "plldb.inspector.extra",
    "plldb.inspector.guard",
    "plldb.option_names",
    "plldb.proxies",
    "plldb.debugger.children.file_changes",
    *sorted(BOTH_ENDS),
    "plldb.debugger.sources.cdk",
    "plldb.debugger.sources.chalice",
    "plldb.debugger.sources.cloud_assembly",
    "plldb.debugger.sources.package_origin",
    "plldb.debugger.sources.choice",
    "plldb.debugger.sources.cloudformation",
    "plldb.debugger.sources.code_location",
    "plldb.debugger.sources.code_options",
    "plldb.debugger.sources.comparison",
    "plldb.debugger.sources.expansion",
    "plldb.debugger.sources.functions",
    "plldb.debugger.sources.intrinsics",
    "plldb.debugger.sources.project",
    "plldb.debugger.sources.sam",
    "plldb.debugger.sources.stack_settings",
    "plldb.debugger.sources.serverless",
    "plldb.debugger.sources.terraform",
    "plldb.deployed",
    "plldb.replay.difference",
    "plldb.replay.masks",
    "plldb.replay.recording",
    "plldb.templates",
    "plldb.debugger.timing",
    *sorted(SHARED_WITH_THE_LOCAL_SIDE),
    f"{FUNCTIONS}.sessions.session",
    f"{FUNCTIONS}.sessions.store",
    f"{FUNCTIONS}.invocations.invocation",
    f"{FUNCTIONS}.invocations.store",
    f"{FUNCTIONS}.instrumentation.redirect",
]
EFFECTS = {"boto3", "botocore", "asyncio", "click", "requests", "websockets", "rich", "subprocess"}
# They make rows of rich's text for the console, and write none.
ROWS = {"plldb.cli.terminal_text", "plldb.cli.invocation_lines"}
HEAVY = {"boto3", "botocore", "requests", "rich", "websockets", "psutil", "filelock", "uvicorn"}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if not {*FOREIGN} & {*path.parents} and "__pycache__" not in path.parts
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}
CHILD = {name for name in SOURCES if f"{name}.".startswith(f"{RUNTIME}.")}
LOCAL = [name for name in SOURCES if not name.startswith((FUNCTIONS, LAYER))]


def part_of(name: str) -> str:
    """``plldb.cli.main`` → ``cli``; the package itself and ``__main__`` are the outermost."""
    _, _, rest = name.partition(".")
    return rest.partition(".")[0]


def room_of(name: str) -> str:
    """``…lambda_functions.sessions.store`` → ``sessions``."""
    return name.removeprefix(f"{FUNCTIONS}.").partition(".")[0]


def tops(modules: Iterable[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def imported(name: str, *, at_run_time_only: bool = False) -> Iterator[str]:
    """The modules that a module imports, anywhere in it, by their full names."""
    for node in _nodes(TREES[name], at_run_time_only):
        yield from _imported_by(node, name)


def imported_at_import(name: str) -> Iterator[str]:
    """The modules that are imported as soon as the module is."""
    for node in TREES[name].body:
        yield from _imported_by(node, name)


def _imported_by(node: ast.AST, name: str) -> Iterator[str]:
    package = name if SOURCES[name].name == "__init__.py" else name.rpartition(".")[0]
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


def absolute_imports_of_siblings(name: str) -> list[str]:
    return [
        ast.unparse(node)
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.ImportFrom)
        and not node.level
        and (node.module or "").startswith(("plldb", "lambda_functions"))
    ]


# --- Where things are -----------------------------------------------------------------------------


def test_every_part_has_its_place() -> None:
    known = set().union(*LAYERS) | {"", "__main__"}
    assert {part_of(name) for name in SOURCES} <= known


def test_modules_share_a_name_only_if_they_play_the_same_part() -> None:
    """A command's file has the command's name; stores are a folder's ``store`` and ``dynamodb``."""
    by_name = defaultdict(set)
    for name, path in SOURCES.items():
        is_package = path.name == "__init__.py"
        if not (
            is_package
            or path.name == "__main__.py"
            or name.startswith(("plldb.cli.", f"{FUNCTIONS}.handlers."))
        ):
            by_name[name.rpartition(".")[2]].add(name)
    stores = {
        part: {f"{FUNCTIONS}.sessions.{part}", f"{FUNCTIONS}.invocations.{part}"}
        for part in ("store", "dynamodb")
    }
    stores["dynamodb"].add(f"{FUNCTIONS}.shared.dynamodb")
    links = {"constants": {f"{FUNCTIONS}.shared.constants", f"{LAYER}.python.plldb_shim.constants"}}
    shared = {short: names for short, names in by_name.items() if len(names) > 1}
    assert shared == stores | links


# --- Who imports whom -----------------------------------------------------------------------------


def test_imports_go_one_way() -> None:
    wrong = []
    for name in LOCAL:
        part = part_of(name)
        if part in ("", "__main__"):
            continue
        row = next(number for number, layer in enumerate(LAYERS) if part in layer)
        allowed = {part, ""}.union(*LAYERS[:row])
        wrong += [
            (name, module)
            for module in imported(name)
            if module.partition(".")[0] == "plldb"
            and part_of(module) not in allowed
            and module not in SHARED_WITH_THE_LOCAL_SIDE
            and not any(shared.startswith(f"{module}.") for shared in SHARED_WITH_THE_LOCAL_SIDE)
        ]
    assert not wrong


def test_of_the_helper_stacks_code_the_local_side_takes_names_and_messages_only() -> None:
    taken = {
        (name, module)
        for name in LOCAL
        for module in imported(name)
        if module.startswith(FUNCTIONS)
    }
    # ``from ….websocket import wire`` names the module in full.
    assert {module for _, module in taken} <= SHARED_WITH_THE_LOCAL_SIDE, sorted(taken)


def test_what_runs_on_aws_needs_nothing_that_is_not_there() -> None:
    names = [name for name in SOURCES if name.startswith(FUNCTIONS)]
    foreign = {
        (name, module)
        for name in names
        for module in imported(name)
        if module.partition(".")[0] not in {*sys.stdlib_module_names, "boto3", "botocore"}
        and not module.startswith(FUNCTIONS)
    }
    assert not foreign
    # On AWS there is no plldb: siblings are imported relatively.
    assert not [one for name in names for one in absolute_imports_of_siblings(name)]


def test_rooms_know_no_handler_and_what_is_shared_knows_no_room() -> None:
    wrong = [
        (name, module)
        for name in SOURCES
        if name.startswith(f"{FUNCTIONS}.")
        for module in imported(name)
        if (room_of(name) in ROOMS and room_of(module) == "handlers")
        or (room_of(name) == "shared" and room_of(module) in {*ROOMS, "handlers"})
    ]
    assert not wrong


def test_what_runs_in_a_users_function_needs_the_standard_library_only() -> None:
    names = [name for name in SOURCES if name.startswith(LAYER)]
    foreign = {
        (name, module)
        for name in names
        for module in imported(name)
        if module.partition(".")[0] not in sys.stdlib_module_names and not module.startswith(LAYER)
    }
    assert not foreign
    assert not [one for name in names for one in absolute_imports_of_siblings(name)]


def test_what_runs_under_the_users_interpreter_needs_the_standard_library_only() -> None:
    """But for the editor's debugger, where that is asked for."""
    for name in CHILD:
        assert tops({*imported(name)} - CHILD) - sys.stdlib_module_names <= {"debugpy"}
        assert "debugpy" not in tops(imported_at_import(name))
        assert not absolute_imports_of_siblings(name), "it has another name there"


def test_and_of_it_plldb_imports_what_both_ends_speak_only() -> None:
    """It is started as a program, by its path."""
    others = [name for name in SOURCES if name not in CHILD]
    assert {module for name in others for module in imported(name)} & CHILD == BOTH_ENDS


# --- Side effects ---------------------------------------------------------------------------------


def test_what_decides_does_nothing() -> None:
    assert not [name for name in PURE if tops(imported(name)) & EFFECTS]


def test_nor_does_anything_that_it_imports() -> None:
    """Importing it loads none of these: through no module of ours, either."""
    wrong = {}
    for name in PURE:
        loaded, queue = set(), [name]
        while queue:
            for module in imported(queue.pop(), at_run_time_only=True):
                if module not in loaded:
                    loaded.add(module)
                    queue += [module] if module in SOURCES else []
        if effects := tops(loaded) & EFFECTS:
            wrong[name] = effects
    assert not wrong


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


def test_only_the_console_writes_to_the_terminal() -> None:
    # On AWS, a function's stdout is its log and no terminal; so it is for what runs in a
    # user's function. The runtime is a process of its own, whose output plldb reads.
    exempt = {"plldb.cli.console", f"{FUNCTIONS}.shared.log", *CHILD, *ROWS}
    wrong = {
        name: written
        for name in SOURCES
        if name not in exempt and not name.startswith(LAYER)
        if (written := list(_writes_to_the_terminal(TREES[name])))
    }
    assert not wrong


def _ends_the_process(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "sys.exit",
            "exit",
            "quit",
            "os._exit",
        ):
            return True
        if isinstance(node, ast.Raise) and node.exc and "SystemExit" in ast.unparse(node.exc):
            return True
    return False


def test_only_the_command_line_ends_the_process() -> None:
    # The process that the runtime ends is its own, and so is that of the layer: a function that
    # is being stopped, on an emulator.
    assert not [
        name
        for name in SOURCES
        if part_of(name) != "cli" and name not in CHILD and not name.startswith(LAYER)
        if _ends_the_process(TREES[name])
    ]


def test_commands_load_what_they_need_when_they_run() -> None:
    """So that ``plldb --help`` loads click, and nothing heavy."""
    commands = [name for name in SOURCES if name.startswith("plldb.cli.") and name not in ROWS]
    assert not [name for name in commands if tops(imported_at_import(name)) & HEAVY]
    # What --help loads can't load them either; commands that are running do.
    help_loads = {name for name in commands if name != "plldb.cli.attach_view"}
    assert not [name for name in help_loads if {*imported_at_import(name)} & ROWS]
