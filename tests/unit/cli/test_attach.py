"""The options of ``plldb attach``: what is wrong with them is said before anything is done."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from plldb.cli.attach_options import AttachOptions, parse_debug_mode
from plldb.cli.main import plldb
from plldb.debugger.children.local_function import NO_DEBUGGER, Debugpy, Pdb
from plldb.errors import PlldbError

TEMPLATE = """
Resources:
  Greeter: {Type: "AWS::Serverless::Function", Properties: {CodeUri: src, Handler: app.handler}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "template.yaml").write_text(TEMPLATE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLLDB_HOME", str(tmp_path / "home"))
    return tmp_path


def attach(*options: str) -> tuple[int, str]:
    """The exit code, and all that is said."""
    done = CliRunner().invoke(plldb, ["attach", "--stack-name", "app", *options])
    if isinstance(done.exception, PlldbError):
        error = done.exception
        return error.exit_code, f"{error.message} {error.hint}"
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--pdb", "--debugpy"], "one of --pdb and --debugpy"),
        (["--wait-for-client"], "go with --debugpy"),
        (["--write-launch-config"], "go with --debugpy"),
        (["--pdb", "--write-launch-config"], "go with --debugpy"),
        (["--debugpy", "nowhere"], "give HOST:PORT"),
        (["--debugpy", "127.0.0.1:"], "give HOST:PORT"),
        (["--debugpy", "127.0.0.1:0"], "give HOST:PORT"),
        (["--debugpy", "127.0.0.1:65536"], "give HOST:PORT"),
        (["--debugpy", "127.0.0.1:http"], "give HOST:PORT"),
        (["--when-absent", "success"], "'original', 'error'"),
        (["--max-concurrency", "0"], "--max-concurrency"),
        (["--max-concurrency", "many"], "--max-concurrency"),
        (["--code", "Greeter"], "FUNCTION=DIR"),
        (["--code", "Greeter=nowhere"], "there is no folder"),
        (["--code", "Greeter=src", "--code", "Greeter=src"], "twice"),
        (["--env", "AWS_REGION=eu-west-1"], "'AWS_REGION' can't be set: --region chooses it"),
        (["--env", "Greter:TABLE=t"], "no function 'Greter'. Did you mean 'Greeter'?"),
        (["--env-file", "no.env"], "there is no file"),
        (["--handler", "Greeter"], "FUNCTION=HANDLER"),
        (["--inspect", "shop"], "or give HOST:PORT"),
        (["--inspect", "0.0.0.0:8765"], "this machine alone"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("project")
def test_2_for_options_that_make_no_sense(options: list[str], said: str) -> None:
    code, text = attach(*options)
    assert code == 2
    assert said in text


@pytest.mark.parametrize(
    "name", [f"PLLDB_{name}_SECONDS" for name in ("HEARTBEAT", "REFRESH", "WATCH")]
)
@pytest.mark.usefixtures("project")
def test_2_for_an_interval_that_makes_no_sense(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "soon")
    code, text = attach()
    assert code == 2
    assert name in text


def test_2_without_a_stack() -> None:
    done = CliRunner().invoke(plldb, ["attach"])
    assert done.exit_code == 2
    assert "--stack-name" in done.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--template", "no-such.yaml"], "no-such.yaml"),
        (["--function", "Nobody"], "There is no code for Nobody here"),
        (["--python", "no-such-python"], "no-such-python"),
        # All is well with the options, and there is no target.
        (["--debugpy"], "plldb local up"),
        (["--debugpy", "0.0.0.0:5679", "--wait-for-client"], "plldb local up"),
        (["--function", "Gre*", "--code", "Other=src"], "plldb local up"),
        (["--inspect"], "plldb local up"),
        (["--inspect", "[::1]:8765"], "plldb local up"),
        ([], "plldb local up"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("project")
def test_1_for_what_is_not_there(options: list[str], said: str) -> None:
    code, text = attach(*options)
    assert code == 1
    assert said in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "plldb.toml [stacks.app]: python no-such-python: there is no such program"),
        (["--python", sys.executable], "plldb local up"),
        (["--config", ""], "plldb local up"),
    ],
)
def test_an_interpreter_of_the_settings_file(project: Path, options: list[str], said: str) -> None:
    (project / "plldb.toml").write_text("[stacks.app]\npython = 'no-such-python'")
    code, text = attach(*options)
    assert code == 1
    assert said in text


def test_nothing_is_written_before_the_session_is_open(project: Path) -> None:
    attach("--debugpy", "--write-launch-config")
    assert not (project / ".vscode").exists()


def test_a_page_is_either_wanted_or_not() -> None:
    done = CliRunner().invoke(plldb, ["dev", "--inspect", "--no-inspect"])
    assert done.exit_code == 2
    assert "--no-inspect" in done.output


class TestDebugMode:
    @pytest.mark.parametrize(
        ("pdb", "debugpy", "waits", "expected"),
        [
            (False, None, False, NO_DEBUGGER),
            (True, None, False, Pdb()),
            (False, "127.0.0.1:5678", False, Debugpy("127.0.0.1", 5678, False)),
            (False, "0.0.0.0:1", True, Debugpy("0.0.0.0", 1, True)),
            (False, "5679", False, Debugpy("127.0.0.1", 5679, False)),
            (False, "[::1]:5679", False, Debugpy("::1", 5679, False)),
            (False, ":5679", False, Debugpy("127.0.0.1", 5679, False)),
        ],
    )
    def test_it_is_what_the_options_say(
        self, pdb: bool, debugpy: str | None, waits: bool, expected: Any
    ) -> None:
        assert parse_debug_mode(pdb, debugpy, waits) == expected

    @given(text=st.text() | st.integers().map(lambda port: f"localhost:{port}"))
    def test_whatever_is_given_as_an_address(self, text: str) -> None:
        try:
            mode = parse_debug_mode(False, text, False)
        except click.UsageError:
            return
        assert isinstance(mode, Debugpy)
        assert 0 < mode.port < 65536
        assert mode.host


def make_options(*names: str, **given: object) -> AttachOptions:
    nothing: dict[str, object] = {field.name: () for field in fields(AttachOptions)}
    nothing |= {"template": None, "pdb": False, "debugpy": None, "stacks": names}
    nothing |= {"post_mortem": True, "inspect": None}
    nothing |= {"wait_for_client": False, "write_launch_config": False}
    return AttachOptions(**nothing | given)  # type: ignore[arg-type]


class TestSeveralStacks:
    def test_each_is_named_either_way_and_counts_once(self) -> None:
        options = make_options("orders", "billing", stack_names=("billing",))
        assert options.names == ("billing", "orders")
        assert [one.stack_name for one in options.split()] == ["billing", "orders"]

    def test_of_one_nothing_is_taken_away(self) -> None:
        options = make_options("orders", functions=("orders/Greeter",))
        assert options.split() == [options]

    def test_names_of_functions_may_begin_with_their_stacks(self) -> None:
        orders, billing = make_options(
            "orders",
            "billing",
            functions=("orders/Greeter", "Other*", "billing/Child/Fn"),
            codes=("orders/Greeter=src", "orders/src", "billing/Fn=lib"),
            env=("A=1", "billing/Fn:B=2"),
            handlers=("orders/Greeter=app.handler",),
        ).split()
        assert orders.functions == ("Greeter", "Other*")
        assert billing.functions == ("Other*", "Child/Fn")
        assert orders.codes == ("orders/src", "Greeter=src")
        assert billing.codes == ("orders/src", "Fn=lib")
        assert (orders.env, billing.env) == (("A=1",), ("A=1", "Fn:B=2"))
        assert (orders.handlers, billing.handlers) == (("Greeter=app.handler",), ())

    def test_one_of_which_nothing_is_chosen_is_an_error(self) -> None:
        with pytest.raises(click.UsageError, match="none of stack billing"):
            make_options("orders", "billing", functions=("orders/Greeter",)).split()

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (make_options("orders", "billing", template=Path("t.yaml")), "--template is one"),
            (make_options("orders", "billing", terraform=Path("s.json")), "--terraform is one"),
            (make_options("orders", template=Path("t"), terraform=Path("s")), "Choose one"),
        ],
    )
    def test_what_does_not_go_together(self, options: AttachOptions, said: str) -> None:
        with pytest.raises(click.UsageError, match=said):
            options.check()

    def test_without_a_name_there_is_nothing_to_do(self) -> None:
        with pytest.raises(click.UsageError, match="plldb attach STACK"):
            make_options().require_stack()

    def test_the_settings_file_may_name_them(self, project: Path) -> None:
        (project / "plldb.toml").write_text("[attach]\nstacks = ['app']")
        done = CliRunner().invoke(plldb, ["attach", "--python", "no-such-python"])
        assert isinstance(done.exception, PlldbError)
        assert "no-such-python" in done.exception.message

    def test_a_stack_is_named_by_position(self, project: Path) -> None:
        done = CliRunner().invoke(plldb, ["attach", "app", "--python", "no-such-python"])
        assert isinstance(done.exception, PlldbError)
        assert "no-such-python" in done.exception.message
