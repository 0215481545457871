"""What ``make dist`` builds: each wheel, with nothing else in an environment, does its main job."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path

import pytest
import requests

from plldb import __version__
from tools import distributions

from .project import detach
from .support import DEADLINE_SECONDS, PATIENT, SETUP_SECONDS, Attached, Plldb, clean_environment

# They run no code of the emulator that the suite has: once is enough.
pytestmark = pytest.mark.needs("process")

ROOT = Path(__file__).parents[2]
needs_git = pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="no checkout of git's, which knows the files"
)
_UV = [sys.executable, "-m", "uv"]
# The layer's way to the helper stack: no handler of the function's own.
_FIND_HANDLER = "import plldb_shim; print(plldb_shim.handler.__module__, end='')"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdists and wheels."""
    folder = tmp_path_factory.mktemp("dist")
    distributions.build(folder)
    return folder


def wheel(built: Path, name: str) -> Path:
    (found,) = built.glob(f"{name}-[0-9]*.whl")
    return found


def run(*command: str | Path, **variables: str) -> str:
    """What it writes to stdout."""
    done = subprocess.run(
        command,
        env=_environment() | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _environment() -> dict[str, str]:
    """Without what would lead to this checkout or to its environment."""
    ours = ("PYTHON", "VIRTUAL_ENV", "UV_PROJECT", "UV_PYTHON", "COV", "PYTEST")
    known = clean_environment().items()
    return {name: value for name, value in known if not name.startswith(ours)}


class Environment:
    """An environment with a wheel and what it needs, and not even pip."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        run(*_UV, "venv", "--quiet", "--python", sys.executable, folder)

    def install(self, *arguments: str | Path) -> None:
        run(*_UV, "pip", "install", "--quiet", "--python", self.bin / "python", *arguments)


@pytest.fixture(scope="module")
def oldest(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """plldb with the oldest of what it asks for: docs/decisions/0013-bounds-of-dependencies.md."""
    folder = tmp_path_factory.mktemp("oldest")
    versions = folder / "versions.txt"
    choose = [*_UV, "pip", "compile", "--quiet", "--python", sys.executable]
    choose += ["--resolution", "lowest-direct", "--extra", "local"]
    run(*choose, "--output-file", versions, ROOT / "pyproject.toml")
    made = Environment(folder / "environment")
    made.install(f"{wheel(built, 'plldb')}[local]", "--constraint", versions)
    return made


class InstalledPlldb(Plldb):
    """The command of an environment, by its folder ``bin``."""

    bin: Path

    @property
    def command(self) -> list[str]:
        return [str(self.bin / "plldb")]


class TestPlldb:
    def test_it_shows_the_whole_story(self, oldest: Environment, tmp_path: Path) -> None:
        plldb = oldest.bin / "plldb"
        assert run(plldb, "--version").split()[-1] == __version__
        home = {"PLLDB_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
        assert "from your editor!" in run(plldb, "demo", **home)

    def test_it_debugs_a_project_where_the_repository_is_not(
        self, built: Path, tmp_path: Path
    ) -> None:
        project = tmp_path / "duel_arena"
        shutil.copytree(
            ROOT / "examples" / project.name,
            project,
            ignore=shutil.ignore_patterns("__pycache__", "tests"),
        )
        made = Environment(tmp_path / "environment")
        packages = project / "src" / "requirements.txt"
        made.install(f"{wheel(built, 'plldb')}[local]", "--requirement", packages)
        plldb = InstalledPlldb(_environment() | {"PLLDB_HOME": str(tmp_path / "home")}, project)
        plldb.bin = made.bin
        with Attached(plldb.start("dev", "--output", "json", *PATIENT), plldb.said) as dev:
            url = dev.wait_for("deployed", SETUP_SECONDS)["outputs"]["Url"].rstrip("/")
            dev.wait_for("ready")
            code = project / "src" / "arena" / "app.py"
            code.write_text(code.read_text().replace('{"status": "ok"}', '{"status": "edited"}'))
            answer = requests.get(f"{url}/health", timeout=DEADLINE_SECONDS)
            assert answer.json() == {"status": "edited"}
            detach(dev)
        assert plldb("local", "status", "--output", "json").succeeded().json["running"] is False

    @needs_git
    def test_it_has_the_files_of_the_package_and_no_others(self, built: Path) -> None:
        with zipfile.ZipFile(wheel(built, "plldb")) as archive:
            names = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert names == {name for name in _list_repository() if name.startswith("plldb/")}

    @needs_git
    def test_its_sdist_is_the_repository(self, built: Path) -> None:
        with tarfile.open(built / f"plldb-{__version__}.tar.gz") as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        assert names - {"PKG-INFO"} == {*_list_repository()}


class TestShim:
    def test_it_is_a_handler(self, built: Path, tmp_path: Path) -> None:
        made = Environment(tmp_path / "environment")
        made.install("--no-deps", wheel(built, "plldb_shim"))
        assert run(made.bin / "python", "-c", _FIND_HANDLER) == "plldb_shim.bootstrap"

    def test_its_sdist_makes_the_same_wheel_elsewhere(self, built: Path, tmp_path: Path) -> None:
        (sdist,) = built.glob("plldb_shim-*.tar.gz")
        with tarfile.open(sdist) as archive:
            archive.extractall(tmp_path, filter="data")
        (folder,) = tmp_path.iterdir()
        build = [*_UV, "build", "--quiet", "--wheel", "--python", sys.executable]
        run(*build, "--out-dir", tmp_path / "out", folder)
        assert _contents(wheel(tmp_path / "out", "plldb_shim")) == _contents(
            wheel(built, "plldb_shim")
        )


class TestExtension:
    """Without LocalStack, which is half a gigabyte: what its plugins are is found in the files."""

    @pytest.fixture
    def unpacked(self, built: Path, tmp_path: Path) -> Path:
        (found,) = {*built.glob("*.whl")} - {wheel(built, "plldb"), wheel(built, "plldb_shim")}
        with zipfile.ZipFile(found) as archive:
            archive.extractall(tmp_path)
        return tmp_path

    def entry_points(self, unpacked: Path) -> Iterator[EntryPoint]:
        (metadata,) = unpacked.glob("*.dist-info")
        yield from PathDistribution(metadata).entry_points

    def test_it_has_all_plugins_that_it_names(self, unpacked: Path) -> None:
        groups = set()
        for point in self.entry_points(unpacked):
            tree = ast.parse((unpacked / f"{point.module.replace('.', '/')}.py").read_text())
            assert point.attr in _names_in(tree), point
            groups.add(point.group)
        assert "localstack.aws.provider" in groups
        assert "localstack.hooks.on_infra_start" in groups

    def test_it_needs_the_localstack_that_the_image_has(self, unpacked: Path) -> None:
        (metadata,) = unpacked.glob("*.dist-info")
        needed = PathDistribution(metadata).requires or []
        in_image = (ROOT / "plldb" / "emulators" / "localstack" / "requirements.in").read_text()
        (localstack,) = [line for line in needed if line.startswith("localstack-core")]
        assert localstack in in_image.splitlines()


def test_the_same_commit_makes_the_same_bytes(built: Path, tmp_path: Path) -> None:
    again = distributions.build(tmp_path)
    assert len(again) == 6
    assert {path.name: path.read_bytes() for path in again} == {
        path.name: path.read_bytes() for path in built.iterdir() if path.suffix in {".gz", ".whl"}
    }


@needs_git
def test_a_checkout_of_another_user_can_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, whose root did not make it. By this variable, git's own tests say so."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert distributions.run_git("log", "-1", "--format=%ct").strip().isdigit()


def _list_repository() -> list[str]:
    """The files that are under version control, or will be."""
    chosen = ("--cached", "--others", "--exclude-standard", "--deduplicate")
    listed = distributions.run_git("ls-files", *chosen)
    return [name for name in listed.splitlines() if (ROOT / name).exists()]


def _contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _names_in(tree: ast.Module) -> set[str]:
    """What a module defines or imports at its top."""
    names = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.ImportFrom(names=imported) | ast.Import(names=imported):
                names |= {alias.asname or alias.name for alias in imported}
    return names
