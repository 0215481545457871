"""Each kind of project, deployed as its own tool does it, and debugged where it is edited."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from plldb.aws import Target
from plldb.emulators.base import choose_port
from tests.project_layouts import LAYOUTS, TERRAFORM, Layout, copy_project, edit

from . import tool_deployments as tools
from .debugging import Debuggee
from .project import assert_restored, detach, stop_in_editor
from .project_steps import BEGUN, BREAKPOINT, EDITED, FOUND, KIND, RESTORED
from .support import Attached, Backend, Plldb
from .tool_deployments import Deployment

Passed = Callable[[str], None]


@pytest.fixture(scope="session")
def chalice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, which an app's environment has, and its zip file too."""
    folder = tmp_path_factory.mktemp("chalice")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    subprocess.run([*pip, "chalice>=1.31"], check=True, timeout=300)
    return folder


@contextmanager
def deployed(target: Target, layout: Layout, project: Path, chalice: Path) -> Iterator[Debuggee]:
    with ExitStack() as cleaning:
        deployment = Deployment(target, project, layout.stack, cleaning)
        match layout.project:
            case "cdk-python" | "cdk-typescript":
                tools.deploy_assembly(deployment, layout.stack)
            case "serverless":
                tools.deploy_service(deployment)
            case "chalice":
                tools.deploy_app(deployment, chalice)
            case "terraform":
                yield tools.deploy_configuration(deployment)
                return
            case _:
                tools.deploy_local_folders(deployment)
        yield Debuggee(target, layout.stack)


@pytest.mark.needs("tools")
@pytest.mark.parametrize("layout", [*LAYOUTS, TERRAFORM], ids=str)
def test_kind(
    layout: Layout,
    plldb: Plldb,
    backend: Backend,
    target: Target,
    tmp_path: Path,
    chalice: Path,
    record_property: Callable[[str, object], None],
) -> None:
    def passed(what: str) -> None:
        record_property(KIND, f"{layout}\t{what}")

    passed(BEGUN)
    project = copy_project(layout.project, tmp_path)
    with deployed(target, layout, project, chalice) as debuggee:

        def found() -> dict[str, dict[str, Any]]:
            return {name: _without_stamps(debuggee.found(name)) for name in layout.functions}

        before = found()
        port = choose_port(None)
        if layout.project == "chalice":
            _make_environment(project, chalice)
        within = plldb.within(project)
        arguments = ("--debugpy", f"127.0.0.1:{port}", *layout.arguments)
        with within.attach(layout.stack, *arguments) as attached:
            _check(layout, project, debuggee, attached, passed)
            detach(attached)
        assert_restored(attached, found, before)
        passed(RESTORED)


def _check(
    layout: Layout, project: Path, debuggee: Debuggee, attached: Attached, passed: Passed
) -> None:
    assert attached.wait_for("ready")["instrumented"] >= len(layout.functions)
    offered = {
        one["function"]: one["configuration"]
        for one in attached.seen
        if one["event"] == "launch.configuration"
    }
    for name, file in layout.functions.items():
        answer = _invoke(layout, debuggee, name)
        assert answer["file"] == str(project / file), name
        assert "edited" not in answer
    passed(FOUND)

    for file in {*layout.functions.values()}:
        edit(project / file)
    for name in layout.functions:
        assert _invoke(layout, debuggee, name)["edited"] is True, name
    passed(EDITED)

    name, file = next(iter(layout.functions.items()))
    answer = stop_in_editor(
        offered[name], project / file, '"edited": True', lambda: _invoke(layout, debuggee, name)
    )
    assert answer["edited"] is True
    passed(BREAKPOINT)


def _invoke(layout: Layout, debuggee: Debuggee, name: str) -> Any:
    """What the function answers; of a response of HTTP's, what is in it."""
    answer = debuggee.invoke(name, layout.events.get(name, {})).json
    return json.loads(answer["body"]) if "body" in answer else answer


def _make_environment(project: Path, chalice: Path) -> None:
    """The project's own, as whoever uses Chalice has one."""
    venv.create(project / ".venv", symlinks=True)
    (site_packages,) = (project / ".venv" / "lib").glob("python*/site-packages")
    (site_packages / "chalice.pth").write_text(f"{chalice}\n")


def _without_stamps(configuration: dict[str, Any]) -> dict[str, Any]:
    """All that a deployment sets. Lambda itself says what became of an update.

    An engine may tell of no variables in two ways.
    """
    stamps = ("LastModified", "RevisionId", "ResponseMetadata", "State", "LastUpdate")
    nothing = (None, [], {"Variables": {}})
    return {
        name: value
        for name, value in configuration.items()
        if not name.startswith(stamps) and value not in nothing
    }
