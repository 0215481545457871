"""What was loaded is what is watched: a change in it has the code read again, and nothing else."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plldb.debugger.children.interpreter import Interpreter, check_interpreter
from plldb.debugger.children.invoker import Invoker
from tests.unit.debugger.local_code import (
    Project,
    error,
    interpreters,
    invoke,
    processes_in,
    value,
)

# Each call is told how many calls the module has seen, and what a value is.
COUNTING = """
calls = 0
def handler(event, context):
    global calls
    calls += 1
    return [calls, VALUE]
"""


@pytest.fixture(params=interpreters(), ids=lambda one: one.version_text)
def python(request: pytest.FixtureRequest) -> Interpreter:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "code").mkdir()
    yield Project(tmp_path / "code")
    assert processes_in(tmp_path / "code") == []


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


def call_around(project: Project, change: Callable[[], object], **options: Any) -> list[Any]:
    """The answers of two calls before a change, and of two after it."""
    function = project.function(**options.pop("function", {}))

    async def work(invoker: Invoker) -> list[Any]:
        answers = [value(await invoke(invoker, function)) for _ in range(2)]
        change()
        return answers + [value(await invoke(invoker, function)) for _ in range(2)]

    return project.run(work, **options)


def stays(answers: list[Any]) -> bool:
    return [count for count, _ in answers] == [1, 2, 3, 4]


def is_read_again(answers: list[Any]) -> bool:
    return [count for count, _ in answers] == [1, 2, 1, 2]


class TestTheCode:
    def test_a_module_of_the_function(self, project: Project, python: Interpreter) -> None:
        project.write("from lib.thing import VALUE" + COUNTING)
        project.write("VALUE = 1", "lib/thing.py")
        change = lambda: project.write("VALUE = 2", "lib/thing.py")  # noqa: E731
        assert call_around(project, change, python=python) == [[1, 1], [2, 1], [1, 2], [2, 2]]

    def test_one_that_the_handler_imports(self, project: Project) -> None:
        project.write(
            "VALUE = 0" + COUNTING.replace("    return", "    from late import VALUE\n    return")
        )
        project.write("VALUE = 1", "late.py")
        answers = call_around(project, lambda: project.write("VALUE = 2", "late.py"))
        assert answers == [[1, 1], [2, 1], [1, 2], [2, 2]]

    def test_one_that_was_compiled_before(self, project: Project) -> None:
        """Python reads the cached one then, not the file that is edited."""
        project.write("from thing import VALUE" + COUNTING)
        project.write("VALUE = 1", "thing.py")
        subprocess.run(
            [sys.executable, "-m", "compileall", "-q", "."], cwd=project.folder, check=True
        )
        answers = call_around(project, lambda: project.write("VALUE = 22", "thing.py"))
        assert answers == [[1, 1], [2, 1], [1, 22], [2, 22]]

    def test_one_that_is_edited_while_an_invocation_runs(self, project: Project) -> None:
        """After it was read, and before its invocation has ended."""
        project.write("""
            import pathlib
            from thing import VALUE
            def handler(event, context):
                pathlib.Path(__file__).with_name("thing.py").write_text(f"VALUE = {VALUE + 1}")
                return VALUE
        """)
        project.write("VALUE = 1", "thing.py")

        async def work(invoker: Invoker) -> list[Any]:
            return [value(await invoke(invoker, project.function())) for _ in range(3)]

        assert project.run(work) == [1, 2, 3]

    def test_one_that_a_traceback_has_shown_since(self, project: Project) -> None:
        """Whoever formats it reads the edited file: that is not what was loaded."""
        project.write("""
            def handler(event, context):
                if event:
                    raise ValueError("old")
                return 1
        """)

        async def work(invoker: Invoker) -> Any:
            assert value(await invoke(invoker, project.function())) == 1
            project.write("def handler(event, context): return 2")
            return value(await invoke(invoker, project.function()))

        assert project.run(work) == 2

    def test_a_file_that_is_deleted(self, project: Project) -> None:
        project.write("from thing import VALUE\ndef handler(event, context): return VALUE")
        project.write("VALUE = 1", "thing.py")

        async def work(invoker: Invoker) -> Any:
            assert value(await invoke(invoker, project.function())) == 1
            (project.folder / "thing.py").unlink()
            return error(await invoke(invoker, project.function()))

        assert "No module named 'thing'" in project.run(work)["errorMessage"]

    def test_a_module_that_was_missing(self, project: Project, python: Interpreter) -> None:
        project.write("try: from extra import VALUE\nexcept ImportError: VALUE = 0\n" + COUNTING)
        answers = call_around(
            project, lambda: project.write("VALUE = 1", "extra.py"), python=python
        )
        assert answers == [[1, 0], [2, 0], [1, 1], [2, 1]]

    def test_a_module_in_the_place_of_another(self, project: Project) -> None:
        """The function's folder comes before the standard library."""
        project.write("import colorsys as it\nVALUE = hasattr(it, 'mine')\n" + COUNTING)
        answers = call_around(project, lambda: project.write("mine = 1", "colorsys.py"))
        assert answers == [[1, False], [2, False], [1, True], [2, True]]

    def test_a_package_that_gets_its_init(self, project: Project, python: Interpreter) -> None:
        project.write("import lib.thing, lib\nVALUE = getattr(lib, 'VALUE', 0)\n" + COUNTING)
        project.write("", "lib/thing.py")
        change = lambda: project.write("VALUE = 1", "lib/__init__.py")  # noqa: E731
        answers = call_around(project, change, python=python)
        assert answers == [[1, 0], [2, 0], [1, 1], [2, 1]]

    def test_a_module_beside_those_that_the_code_has_listed(self, project: Project) -> None:
        """As applications find their routes."""
        project.write(
            """
            import importlib, pkgutil, routes
            VALUE = [m.name for m in pkgutil.iter_modules(routes.__path__)]
        """.replace("\n            ", "\n")
            + COUNTING
        )
        project.write("", "routes/__init__.py")
        project.write("", "routes/a.py")
        answers = call_around(project, lambda: project.write("", "routes/b.py"))
        assert answers == [[1, ["a"]], [2, ["a"]], [1, ["a", "b"]], [2, ["a", "b"]]]

    def test_data_that_were_read_at_import(self, project: Project, python: Interpreter) -> None:
        project.write(
            "import json, os\n"
            "VALUE = json.load(open(os.path.join(os.path.dirname(__file__), 'a.json')))\n"
            + COUNTING
        )
        project.write("1", "a.json")
        answers = call_around(project, lambda: project.write("2", "a.json"), python=python)
        assert answers == [[1, 1], [2, 1], [1, 2], [2, 2]]

    def test_a_link_to_a_file_elsewhere(self, project: Project, tmp_path: Path) -> None:
        project.write("from common.thing import VALUE" + COUNTING)
        write(tmp_path / "shared" / "thing.py", "VALUE = 1")
        (project.folder / "common").symlink_to(tmp_path / "shared")
        change = lambda: write(tmp_path / "shared" / "thing.py", "VALUE = 2")  # noqa: E731
        assert call_around(project, change) == [[1, 1], [2, 1], [1, 2], [2, 2]]

    def test_a_compiled_module(self, project: Project) -> None:
        import _heapq

        source = Path(getattr(_heapq, "__file__", "") or "/nowhere")
        if not source.is_file():
            pytest.skip("this Python has no compiled modules as files")
        shutil.copy(source, project.folder / source.name)
        project.write(
            "import sys; sys.modules.pop('_heapq', None)\nimport _heapq\nVALUE = _heapq.__file__"
            + COUNTING
        )
        target = project.folder / source.name

        def change() -> None:
            target.unlink()
            shutil.copy(source, target)

        assert is_read_again(call_around(project, change))

    def test_a_link_that_leads_elsewhere(self, project: Project, tmp_path: Path) -> None:
        """To a file of the same size and time."""
        for version in ("one", "two"):
            write(tmp_path / version / "thing.py", f"VALUE = {version!r}")
            os.utime(tmp_path / version / "thing.py", (1e9, 1e9))
        current = project.folder / "current"
        current.symlink_to(tmp_path / "one")
        project.write("from current.thing import VALUE" + COUNTING)

        def change() -> None:
            current.unlink()
            current.symlink_to(tmp_path / "two")

        answers = call_around(project, change)
        assert answers == [[1, "one"], [2, "one"], [1, "two"], [2, "two"]]

    @pytest.mark.parametrize("stays", [True, False])
    def test_a_module_that_becomes_a_package(self, project: Project, stays: bool) -> None:
        project.write("from thing import VALUE" + COUNTING)
        module = project.write("VALUE = 1", "thing.py")

        def change() -> None:
            project.write("VALUE = 2", "thing/__init__.py")
            if not stays:
                module.unlink()

        assert call_around(project, change) == [[1, 1], [2, 1], [1, 2], [2, 2]]

    def test_one_beside_a_module_that_is_loaded_late(
        self, project: Project, python: Interpreter
    ) -> None:
        """It raises if it is imported, and nobody asked for that. Another answers as it likes."""
        project.write(
            """
            import importlib.util, sys
            class Odd:
                def __getattribute__(self, name):
                    raise RuntimeError(name)
            sys.modules["odd"] = Odd()
            spec = importlib.util.find_spec("optional")
            spec.loader = importlib.util.LazyLoader(spec.loader)
            sys.modules["optional"] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules["optional"])
            from thing import VALUE
        """.replace("\n            ", "\n")
            + COUNTING
        )
        project.write("raise SystemExit('imported')", "optional.py")
        project.write("VALUE = 1", "thing.py")
        change = lambda: project.write("VALUE = 2", "thing.py")  # noqa: E731
        answers = call_around(project, change, python=python)
        assert answers == [[1, 1], [2, 1], [1, 2], [2, 2]]

    def test_a_file_that_is_replaced_as_a_whole(self, project: Project) -> None:
        """As editors save."""
        project.write("from thing import VALUE" + COUNTING)
        module = project.write("VALUE = 1", "thing.py")
        change = lambda: project.write("VALUE = 2", "thing.py~").replace(module)  # noqa: E731
        assert call_around(project, change) == [[1, 1], [2, 1], [1, 2], [2, 2]]

    @pytest.mark.parametrize(
        "read",
        [
            "pkgutil.get_data('lib', 'a.json')",
            "open('lib/a.json').read()",
            "(pathlib.Path(__file__).parent / 'lib' / 'a.json').read_text()",
            "os.read(os.open('lib/a.json', os.O_RDONLY), 9)",
        ],
    )
    def test_data_however_they_were_read(self, project: Project, read: str) -> None:
        project.write(f"import os, pathlib, pkgutil\nVALUE = int({read})" + COUNTING)
        project.write("", "lib/__init__.py")
        project.write("1", "lib/a.json")
        answers = call_around(project, lambda: project.write("2", "lib/a.json"))
        assert answers == [[1, 1], [2, 1], [1, 2], [2, 2]]


class TestElsewhere:
    def test_a_zip_file_on_the_path(self, project: Project, tmp_path: Path) -> None:
        def pack(number: int) -> None:
            with zipfile.ZipFile(tmp_path / "lib.zip", "w") as packed:
                packed.writestr("thing.py", f"VALUE = {number}")

        pack(1)
        project.write(
            f"import sys; sys.path.append({str(tmp_path / 'lib.zip')!r})\nfrom thing import VALUE"
            + COUNTING
        )
        answers = call_around(project, lambda: pack(2))
        assert answers == [[1, 1], [2, 1], [1, 2], [2, 2]]

    def test_a_layer(self, project: Project, tmp_path: Path, python: Interpreter) -> None:
        layer = tmp_path / "layer"
        project.write("from common import VALUE" + COUNTING)
        write(layer / "python" / "common.py", "VALUE = 1")
        change = lambda: write(layer / "python" / "common.py", "VALUE = 2")  # noqa: E731
        answers = call_around(project, change, function={"layers": (layer,)}, python=python)
        assert answers == [[1, 1], [2, 1], [1, 2], [2, 2]]

    @pytest.mark.parametrize("kind", ["path", "finder"])
    def test_an_editable_install(self, project: Project, tmp_path: Path, kind: str) -> None:
        """As pip makes it: by a folder in a .pth file, or by a finder of setuptools' kind."""
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True
        )
        python = check_interpreter(tmp_path / "venv" / "bin" / "python", "test")
        (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
        source = tmp_path / "monorepo" / "libs" / "src"
        write(source / "shared" / "__init__.py", "VALUE = 1")
        init = source / "shared" / "__init__.py"
        if kind == "path":
            write(packages / "shared.pth", str(source))
        else:
            write(packages / "shared.pth", "import shared_finder; shared_finder.install()")
            write(
                packages / "shared_finder.py",
                f"""
                import sys
                from importlib.util import spec_from_file_location
                class Finder:
                    @classmethod
                    def find_spec(cls, name, path=None, target=None):
                        if name == "shared":
                            return spec_from_file_location(name, {str(init)!r})
                def install(): sys.meta_path.append(Finder)
                """,
            )
        project.write("from shared import VALUE" + COUNTING)
        change = lambda: write(source / "shared" / "__init__.py", "VALUE = 2")  # noqa: E731
        answers = call_around(project, change, python=python)
        assert answers == [[1, 1], [2, 1], [1, 2], [2, 2]]

    def test_a_folder_that_the_code_puts_on_the_path(
        self, project: Project, tmp_path: Path
    ) -> None:
        project.write(
            f"import sys; sys.path.insert(0, {str(tmp_path / 'lib')!r})\nfrom common import VALUE"
            + COUNTING
        )
        write(tmp_path / "lib" / "common.py", "VALUE = 1")
        change = lambda: write(tmp_path / "lib" / "common.py", "VALUE = 2")  # noqa: E731
        assert call_around(project, change) == [[1, 1], [2, 1], [1, 2], [2, 2]]

    def test_a_package_that_gets_installed(self, project: Project, tmp_path: Path) -> None:
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True
        )
        python = check_interpreter(tmp_path / "venv" / "bin" / "python", "test")
        (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
        project.write("try: from extra import VALUE\nexcept ImportError: VALUE = 0\n" + COUNTING)
        answers = call_around(
            project, lambda: write(packages / "extra" / "__init__.py", "VALUE = 1"), python=python
        )
        assert answers == [[1, 0], [2, 0], [1, 1], [2, 1]]

    def test_what_is_installed_is_not_watched(self, project: Project, tmp_path: Path) -> None:
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True
        )
        python = check_interpreter(tmp_path / "venv" / "bin" / "python", "test")
        (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
        write(packages / "extra" / "__init__.py", "VALUE = 1")
        project.write("from extra import VALUE" + COUNTING)
        change = lambda: write(packages / "extra" / "__init__.py", "VALUE = 2")  # noqa: E731
        assert stays(call_around(project, change, python=python))


class TestNothingElse:
    @pytest.mark.parametrize(
        "name",
        [
            *("events.jsonl", "app.log", "data.sqlite", "unused.py", "lib/unused.py", "notes.txt"),
            *("__pycache__/app.cpython-311.pyc", ".app.py.swp", "app.py~", "4913", "lib/data.json"),
        ],
    )
    def test_a_file_that_was_not_loaded(self, project: Project, name: str) -> None:
        project.write("import lib.thing\nVALUE = 1" + COUNTING)
        project.write("", "lib/__init__.py")
        project.write("", "lib/thing.py")
        assert stays(call_around(project, lambda: project.write("x" * 10, name)))

    @pytest.mark.parametrize(
        "statement",
        [
            "logging.FileHandler(HERE + 'app.log').emit(logging.makeLogRecord({'msg': 'x'}))",
            "open(HERE + 'events.jsonl', 'a').write('x')",
            "open(HERE + 'count', 'w').write(str(calls))",
            "DATABASE.execute('insert into t values (1)'); DATABASE.commit()",
            "open(HERE + 'state.json', 'a').write(' ')",
            "os.makedirs(HERE + 'cache/' + str(calls)); open(HERE + f'cache/{calls}/x.txt', 'w')",
        ],
    )
    def test_what_the_code_writes_itself(
        self, project: Project, python: Interpreter, statement: str
    ) -> None:
        project.write(
            "import logging, os, sqlite3\n"
            "HERE = os.path.dirname(__file__) + os.sep\n"
            "logging.getLogger().addHandler(logging.FileHandler(HERE + 'app.log'))\n"
            "DATABASE = sqlite3.connect(HERE + 'data.sqlite')\n"
            "DATABASE.execute('create table if not exists t (x)')\n"
            "VALUE = open(HERE + 'state.json').read(0)\n"
            + COUNTING.replace("    return", f"    {statement}\n    return")
        )
        project.write("{}", "state.json")
        assert stays(call_around(project, lambda: None, python=python))

    @pytest.mark.parametrize("place", ["HERE", "ELSEWHERE"])
    @pytest.mark.parametrize(
        "statement",
        [
            "import zipfile; zipfile.ZipFile({0} + 'a.zip', 'w').close(); "
            "zipfile.ZipFile({0} + 'a.zip').close()",
            "open({0} + 'made.py', 'w').write(f'x = {{calls}}'); open({0} + 'made.py').read()",
        ],
    )
    def test_files_like_those_of_code_that_the_handler_writes_and_reads(
        self,
        project: Project,
        tmp_path: Path,
        python: Interpreter,
        statement: str,
        place: str,
    ) -> None:
        project.write(
            f"import os\nHERE, ELSEWHERE = os.path.dirname(__file__) + os.sep, '{tmp_path}/'\n"
            "VALUE = 0\n"
            + COUNTING.replace("    return", f"    {statement.format(place)}\n    return")
        )
        assert stays(call_around(project, lambda: None, python=python))

    def test_what_the_handler_reads_each_time(self, project: Project) -> None:
        project.write(
            "import os\nVALUE = 0\n"
            + COUNTING.replace(
                "VALUE]", "open(os.path.join(os.path.dirname(__file__), 'a')).read()]"
            )
        )
        project.write("1", "a")
        answers = call_around(project, lambda: project.write("2", "a"))
        assert answers == [[1, "1"], [2, "1"], [3, "2"], [4, "2"]]


class TestAgain:
    def test_edits_upon_edits(self, project: Project) -> None:
        """What is read again is watched again."""
        project.write("from thing import VALUE\ndef handler(event, context): return VALUE")

        async def work(invoker: Invoker) -> list[Any]:
            answers = []
            for number in range(6):
                project.write(f"VALUE = {number}", "thing.py")
                answers += [value(await invoke(invoker, project.function())) for _ in range(2)]
            return answers

        assert project.run(work) == [number for number in range(6) for _ in range(2)]

    def test_several_children_of_a_function(self, project: Project) -> None:
        project.write(
            "import time\nfrom thing import VALUE\n"
            "def handler(event, context): time.sleep(0.2); return VALUE"
        )

        async def work(invoker: Invoker) -> list[Any]:
            answers = []
            for number in range(2):
                project.write(f"VALUE = {number}", "thing.py")
                calls = [invoke(invoker, project.function()) for _ in range(3)]
                answers += [value(outcome) for outcome in await asyncio.gather(*calls)]
            return answers

        assert project.run(work) == [0, 0, 0, 1, 1, 1]
