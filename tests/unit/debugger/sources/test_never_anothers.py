"""For any two stacks of one app with equal logical ids, code of the other never runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.sources.choice import ChosenSources, CodeOptions, choose_sources
from plldb.debugger.sources.stack_settings import find_settings
from plldb.deployed import DeployedFunction, DeployedStack
from plldb.errors import SourceError, UsageError
from plldb.settings_file import read

NAMES = ["app-dev", "app-prod", "app-pr-7", "other"]
HANDLERS = ["app.handler", "app.main"]
RUNTIMES = ["python3.12", "python3.13"]

FUNCTIONS = st.dictionaries(
    st.sampled_from(["Greeter", "Orders", "Child/Greeter", "Child/Deep/Greeter"]),
    st.tuples(st.sampled_from(HANDLERS), st.sampled_from(RUNTIMES)),
    min_size=1,
)
STACKS = st.dictionaries(st.sampled_from(NAMES), FUNCTIONS, min_size=2)


def write_templates(folder: Path, name: str, functions: Mapping[str, tuple[str, str]]) -> Path:
    """The template of a stack whose code is in a folder of the stack's name."""
    tree: dict[str, Any] = {}
    for path, (handler, runtime) in functions.items():
        *stacks, logical_id = path.split("/")
        at = tree
        for stack in stacks:
            at = at.setdefault(stack, {})
        at[logical_id] = (handler, runtime)
    return _write(folder, name, tree)


def _write(folder: Path, name: str, tree: dict[str, Any]) -> Path:
    resources: dict[str, Any] = {}
    for logical_id, one in tree.items():
        if isinstance(one, dict):
            child = _write(folder, f"{name}-{logical_id}", one)
            properties = {"TemplateURL": child.name}
            resources[logical_id] = {"Type": "AWS::CloudFormation::Stack", "Properties": properties}
        else:
            (folder / name).mkdir(exist_ok=True)
            properties = {"Code": name, "Handler": one[0], "Runtime": one[1]}
            resources[logical_id] = {"Type": "AWS::Lambda::Function", "Properties": properties}
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"Resources": resources}))
    return path


def deployed_as(name: str, functions: Mapping[str, tuple[str, str]]) -> DeployedStack:
    return DeployedStack(
        name, {path: DeployedFunction(path, *found) for path, found in functions.items()}
    )


def choose(folder: Path, kind: str, stack: DeployedStack) -> ChosenSources | None:
    """None if the project is refused for the stack."""
    settings = None
    if kind == "plldb.toml":
        settings = find_settings(read(folder / "plldb.toml", "--config"), stack.name)
    try:
        return choose_sources(CodeOptions(folder, settings=settings), stack.name, stack)
    except (SourceError, UsageError):
        return None


def write_project(folder: Path, kind: str, stacks: Mapping[str, Path]) -> None:
    if kind == "plldb.toml":
        text = "".join(
            f"[stacks.{name}]\ntemplate = '{path.name}'\n" for name, path in stacks.items()
        )
        (folder / "plldb.toml").write_text(text)
        return
    text = "".join(
        f"[{name}.deploy.parameters]\nstack_name = '{name}'\ntemplate_file = '{path.name}'\n"
        for name, path in stacks.items()
    )
    (folder / "samconfig.toml").write_text(text)


@given(stacks=STACKS, there=STACKS, kind=st.sampled_from(["samconfig.toml", "plldb.toml"]))
def test_it(
    tmp_path_factory: pytest.TempPathFactory,
    stacks: Mapping[str, Mapping[str, tuple[str, str]]],
    there: Mapping[str, Mapping[str, tuple[str, str]]],
    kind: str,
) -> None:
    """Whatever is deployed: a function's own code runs, or it has a reason, or all is refused."""
    folder = tmp_path_factory.mktemp("app")
    paths = {name: write_templates(folder, name, found) for name, found in stacks.items()}
    write_project(folder, kind, paths)
    for name, functions in (stacks | there).items():
        chosen = choose(folder, kind, deployed_as(name, functions))
        if chosen is None:
            continue
        assert {*chosen.found, *chosen.left_out} == functions.keys()
        for path, source in chosen.found.items():
            child = "-".join((name, *path.split("/")[:-1]))
            assert source.code_dir == folder / child
            assert (source.handler, source.runtime) == functions[path]
            assert stacks[name][path] == functions[path]
    for name, functions in stacks.items():
        if name not in there:
            own = choose(folder, kind, deployed_as(name, functions))
            assert own is not None
            assert own.found.keys() == functions.keys()
