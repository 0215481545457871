"""Which Python runs the code, and that it is one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from plldb.debugger.children.interpreter import check_interpreter, find_interpreter
from plldb.errors import SourceError


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def link(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(sys.executable)
    return path


class TestChoice:
    def test_plldbs_own_if_there_is_no_other(self, tmp_path: Path) -> None:
        interpreter = find_interpreter(None, [tmp_path], {})
        assert interpreter.path == Path(sys.executable)
        assert interpreter.version == sys.version_info[:3]
        assert interpreter.is_ours

    @pytest.mark.parametrize("name", [".venv", "venv"])
    def test_the_projects_own(self, tmp_path: Path, name: str) -> None:
        path = link(tmp_path / "code" / name / "bin" / "python")
        interpreter = find_interpreter(None, [tmp_path, tmp_path / "code"], {})
        assert (interpreter.path, interpreter.is_ours) == (path, False)

    def test_the_first_folders_comes_first(self, tmp_path: Path) -> None:
        first = link(tmp_path / "a" / ".venv" / "bin" / "python")
        link(tmp_path / "b" / ".venv" / "bin" / "python")
        assert find_interpreter(None, [tmp_path / "a", tmp_path / "b"], {}).path == first

    def test_the_active_environment(self, tmp_path: Path) -> None:
        active = link(tmp_path / "active" / "bin" / "python3")
        link(tmp_path / ".venv" / "bin" / "python")
        environ = {"VIRTUAL_ENV": str(tmp_path / "active")}
        assert find_interpreter(None, [tmp_path], environ).path == active

    def test_but_not_if_it_is_plldbs_own(self, tmp_path: Path) -> None:
        """As where plldb was installed in an environment that is active by chance."""
        path = link(tmp_path / ".venv" / "bin" / "python")
        environ = {"VIRTUAL_ENV": sys.prefix}
        assert find_interpreter(None, [tmp_path], environ).path == path
        own = find_interpreter(None, [tmp_path / "nowhere"], environ)
        assert own.path.parent.parent.samefile(sys.prefix)
        assert own.is_ours

    @pytest.mark.parametrize("name", [".conda", "env"])
    def test_condas_in_the_project(self, tmp_path: Path, name: str) -> None:
        path = link(tmp_path / name / "bin" / "python")
        assert find_interpreter(None, [tmp_path], {}).path == path

    def test_condas_active_one(self, tmp_path: Path) -> None:
        active = link(tmp_path / "conda" / "bin" / "python")
        link(tmp_path / ".venv" / "bin" / "python")
        environ = {"CONDA_PREFIX": str(tmp_path / "conda"), "CONDA_DEFAULT_ENV": "shop"}
        assert find_interpreter(None, [tmp_path], environ).path == active

    def test_condas_base_is_active_everywhere_and_says_little(self, tmp_path: Path) -> None:
        base = link(tmp_path / "conda" / "bin" / "python")
        environ = {"CONDA_PREFIX": str(tmp_path / "conda"), "CONDA_DEFAULT_ENV": "base"}
        assert find_interpreter(None, [tmp_path], environ).path == base
        path = link(tmp_path / ".venv" / "bin" / "python")
        assert find_interpreter(None, [tmp_path], environ).path == path

    @pytest.mark.parametrize("git", ["folder", "file"])
    def test_above_it_up_to_the_repositorys_root(self, tmp_path: Path, git: str) -> None:
        """A worktree's .git is a file."""
        link(tmp_path / ".venv" / "bin" / "python")
        code = tmp_path / "repository" / "services" / "shop"
        code.mkdir(parents=True)
        root = tmp_path / "repository"
        if git == "folder":
            (root / ".git").mkdir()
        else:
            (root / ".git").write_text("gitdir: elsewhere")
        assert find_interpreter(None, [code], {}).path == Path(sys.executable)
        path = link(root / ".venv" / "bin" / "python")
        assert find_interpreter(None, [code], {}).path == path
        nearer = link(root / "services" / "venv" / "bin" / "python")
        assert find_interpreter(None, [code], {}).path == nearer

    def test_what_is_above_one_folder_comes_after_the_other_folders(self, tmp_path: Path) -> None:
        (tmp_path / ".git").mkdir()
        link(tmp_path / ".venv" / "bin" / "python")
        path = link(tmp_path / "b" / ".venv" / "bin" / "python")
        assert find_interpreter(None, [tmp_path / "a", tmp_path / "b"], {}).path == path

    def test_nothing_above_what_is_in_no_repository(self, tmp_path: Path) -> None:
        link(tmp_path / ".venv" / "bin" / "python")
        assert find_interpreter(None, [tmp_path / "code"], {}).path == Path(sys.executable)

    @pytest.mark.parametrize("name", ["{}/elsewhere", "../elsewhere"])
    def test_a_file_that_says_where_it_is(self, tmp_path: Path, name: str) -> None:
        """As Pipenv takes it."""
        link(tmp_path / "elsewhere" / "bin" / "python")
        (tmp_path / "code").mkdir()
        (tmp_path / "code" / ".venv").write_text(name.format(tmp_path) + "\n")
        found = find_interpreter(None, [tmp_path / "code"], {}).path
        assert found.samefile(tmp_path / "elsewhere" / "bin" / "python")

    @pytest.mark.parametrize(
        "content",
        [
            *(b"", b"\n", b"/no/such/folder", b"\xff\0", b"shop-name"),
            *(b"A=1\nB=2\n", b"x" * 5000, b"~nobody-of-that-name/env", b"a\0b"),
        ],
        ids=lambda content: repr(content[:20]),
    )
    @pytest.mark.parametrize("name", [".venv", "venv", ".conda", "env"])
    def test_a_file_that_says_nothing(self, tmp_path: Path, name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        assert find_interpreter(None, [tmp_path], {}).path == Path(sys.executable)

    def test_one_that_was_deleted_does_not_count(self, tmp_path: Path) -> None:
        path = link(tmp_path / ".venv" / "bin" / "python")
        environ = {"VIRTUAL_ENV": str(tmp_path / "gone")}
        assert find_interpreter(None, [tmp_path], environ).path == path

    def test_the_flag_wins(self, tmp_path: Path) -> None:
        path = link(tmp_path / "mine")
        environ = {"VIRTUAL_ENV": str(tmp_path / "active")}
        assert find_interpreter(str(path), [tmp_path], environ).path == path

    def test_the_flag_may_name_an_environment(self, tmp_path: Path) -> None:
        path = link(tmp_path / "env" / "bin" / "python")
        assert find_interpreter(str(tmp_path / "env"), [], {}).path == path

    def test_or_a_command(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = link(tmp_path / "my-python")
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find_interpreter("my-python", [], {}).path == path


class TestTrouble:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("#!/bin/sh\nexit 0\n", "gave no version"),
            ("#!/bin/sh\necho hello\n", "not a Python"),
            ("#!/bin/sh\necho '[1, 2]'\n", "not a Python"),
            ("#!/bin/sh\necho '{}'\n", "not a Python"),
            ("#!/bin/sh\necho 'bad thing' >&2; exit 1\n", "bad thing"),
            (
                "#!/bin/sh\nprintf 'pyenv: python3.8: command not found\\n\\nThe command exists in"
                " these Python versions:\\n  3.8.18\\n' >&2; exit 127\n",
                r"command not found\.$",
            ),
            (
                "#!/bin/sh\nprintf 'Traceback (most recent call last):\\n  File x\\nError: bad.\\n'"
                " >&2; exit 1\n",
                r"Error: bad\.$",
            ),
            ("#!/no/such/thing\n", "No such file"),
            ("\0", "not a Python"),
        ],
    )
    def test_no_python(self, tmp_path: Path, text: str, reason: str) -> None:
        path = program(tmp_path / "fake", text)
        with pytest.raises(SourceError, match=reason) as raised:
            find_interpreter(str(path), [], {})
        assert str(path) in raised.value.message
        assert "--python" in str(raised.value.hint)

    @pytest.mark.parametrize("version", ["[2, 7, 18]", "[3, 7, 16]"])
    def test_too_old(self, tmp_path: Path, version: str) -> None:
        path = program(tmp_path / "old", f"#!/bin/sh\necho '{version}'\n")
        with pytest.raises(SourceError, match="too old") as raised:
            find_interpreter(str(path), [], {})
        assert "3.8" in str(raised.value.hint)

    def test_one_that_does_not_answer(self, tmp_path: Path) -> None:
        path = program(tmp_path / "slow", "#!/bin/sh\nexec sleep 30\n")
        with pytest.raises(SourceError, match=r"did not answer within 0\.1 s"):
            check_interpreter(path, "--python", patience=0.1)

    @pytest.mark.parametrize("name", ["/no/such/python", "no-such-python", "", "."])
    def test_no_such_program(self, name: str) -> None:
        with pytest.raises(SourceError, match="no such program"):
            find_interpreter(name, [], {})

    def test_whoever_named_it_is_named(self) -> None:
        with pytest.raises(SourceError, match=r"plldb.toml \[stacks.shop\]: python nothing: there"):
            find_interpreter("nothing", [], {}, "plldb.toml [stacks.shop]: python")

    def test_the_projects_own_is_broken(self, tmp_path: Path) -> None:
        program(tmp_path / ".venv" / "bin" / "python", "#!/bin/sh\nexit 9\n")
        with pytest.raises(SourceError, match="the project's environment"):
            find_interpreter(None, [tmp_path], {})

    @pytest.mark.parametrize("named", [None, ".venv"])
    def test_the_python_of_the_environment_was_removed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None
    ) -> None:
        """As when the system's Python is another version now. Nothing else is used silently."""
        path = tmp_path / ".venv" / "bin" / "python"
        path.parent.mkdir(parents=True)
        path.symlink_to("/opt/python3.9/bin/python3.9")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SourceError, match=r"a link to /opt/.*/python3\.9, which is not there"):
            find_interpreter(named, [tmp_path], {})
        usable = link(path.with_name("python3"))
        assert find_interpreter(named, [tmp_path], {}).path == usable

    @pytest.mark.parametrize("named", [None, ".venv"])
    def test_so_was_the_environment_that_is_linked_to(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None
    ) -> None:
        (tmp_path / ".venv").symlink_to("/opt/environments/shop")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SourceError, match="a link to /opt/environments/shop, which is not"):
            find_interpreter(named, [tmp_path], {})

    def test_a_wrapper_that_says_something_first(self, tmp_path: Path) -> None:
        path = program(tmp_path / "python", "#!/bin/sh\necho profile loaded\necho '[3, 9, 1]'\n")
        assert find_interpreter(str(path), [], {}).version == (3, 9, 1)
