"""``[attach]`` and ``[dev]`` of plldb.toml: every option, as the command line would have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from plldb.cli.attach import attach
from plldb.cli.command_settings import list_parameters, name_key, read_settings
from plldb.cli.dev import dev
from plldb.cli.main import plldb
from plldb.errors import UsageError
from plldb.settings_file import read as read_file

# A value for each kind of option.
_EVERYTHING = """
template = "template.yaml"
function = ["Greeter", "Child/*"]
code = { Greeter = "src" }
python = "python3"
handler = { Greeter = "app.other" }
env = { TABLE = "local", "Greeter:DEBUG" = true }
env-file = [".env"]
pdb = false
debugpy = true
wait-for-client = true
write-launch-config = false
when-absent = "error"
take-over = true
as-function = true
aliases = true
max-concurrency = 3
record = "recordings"
"""


def settle(command: click.Command, table: str, folder: Path) -> dict[str, Any]:
    file = folder / "plldb.toml"
    file.write_text(f"[{command.name}]\n{table}")
    return read_settings(read_file(file, "--config"), command, click.Context(command))


@pytest.mark.parametrize("command", [attach, dev], ids=lambda one: str(one.name))
def test_every_option_can_stand_there(command: click.Command, tmp_path: Path) -> None:
    values = settle(command, _EVERYTHING, tmp_path)
    assert values == {
        "template": tmp_path / "template.yaml",
        "functions": ("Greeter", "Child/*"),
        "codes": (f"Greeter={tmp_path / 'src'}",),
        "python": "python3",
        "handlers": ("Greeter=app.other",),
        "env": ("TABLE=local", "Greeter:DEBUG=true"),
        "env_files": (tmp_path / ".env",),
        "pdb": False,
        "debugpy": "127.0.0.1:5678",
        "wait_for_client": True,
        "write_launch_config": False,
        "when_absent": "error",
        "take_over": True,
        "as_function": True,
        "aliases": True,
        "max_concurrency": 3,
        "record": tmp_path / "recordings",
    }


def test_those_of_dev_alone(tmp_path: Path) -> None:
    table = 'stack-name = "shop"\nparameter = { Stage = "dev", Size = 3 }\nseed = "python seed.py"'
    assert settle(dev, f'{table}\nkeep = true\nemulator = "localstack"\nyes = true', tmp_path) == {
        "stack_name": "shop",
        "parameters": ("Stage=dev", "Size=3"),
        "seed": "python seed.py",
        "keep": True,
        "emulator": "localstack",
        "yes": True,
    }


def test_stacks_are_named_once(tmp_path: Path) -> None:
    assert settle(attach, 'stacks = ["orders"]', tmp_path) == {"stacks": ("orders",)}
    assert "stack-name" not in {name_key(one) for one in list_parameters(attach)}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("stacks = 'orders'", "an array"),
        ("stacks = [1]", "an array"),
        ("stacks = ['']", "is empty"),
        ("stack = ['orders']", "Did you mean 'stacks'"),
    ],
)
def test_and_nothing_else_names_them(table: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        settle(attach, table, tmp_path)
    assert said in f"{caught.value.message} {caught.value.hint}"


def test_an_interpreter_may_be_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    assert settle(attach, 'python = "env"', tmp_path) == {"python": str(tmp_path / "env")}


@pytest.mark.parametrize(
    ("table", "hint"),
    [
        ("debugy = true", "Did you mean 'debugpy'"),
        ('region = "eu-west-1"', "environments.NAME"),
        ('endpoint-url = "http://x:1"', "environments.NAME"),
        ('pdb = "yes"', "true or false"),
        ("debugpy = 5678", "true or a string"),
        ("debugpy = false", "true or a string"),
        ('max-concurrency = "3"', "an integer"),
        ("max-concurrency = true", "an integer"),
        ("record = 1", "a string"),
        ('record = ""', "Leave it out"),
        ('env = "A=b"', "or a table"),
        ("function = [1]", "array of strings"),
        ("function = ['']", "Leave it out"),
        ("function = { Greeter = 1 }", "array of strings"),
    ],
)
def test_what_makes_no_sense_says_what_would(table: str, hint: str, tmp_path: Path) -> None:
    for command in (attach, dev):
        with pytest.raises(UsageError, match=r"plldb.toml \[(attach|dev)\]") as caught:
            settle(command, table, tmp_path)
        assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("parameter = { a = [1] }", "parameter: 'a' is an array."),
        ("parameter = { a = { b = 1 } }", "parameter: 'a' is a table."),
        ("parameter = { a = 2026-11-26 }", "parameter: 'a' is a date or time."),
        ('parameter = { "" = "x" }', "parameter: '' is no name."),
        ('parameter = ["a"]', "parameter: 'a' is not NAME=VALUE."),
        ('parameter = ["=a"]', "parameter: '=a' is not NAME=VALUE."),
        ("env = { A = [1] }", "env: 'A' is an array."),
        ('env = { "A=B" = "x" }', "env: 'A=B' is no name."),
        ("code = { Greeter = 1 }", "code: 'Greeter' is an integer."),
        ('code = { Greeter = "" }', "code: 'Greeter' is empty."),
        ("handler = { Greeter = true }", "handler: 'Greeter' is a boolean."),
        ('handler = ["app.handler"]', "handler: 'app.handler' is not FUNCTION=HANDLER."),
    ],
)
def test_so_does_each_row_of_a_table(table: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        settle(dev, table, tmp_path)
    assert caught.value.message == f"{tmp_path / 'plldb.toml'} [dev]: {said}"


@pytest.mark.parametrize("table", ["max-concurrency = 0", 'when-absent = "never"'])
def test_so_does_what_the_command_line_would_refuse(table: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=table.split(" ", maxsplit=1)[0]):
        settle(attach, table, tmp_path)


def test_each_command_checks_the_tables_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plldb.toml").write_text("[dev]\nsede = 'x'")
    done = CliRunner().invoke(plldb, ["config"])
    assert "Did you mean 'seed'" in str(getattr(done.exception, "hint", ""))


class TestTheCommandLineWins:
    """Seen in what the command is called with."""

    @pytest.fixture
    def called(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.chdir(tmp_path)
        seen: dict[str, Any] = {}
        monkeypatch.setattr(attach, "callback", lambda **given: seen.update(given))

        def call(table: str, *arguments: str) -> dict[str, Any]:
            (tmp_path / "plldb.toml").write_text(f"[attach]\n{table}")
            done = CliRunner().invoke(plldb, ["attach", *arguments], catch_exceptions=False)
            assert done.exit_code == 0, done.output
            return seen

        return call

    def test_what_is_not_given_is_the_tables(self, called: Any) -> None:
        seen = called("stacks = ['orders']\nmax-concurrency = 3")
        assert (seen["stacks"], seen["max_concurrency"]) == (("orders",), 3)

    def test_what_is_given_is_not(self, called: Any) -> None:
        seen = called("max-concurrency = 3\npdb = true", "x", "--max-concurrency=5", "--no-pdb")
        assert (seen["stacks"], seen["max_concurrency"], seen["pdb"]) == (("x",), 5, False)

    def test_one_debugger_takes_the_place_of_another(self, called: Any) -> None:
        table = "debugpy = true\nwrite-launch-config = true"
        seen = called(table, "x", "--pdb")
        assert (seen["pdb"], seen["debugpy"], seen["write_launch_config"]) == (True, None, False)
        seen = called("pdb = true", "x", "--debugpy")
        assert (seen["pdb"], seen["debugpy"]) == (False, "127.0.0.1:5678")

    def test_a_session_in_the_background_has_no_terminal(self, called: Any) -> None:
        for arguments in (["x", "--detach"], ["x", "--background=3"]):
            assert called("pdb = true", *arguments)["pdb"] is False

    def test_stacks_that_are_named_are_the_only_ones(self, called: Any) -> None:
        for arguments in (["one"], ["--stack-name", "one"]):
            seen = called("stacks = ['orders', 'billing']", *arguments)
            assert (*seen["stack_names"], *seen["stacks"]) == ("one",)
