"""What is in /opt on Lambda, and in a build's folder, can be imported as there."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.invoker import Invoker
from plldb.debugger.children.layers import BuiltPackages, find_built_packages, list_layer_paths
from plldb.debugger.children.local_function import LocalFunction
from tests.unit.debugger.local_code import (
    HERE,
    Project,
    error,
    interpreters,
    invoke,
    processes_in,
    value,
)

VERSION = "python{}.{}".format(*HERE.version)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "code").mkdir()
    yield Project(tmp_path / "code")
    assert processes_in(tmp_path / "code") == []


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def run(project: Project, function: LocalFunction, **options: Any) -> Any:
    async def work(invoker: Invoker) -> Any:
        return await invoke(invoker, function)

    return project.run(work, **options)


class TestPath:
    @pytest.mark.parametrize(
        "python", interpreters(), ids=lambda interpreter: interpreter.version_text
    )
    def test_the_order_is_lambdas(
        self, project: Project, tmp_path: Path, python: Interpreter
    ) -> None:
        """The function, what is installed in a layer, a layer; of two layers, the later one."""
        version = "python{}.{}".format(*python.version)
        one, two = (tmp_path / name / "python" for name in ("one", "two"))
        places = {
            "code": project.folder,
            "two-installed": two / "lib" / version / "site-packages",
            "one-installed": one / "lib" / version / "site-packages",
            "two": two,
            "one": one,
        }
        for number, place in enumerate(places.values()):
            for name, hidden_by in zip(("e", "d", "c", "b", "a"), places, strict=True):
                if list(places).index(hidden_by) <= number:
                    write(place / f"m{name}.py", f"WHERE = {list(places)[number]!r}")
        project.write("""
            import ma, mb, mc, md, me
            def handler(event, context):
                return [m.WHERE for m in (me, md, mc, mb, ma)]
        """)
        function = project.function(layers=(tmp_path / "one", tmp_path / "two"), runtime=version)
        assert value(run(project, function, python=python)) == list(places)

    def test_it_comes_before_what_is_installed_and_after_the_function(
        self, project: Project, tmp_path: Path
    ) -> None:
        write(tmp_path / "layer" / "python" / "boto3" / "__init__.py", "mine = True")
        project.write("import boto3\ndef handler(event, context): return boto3.mine")
        assert value(run(project, project.function(layers=(tmp_path / "layer",)))) is True

    def test_what_was_installed_for_the_functions_runtime(
        self, project: Project, tmp_path: Path
    ) -> None:
        """Even where another Python runs it here."""
        layer = tmp_path / "layer"
        write(layer / "python" / "lib" / "python3.99" / "site-packages" / "common.py", "V = 99")
        write(layer / "python" / "lib" / VERSION / "site-packages" / "common.py", "V = 1")
        project.write("import common\ndef handler(event, context): return common.V")
        for runtime, expected in (("python3.99", 99), (VERSION, 1), ("", 1), ("python3.98", 1)):
            function = project.function(layers=(layer,), runtime=runtime)
            assert value(run(project, function)) == expected

    def test_a_layer_that_a_build_would_put_under_python(
        self, project: Project, tmp_path: Path
    ) -> None:
        write(tmp_path / "layer" / "common.py", "V = 1")
        project.write("import common\ndef handler(event, context): return common.V")
        assert value(run(project, project.function(layers=(tmp_path / "layer",)))) == 1

    def test_a_pth_file_is_minded(self, project: Project, tmp_path: Path) -> None:
        write(tmp_path / "layer" / "python" / "more.pth", "more\n")
        write(tmp_path / "layer" / "python" / "more" / "extra.py", "V = 1")
        project.write("import extra\ndef handler(event, context): return extra.V")
        assert value(run(project, project.function(layers=(tmp_path / "layer",)))) == 1

    def test_a_function_that_sets_pythonpath_has_what_it_names(
        self, project: Project, tmp_path: Path
    ) -> None:
        """So does Lambda's bootstrap: it adds /opt only if nobody has said otherwise."""
        layer = tmp_path / "layer"
        write(layer / "python" / "common.py")
        write(layer / "other" / "extra.py", "V = 1")
        project.write("""
            import extra
            def handler(event, context):
                import common
        """)
        function = project.function(layers=(layer,), variables={"PYTHONPATH": "/opt/other"})
        assert "No module named 'common'" in error(run(project, function))["errorMessage"]

    def test_none(self) -> None:
        function = LocalFunction("F", Path("/code"), "app.handler", "f")
        assert list_layer_paths(function, HERE) == []


class TestBuild:
    def built(self, folder: Path) -> Path:
        """As ``sam build`` leaves it: packages, what pip says of them, and the function's code."""
        write(folder / "fancy" / "__init__.py", "V = 'built'")
        write(folder / "single.py", "V = 'built'")
        write(folder / "json.py", "V = 'never'")
        write(folder / "helper.py", "V = 'old'")
        write(folder / "app.py", "old")
        write(folder.parent / "template.yaml")
        write(
            folder / "fancy-1.0.dist-info" / "RECORD",
            "fancy/__init__.py,sha256=x,1\nsingle.py,,\n../../bin/fancy,,\n"
            "fancy-1.0.dist-info/RECORD,,\n__pycache__/single.cpython-311.pyc,,\ngone/__init__.py,,\n",
        )
        return folder

    def test_its_packages_are_there_if_the_project_has_none(
        self, project: Project, tmp_path: Path
    ) -> None:
        build_dir = self.built(tmp_path / "build")
        project.write("""
            import fancy, single
            def handler(event, context):
                return [fancy.V, single.V]
        """)
        assert value(run(project, project.function(build_dir=build_dir))) == ["built", "built"]
        write(project.folder / "fancy.py", "V = 'mine'")
        assert value(run(project, project.function(build_dir=build_dir))) == ["mine", "built"]

    @pytest.mark.parametrize(
        "python", interpreters(), ids=lambda interpreter: interpreter.version_text
    )
    def test_their_versions_are_known(
        self, project: Project, tmp_path: Path, python: Interpreter
    ) -> None:
        """As packages ask for their own when they are imported; not those of plldb's packages."""
        build_dir = self.built(tmp_path / "build")
        ours = tmp_path / "ours"
        for folder, name, version in (
            (build_dir, "fancy", "1.0"),
            (ours, "boto", "1.0"),
            (tmp_path / "layer" / "python", "single", "2.0"),
            (build_dir, "single", "1.0"),
        ):
            metadata = f"Name: {name}\nVersion: {version}\n"
            write(folder / f"{name}-{version}.dist-info" / "METADATA", metadata)
        write(ours / "boto.py")
        project.write("""
            import boto
            from importlib.metadata import PackageNotFoundError, distributions, version
            def find(name):
                try:
                    return version(name)
                except PackageNotFoundError:
                    return None
            def handler(event, context):
                listed = [one.metadata["Name"] for one in distributions()]
                names = ["fancy", "single", "boto", "nothing"]
                return [[find(name), listed.count(name)] for name in names]
        """)
        function = project.function(build_dir=build_dir, layers=(tmp_path / "layer",))
        outcome = run(project, function, python=python, fallback_packages={"boto": str(ours)})
        assert value(outcome) == [["1.0", 1], ["2.0", 1], [None, 0], [None, 0]]

    def test_the_functions_own_modules_are_not_taken_from_there(
        self, project: Project, tmp_path: Path
    ) -> None:
        """They are as old as the build: one that was deleted since is gone."""
        project.write("import helper\ndef handler(event, context): return helper.V")
        outcome = run(project, project.function(build_dir=self.built(tmp_path / "build")))
        assert "No module named 'helper'" in error(outcome)["errorMessage"]

    def test_but_what_another_tool_has_put_beside_them(
        self, project: Project, tmp_path: Path
    ) -> None:
        """A library of the project, or packages without what pip says of them."""
        build_dir = self.built(tmp_path / "build")
        (tmp_path / "template.yaml").unlink()
        write(build_dir / "common" / "x.py", "V = 'shared'")
        write(tmp_path / "layer" / "python" / "helper.py", "V = 'layer'")
        project.write("""
            import fancy, helper
            from common import x
            def handler(event, context):
                return [fancy.V, helper.V, x.V]
        """)
        function = project.function(build_dir=build_dir)
        assert value(run(project, function)) == ["built", "old", "shared"]
        assert value(run(project, function, python=replace(HERE, is_ours=True)))[1] == "old"
        layered = replace(function, layers=(tmp_path / "layer",))
        for python in (HERE, replace(HERE, is_ours=True)):
            assert value(run(project, layered, python=python)) == ["built", "layer", "shared"]
        write(project.folder / "common" / "x.py", "V = 'mine'")
        assert value(run(project, layered)) == ["built", "layer", "mine"]

    def test_the_handlers_module_is_never_taken_from_there(
        self, project: Project, tmp_path: Path
    ) -> None:
        """Edits of it would have no effect."""
        build_dir = self.built(tmp_path / "build")
        (tmp_path / "template.yaml").unlink()
        write(build_dir / "app.py", "def handler(event, context): return 'old'")
        outcome = run(project, project.function(build_dir=build_dir))
        assert "No module named 'app'" in error(outcome)["errorMessage"]

    def test_what_is_installed(self, tmp_path: Path) -> None:
        build_dir = self.built(tmp_path / "build")
        (build_dir / "broken-1.0.dist-info").mkdir()
        (build_dir / "broken-1.0.dist-info" / "RECORD").write_bytes(b"\xff\xff")
        function = LocalFunction("F", tmp_path, "app.handler", "f", build_dir=build_dir)
        assert find_built_packages(function) == BuiltPackages(
            {"fancy": str(build_dir), "single": str(build_dir)}
        )

    @pytest.mark.parametrize("build_dir", [None, Path("/nowhere")])
    def test_no_build(self, build_dir: Path | None) -> None:
        function = LocalFunction("F", Path("/code"), "app.handler", "f", build_dir=build_dir)
        assert find_built_packages(function) == BuiltPackages()


class TestBuildBesideWhatIsInstalled:
    """Both have click. The interpreter's is the project's word, unless plldb's own has to serve."""

    OURS = replace(HERE, is_ours=True)

    def built(self, folder: Path, compiled: str = "") -> Path:
        write(folder / "click" / "__init__.py", "V = 'built'")
        write(folder / "click-1.0.dist-info" / "METADATA", "Name: click\nVersion: 1.0\n")
        record = f"click/__init__.py,,\nclick-1.0.dist-info/METADATA,,\n{compiled},,\n"
        write(folder / "click-1.0.dist-info" / "RECORD", record)
        return folder

    def found(self, project: Project, build_dir: Path, python: Interpreter, **more: Any) -> Any:
        project.write("""
            import importlib.metadata, click
            def handler(event, context):
                return [getattr(click, "V", "installed"), importlib.metadata.version("click")]
        """)
        return value(run(project, project.function(build_dir=build_dir, **more), python=python))

    @pytest.mark.parametrize("compiled", ["", "click/_fast{}", "click/_fast.abi3.so"])
    def test_the_functions_come_before_plldbs(
        self, project: Project, tmp_path: Path, compiled: str
    ) -> None:
        name = compiled.format(sysconfig.get_config_var("EXT_SUFFIX"))
        build_dir = self.built(tmp_path / "build", name)
        write(tmp_path / "layer" / "python" / "click.py", "V = 'layer'")
        found = self.found(project, build_dir, self.OURS, layers=(tmp_path / "layer",))
        assert found == ["built", "1.0"]

    def test_but_not_before_the_code(self, project: Project, tmp_path: Path) -> None:
        write(project.folder / "click.py", "V = 'mine'")
        write(project.folder / "click-2.0.dist-info" / "METADATA", "Name: click\nVersion: 2.0\n")
        found = self.found(project, self.built(tmp_path / "build"), self.OURS)
        assert found == ["mine", "2.0"]

    def test_not_if_they_were_compiled_for_another_python(
        self, project: Project, tmp_path: Path
    ) -> None:
        """Some of one and some of the other would fit neither."""
        build_dir = self.built(tmp_path / "build", "_fast.cpython-27-x86_64-linux-gnu.so")
        kind, version = self.found(project, build_dir, self.OURS)
        assert (kind, version != "1.0") == ("installed", True)

    def test_the_projects_interpreter_says_what_there_is(
        self, project: Project, tmp_path: Path
    ) -> None:
        kind, version = self.found(project, self.built(tmp_path / "build"), HERE)
        assert (kind, version != "1.0") == ("installed", True)


def test_an_error_of_an_import_names_interpreter_folder_and_remedy(
    project: Project, tmp_path: Path
) -> None:
    """To the developer; the caller gets Lambda's words."""
    project.write("import nothing_of_that_name\ndef handler(event, context): pass")
    answer = error(project.invoke())
    assert answer["errorMessage"] == (
        "Unable to import module 'app': No module named 'nothing_of_that_name'"
    )
    output = "\n".join(str(line) for line in project.lines)
    for part in (str(HERE.path), HERE.version_text, str(project.folder), "pip install", "--python"):
        assert part in output
        assert part not in json.dumps({**answer, "stackTrace": []})


def test_so_does_one_inside_a_handler(project: Project) -> None:
    project.write("def handler(event, context): import nothing_of_that_name")
    assert error(project.invoke())["errorType"] == "ModuleNotFoundError"
    assert "--python PATH" in "\n".join(str(line) for line in project.lines)


@pytest.mark.parametrize(
    ("missing", "place"),
    [
        ("own.part", "own is {folder}/own/__init__.py, and has no part."),
        ("spaces.inner.part", "spaces is {folder}/spaces, and has no inner.part."),
        ("helper.part", "helper is {folder}/helper.py, and has no part."),
    ],
)
def test_a_part_that_a_package_lacks_is_not_to_be_installed(
    project: Project, missing: str, place: str
) -> None:
    """The package is there: often it is the developer's own, and the name is misspelt."""
    for name in ("own/__init__.py", "helper.py", "spaces/inner/one.py"):
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        project.write("", name)
    project.write(f"import {missing}\ndef handler(event, context): pass")
    project.invoke()
    output = "\n".join(str(line) for line in project.lines)
    assert place.format(folder=project.folder) in output
    assert "pip install" not in output


def test_a_name_that_a_module_of_the_project_lacks(project: Project) -> None:
    project.write("", "helper.py")
    project.write("from helper import nothing\ndef handler(event, context): pass")
    project.invoke()
    output = "\n".join(str(line) for line in project.lines)
    assert "If that is a package that is installed, it may be too old" in output
