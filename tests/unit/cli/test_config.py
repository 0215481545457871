"""``plldb config``: what holds and why, whatever runs and whatever does not; and no secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from plldb.bootstrap.parameters import read_settable_parameters, settle_parameters
from plldb.bootstrap.release import read_template
from plldb.cli.factory import make_factory
from plldb.cli.main import plldb
from plldb.cli.options import global_options, helper_stack_option
from plldb.config import OPTIONS
from plldb.errors import PlldbError, UsageError
from plldb.option_names import name_flag, name_variable

FILE = """
environment = "production"
[environments.development.parameters]
LogRetentionDays = 7
[environments.production]
profile = "prod"
region = "eu-central-1"
helper-stack = "plldb-prod"
output = "json"
[environments.production.parameters]
LogRetentionDays = 30
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with no settings file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLLDB_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def file(folder: Path) -> Path:
    path = folder / "plldb.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(plldb, [*arguments])


def config(*arguments: str) -> dict[str, Any]:
    done = run("config", "--output", "json", *arguments)
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.output)
    return answer


def refused(*arguments: str) -> PlldbError:
    error = run(*arguments).exception
    assert isinstance(error, UsageError), error
    return error


def setting(answer: dict[str, Any], name: str) -> tuple[Any, str]:
    one = answer["settings"][name]
    return one["value"], one["source"]


class TestAnswers:
    def test_options_of_commands_but_not_what_may_be_secret(self, folder: Path) -> None:
        (folder / "plldb.toml").write_text('[dev]\npdb = true\nenv = { KEY = "s3cret" }')
        answer = config()
        assert setting(answer, "dev.pdb") == ("True", "plldb.toml [dev]")
        assert setting(answer, "dev.env") == ("…", "plldb.toml [dev]")
        assert "s3cret" not in json.dumps(answer)

    def test_without_anything(self) -> None:
        answer = config()
        assert answer["callsGoTo"] == "the emulator of 'plldb local up', which does not run"
        names = ["config", "environment", "target", "profile", "region", "endpoint-url"]
        names += ["helper-stack", "cloudformation-role", "output", "verbose", "home"]
        assert list(answer["settings"]) == names
        assert setting(answer, "environment") == ("development", "default")
        assert setting(answer, "target") == ("emulator", "default")
        assert setting(answer, "region") == ("us-east-1", "default")
        assert setting(answer, "helper-stack") == ("plldb", "default")
        assert setting(answer, "config") == (None, "default")
        assert answer["parameters"]["LogRetentionDays"] == {"value": "14", "source": "default"}

    def test_with_a_file(self, file: Path) -> None:
        table = "plldb.toml [environments.production]"
        answer = config()
        assert answer["callsGoTo"] == "AWS, with the profile prod"
        assert setting(answer, "config") == (str(file), "found in this folder or above it")
        assert setting(answer, "environment") == ("production", "plldb.toml")
        assert setting(answer, "target") == ("aws", table)
        assert setting(answer, "profile") == ("prod", table)
        assert setting(answer, "region") == ("eu-central-1", table)
        assert setting(answer, "helper-stack") == ("plldb-prod", table)
        assert setting(answer, "output") == ("json", "--output")
        assert answer["parameters"]["LogRetentionDays"] == {
            "value": "30",
            "source": "plldb.toml [environments.production.parameters]",
        }
        assert answer["parameters"]["PointInTimeRecovery"] == {
            "value": "true",
            "source": "environment production (built in)",
        }

    def test_with_variables_above_it(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        monkeypatch.setenv("PLLDB_HELPER_STACK", "mine")
        monkeypatch.setenv("PLLDB_ENVIRONMENT", "production")
        answer = config()
        assert answer["callsGoTo"] == "the emulator at http://127.0.0.1:4566"
        assert setting(answer, "endpoint-url") == ("http://127.0.0.1:4566", "AWS_ENDPOINT_URL")
        assert setting(answer, "profile") == (None, "default")
        assert setting(answer, "region") == ("eu-west-1", "AWS_REGION")
        assert setting(answer, "helper-stack") == ("mine", "PLLDB_HELPER_STACK")
        assert setting(answer, "environment") == ("production", "PLLDB_ENVIRONMENT")

    def test_with_flags_above_all(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLLDB_ENDPOINT_URL", "http://127.0.0.1:4566")
        monkeypatch.setenv("PLLDB_HELPER_STACK", "mine")
        answer = config(
            *("--target", "aws", "--environment", "development", "--helper-stack", "yours"),
            *("--parameter", "LogRetentionDays=90", "-v"),
        )
        assert answer["callsGoTo"] == "AWS, with the credentials of the environment"
        assert setting(answer, "target") == ("aws", "--target")
        assert setting(answer, "region") == (None, "AWS's own configuration")
        assert setting(answer, "environment") == ("development", "--environment")
        assert setting(answer, "helper-stack") == ("yours", "--helper-stack")
        assert setting(answer, "verbose") == (1, "--verbose")
        assert answer["parameters"]["LogRetentionDays"] == {"value": "90", "source": "--parameter"}

    def test_as_text(self, file: Path) -> None:
        lines = run("config", "--output", "text").output.splitlines()
        assert lines[0] == "Calls go to AWS, with the profile prod."
        assert any(line.split()[:2] == ["region", "eu-central-1"] for line in lines)
        assert any(line.split() == ["verbose", "0", "default"] for line in lines)

    def test_another_file_or_none(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        moved = file.rename(file.with_name("other.toml"))
        assert setting(config("--config", "other.toml"), "profile") == (
            "prod",
            "other.toml [environments.production]",
        )
        monkeypatch.setenv("PLLDB_CONFIG", str(moved))
        assert setting(config(), "config") == (str(moved), "PLLDB_CONFIG")
        assert setting(config("--config", ""), "profile") == (None, "default")


def test_no_key_is_ever_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "AWS_ACCESS_KEY_ID": "AKIASECRET1",
        "AWS_SECRET_ACCESS_KEY": "SECRET2",
        "AWS_SESSION_TOKEN": "SECRET3",
        "PLLDB_EMULATOR_ACCESS_KEY_ID": "SECRET4",
        "PLLDB_EMULATOR_SECRET_ACCESS_KEY": "SECRET5",
        "LOCALSTACK_AUTH_TOKEN": "SECRET6",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    for target in ("aws", "emulator"):
        for output in ("text", "json"):
            done = run("config", "-v", "--target", target, "--output", output)
            assert done.exit_code == 0
            assert "SECRET" not in done.output


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('enviroment = "x"', "enviroment"),
            ("environment = ", "at its last line"),
            ("\n\nenvironment = x", "at line 3"),
            ('environment = "nope"', "plldb.toml: there is no environment 'nope'"),
            ("[environments.x.parameters]\nNope = 1", "there is no parameter 'Nope'"),
            ("[environments.x.parameters]\nLogRetentionDays = 8", "can't be '8'"),
            ('[environments.x.parameters]\nArtifactsBucket = "b"', "plldb's own"),
        ],
    )
    @pytest.mark.parametrize("command", ["config", "bootstrap"])
    def test_what_is_wrong_in_the_file(
        self, folder: Path, text: str, said: str, command: str
    ) -> None:
        (folder / "plldb.toml").write_text(text, encoding="utf-8")
        error = refused(command)
        assert said in error.message
        assert "plldb.toml" in error.message

    def test_a_file_that_is_named_and_not_there(self) -> None:
        assert "no.toml" in refused("config", "--config", "no.toml").message

    @pytest.mark.parametrize("command", [["config"], ["bootstrap"], ["bootstrap", "setup"]])
    def test_a_parameter_that_makes_no_sense(self, command: list[str]) -> None:
        assert "'Nope'" in refused(*command, "--parameter", "Nope=1").message

    def test_parameters_before_and_after_the_subcommand_are_one_list(self) -> None:
        one = ("--parameter", "LogRetentionDays=7")
        assert "twice" in refused("bootstrap", *one, "setup", *one).message

    def test_destroying_takes_none(self) -> None:
        done = run("bootstrap", "--parameter", "LogRetentionDays=7", "destroy")
        assert (done.exit_code, "goes with setup" in done.output) == (2, True)

    @pytest.mark.parametrize(
        "arguments",
        [
            ("bootstrap", "destroy", "--yes", "--stack-name", ""),
            ("bootstrap", "--stack-name", "", "destroy", "--yes"),
            ("restore", "--stack-name", "app", "--helper-stack", ""),
            ("bootstrap", "--environment", ""),
        ],
        ids=" ".join,
    )
    def test_an_empty_name_never_means_the_default_one(self, arguments: tuple[str, ...]) -> None:
        done = run(*arguments)
        assert (done.exit_code, "it is empty" in done.output) == (2, True)


class TestDocumentation:
    TEXT = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")

    @pytest.mark.parametrize("option", [*OPTIONS, "config"])
    def test_every_option_with_its_variable(self, option: str) -> None:
        assert f"`{name_variable(option)}`" in self.TEXT
        assert f"`{name_flag(option)}" in self.TEXT

    @pytest.mark.parametrize("name", read_settable_parameters(read_template()))
    def test_every_parameter_with_its_value_in_each_environment(self, name: str) -> None:
        values = [
            settle_parameters(read_template(), environment, None)[name].value or "none"
            for environment in ("development", "production")
        ]
        assert f"| `{name}` | {' | '.join(values)} |" in self.TEXT


@click.command()
@helper_stack_option()
@global_options
def command() -> None:
    """One that needs a helper stack."""
    click.echo(make_factory().settings.helper_stack)


class TestHelperStackOfOtherCommands:
    FILE = '[environments.development]\nhelper-stack = "of-the-file"\n'

    @pytest.mark.parametrize(
        ("flags", "variable", "expected"),
        [
            ([], None, "of-the-file"),
            ([], "", "of-the-file"),
            ([], "of-the-variable", "of-the-variable"),
            (["--helper-stack", "of-the-flag"], "of-the-variable", "of-the-flag"),
            (["--environment", "production"], None, "plldb"),
            (["--config", ""], None, "plldb"),
        ],
    )
    def test_flag_then_variable_then_file(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        flags: list[str],
        variable: str | None,
        expected: str,
    ) -> None:
        (folder / "plldb.toml").write_text(self.FILE, encoding="utf-8")
        if variable is not None:
            monkeypatch.setenv("PLLDB_HELPER_STACK", variable)
        assert CliRunner().invoke(command, flags).output == f"{expected}\n"


def test_a_profile_with_an_endpoint_is_an_emulator(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "aws").write_text("[profile dev]\nendpoint_url = http://localhost:4566\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "aws"))
    assert config("--profile", "dev")["callsGoTo"] == (
        "the emulator at http://localhost:4566, the endpoint_url of the profile dev, "
        "with its credentials"
    )
