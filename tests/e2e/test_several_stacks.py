"""Two stacks in one ``plldb attach``: each function is known by its stack, and all end together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from plldb.aws import Target

from .debugging import Debuggee, deployed, function
from .project import assert_restored, detach
from .support import Backend, Plldb, random_name

HERE = "def handler(event, context):\n    return '{}'\n"


@pytest.fixture(scope="module")
def stacks(backend: Backend, target: Target) -> Iterator[tuple[Debuggee, Debuggee]]:
    """Their functions have the same logical ids."""
    with (
        deployed(target, {"Fn": function()}, "orders") as orders,
        deployed(target, {"Fn": function()}, "billing") as billing,
    ):
        yield orders, billing


@pytest.fixture
def folder(tmp_path: Path, stacks: tuple[Debuggee, Debuggee]) -> Path:
    """Where the code of each stack is, by plldb.toml."""
    settings = ""
    for stack in stacks:
        (tmp_path / stack.name).mkdir()
        (tmp_path / stack.name / "index.py").write_text(HERE.format(stack.name))
        settings += f"[stacks.{stack.name}]\ncode = '{stack.name}'\n"
    (tmp_path / "plldb.toml").write_text(settings)
    return tmp_path


def test_each_function_runs_the_code_of_its_stack(
    plldb: Plldb, stacks: tuple[Debuggee, Debuggee], folder: Path
) -> None:
    orders, billing = stacks
    before = [stack.as_deployed for stack in stacks]
    with plldb.within(folder).attach(orders.name, billing.name) as attached:
        ready = [attached.wait_for("ready") for _ in stacks]
        assert {one["stackName"] for one in ready} == {orders.name, billing.name}
        names = {one["function"] for one in attached.seen if one["event"] == "instrumented"}
        assert names == {f"{stack.name}/Fn" for stack in stacks}
        for stack in stacks:
            assert stack.invoke("Fn").json == stack.name
        for stack in stacks:
            attached.wait_for("invocation", function=f"{stack.name}/Fn", outcome="succeeded")
        detach(attached)
    assert_restored(attached, lambda: [stack.configurations() for stack in stacks], before)


def test_a_second_one_that_is_not_there_changes_nothing_of_the_first(
    plldb: Plldb, stacks: tuple[Debuggee, Debuggee], folder: Path
) -> None:
    orders, _ = stacks
    before = orders.found("Fn")["RevisionId"]
    missing = random_name("missing")
    result = plldb.within(folder)("attach", orders.name, missing, "--output", "json")
    assert result.exit_code == 1
    assert missing in json.loads(result.stderr)["error"]
    assert orders.found("Fn")["RevisionId"] == before
