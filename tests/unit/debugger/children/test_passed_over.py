"""Breakpoints of whatever debugger, while there is none: the code goes on, and a line says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.local_function import Debugpy
from tests.unit.debugger.local_code import HERE, Project, every_python, value


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def run(project: Project, stop: str, python: Interpreter = HERE, **variables: str) -> list[str]:
    """What the developer reads, if the handler stops by this statement in its line 2."""
    project.write(f"def handler(event, context):\n    {stop}\n    return 'went on'\n")
    assert value(project.invoke(python=python, variables=variables)) == "went on"
    assert project.output() == []
    return project.output("stderr")


@every_python
class TestInAnyVersion:
    @pytest.mark.parametrize(
        "stop",
        [
            "breakpoint()",
            "import pdb; pdb.set_trace()",
            "from pdb import set_trace; set_trace()",
            "import pdb; pdb.Pdb().set_trace()",
        ],
    )
    def test_one_line_names_the_place(
        self, project: Project, python: Interpreter, stop: str
    ) -> None:
        [line] = run(project, stop, python)
        assert f"{project.folder}/app.py:2 was passed over" in line
        assert "--pdb" in line

    def test_pythonbreakpoint_is_not_asked(self, project: Project, python: Interpreter) -> None:
        [line] = run(project, "breakpoint()", python, PYTHONBREAKPOINT="no_such.debugger")
        assert "app.py:2 was passed over" in line

    def test_post_mortem_asks_nobody(self, project: Project, python: Interpreter) -> None:
        project.write("""
            import pdb
            def handler(event, context):
                try:
                    return 1 / 0
                except ZeroDivisionError as error:
                    pdb.post_mortem(error.__traceback__)
                return pdb.runcall(len, "four")
        """)
        assert value(project.invoke(python=python)) == 4
        assert any("was passed over" in line for line in project.output("stderr"))


@pytest.mark.parametrize(
    "stop",
    [
        "import ipdb; ipdb.set_trace()",
        "from ipdb import set_trace; set_trace()",
        "import pudb; pudb.set_trace()",
        "from IPython.core.debugger import set_trace; set_trace()",
    ],
)
def test_relatives_of_pdb_are_as_well(project: Project, stop: str) -> None:
    [line] = [one for one in run(project, stop) if "passed over" in one]
    assert f"{project.folder}/app.py:2 was passed over" in line


def test_pdb_is_while_an_editor_debugs(project: Project) -> None:
    project.write("""
        import pdb
        def handler(event, context):
            pdb.set_trace()
            return 1
    """)
    assert value(project.invoke(debug=Debugpy(port=0))) == 1
