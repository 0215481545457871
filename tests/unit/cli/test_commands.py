"""The command line as a whole: help, the README, what it loads, its errors and exit codes."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from plldb import __version__
from plldb.cli.main import plldb

README = Path(__file__).parents[3] / "README.md"
HEAVY = (
    "boto3",
    "botocore",
    "json",
    "logging",
    "plldb.config",
    "psutil",
    "requests",
    "rich",
    "tomllib",
    "websockets",
    "yaml",
)


def walk(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from walk(inner, (*path, name))


COMMANDS = dict(walk(plldb))


def run(*arguments: str, home: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """``plldb`` in a process of its own, where nothing is configured."""
    return subprocess.run(
        [sys.executable, "-m", "plldb", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        check=False,
        env=os.environ | {"PLLDB_HOME": str(home)} | environ,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["config", "invoke Greeter --event {} --print-event", "status"])
def test_closed_streams_are_nobodys_concern(command: str, closed: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {shlex.quote(sys.executable)} -m plldb {command} {closed}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | {"PLLDB_HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (closed in ("<&-", "2>&-"))


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    script = 'cd "$1" && rmdir "$1" && exec "$2" -m plldb status'
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["sh", "-c", script, "sh", str(gone), sys.executable],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | {"PLLDB_HOME": str(tmp_path / "home")},
    )
    assert done.returncode == 1
    assert "Error: This folder is not there any more.\n" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("attach", os.fsdecode(b"sh\xffop")),
        ("invoke", os.fsdecode(b"\xff")),
        ("invoke", "Greeter", "--qualifier", ""),
        ("invoke", "Greeter", "--event", ""),
        ("invocation", ""),
        ("deploy", "--parameter", os.fsdecode(b"A=\xff")),
        ("attach", "shop", "--template", ""),
        ("replay", ""),
    ],
    ids=repr,
)
def test_what_is_empty_or_no_text_is_wrong_usage(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    done = run(*arguments, home=tmp_path)
    assert done.returncode == 2
    assert "is empty" in done.stderr or "no text" in done.stderr


class TestHelp:
    @pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
    def test_every_command_says_what_it_does(self, path: tuple[str, ...]) -> None:
        text = COMMANDS[path].help or ""
        assert len(text.split()) >= 3

    @pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
    def test_and_so_does_every_option_of_it(self, path: tuple[str, ...]) -> None:
        for parameter in COMMANDS[path].params:
            if isinstance(parameter, click.Option):
                assert parameter.help or isinstance(parameter.type, click.Choice), parameter.name

    @pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
    def test_every_command_takes_the_global_options(self, path: tuple[str, ...]) -> None:
        options = {option for p in COMMANDS[path].params for option in p.opts}
        assert {
            "--profile",
            "--target",
            "--region",
            "--endpoint-url",
            "--environment",
            "--config",
            "--output",
            "--verbose",
            "-v",
        } <= options

    def test_that_of_all_says_of_each_what_its_own_begins_with(self) -> None:
        text = CliRunner().invoke(plldb, ["--help"], terminal_width=200).output
        for path in COMMANDS:
            if len(path) == 1:
                first = (COMMANDS[path].help or "").split("\n\n")[0]
                assert re.search(rf"^  {path[0]} +{re.escape(first)}$", text, re.MULTILINE)

    @pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
    def test_every_command_has_an_example(self, path: tuple[str, ...]) -> None:
        example = rf"^ +(plldb|eval .*plldb) {' '.join(path)}"
        assert not path or re.search(example, COMMANDS[path].help or "", re.MULTILINE)

    @pytest.mark.parametrize("path", [path for path in COMMANDS if path], ids=" ".join)
    def test_the_global_options_are_one_line_of_it(self, path: tuple[str, ...]) -> None:
        text = CliRunner().invoke(plldb, [*path, "--help"], terminal_width=200).output
        assert "\nGlobal options, which 'plldb --help' explains:\n" in text
        assert "--profile, --target, --region, --endpoint-url, --environment" in text
        assert "PLLDB_PROFILE" not in text

    def test_every_global_option_names_its_variable(self) -> None:
        texts = [p.help or "" for p in plldb.params if isinstance(p, click.Option)]
        variables = set(re.findall(r"\[env: (\w+)\]", " ".join(texts)))
        names = "PROFILE TARGET REGION ENDPOINT_URL ENVIRONMENT CONFIG OUTPUT VERBOSE"
        assert variables == {f"PLLDB_{name}" for name in names.split()}

    @pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
    def test_it_needs_no_settings_file(
        self, path: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "plldb.toml").write_text("this is no TOML")
        done = CliRunner().invoke(plldb, [*path, "--help"])
        assert (done.exit_code, done.exception) == (0, None)

    @pytest.mark.parametrize("path", [path for path in COMMANDS if len(path) == 1], ids=" ".join)
    def test_every_command_is_in_the_readme(self, path: tuple[str, ...]) -> None:
        assert f"plldb {path[0]}" in README.read_text(encoding="utf-8")

    def test_it_loads_nothing_heavy(self, tmp_path: Path) -> None:
        code = (
            "import sys\n"
            "before = {*sys.modules}\n"  # coverage.py, say
            "from plldb.cli.main import plldb\n"
            "plldb(['--help'], standalone_mode=False)\n"
            f"sys.exit(' '.join({{*{HEAVY!r}}} & {{*sys.modules}} - before))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
        )
        assert done.stderr.strip() == ""
        assert "Usage: " in done.stdout


class TestExitCodes:
    @pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("attach", "--help")])
    def test_0_for_help(self, arguments: tuple[str, ...], tmp_path: Path) -> None:
        done = run(*arguments, home=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")

    def test_0_for_the_version(self, tmp_path: Path) -> None:
        done = run("--version", home=tmp_path)
        assert done.returncode == 0
        assert __version__ in done.stdout

    @pytest.mark.parametrize("command", ["status", "down"])
    def test_0_when_no_emulator_runs(self, command: str, tmp_path: Path) -> None:
        done = run("--output", "json", "local", command, home=tmp_path)
        assert done.returncode == 0
        assert json.loads(done.stdout)["running"] is False

    def test_1_for_an_expected_error_with_one_line_and_a_hint(self, tmp_path: Path) -> None:
        done = run("bootstrap", "--dry-run", home=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        error, hint = done.stderr.splitlines()
        assert error.startswith("Error: ")
        assert hint.startswith("Hint: ")
        assert "plldb local up" in hint
        assert "--profile" in hint

    @pytest.mark.parametrize(
        "arguments",
        [
            ("no-such-command",),
            ("--no-such-option",),
            ("attach",),
            ("attach", "--stack-name", "app", "--profile", "x", "--endpoint-url", "http://h:1"),
            ("--target", "moon", "local", "status"),
            ("bootstrap", "--endpoint-url", "nowhere"),
            ("bootstrap", "--stack-name", "no_name", "--endpoint-url", "http://127.0.0.1:9"),
            ("local", "up", "--port", "70000"),
        ],
        ids=" ".join,
    )
    def test_2_for_wrong_usage(self, arguments: tuple[str, ...], tmp_path: Path) -> None:
        done = run(*arguments, home=tmp_path)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr


class TestJsonErrors:
    @pytest.mark.parametrize(
        "arguments",
        [
            ("--output", "json", "bootstrap", "--dry-run"),
            ("bootstrap", "--dry-run", "--output", "json"),
            ("--output=json", "bootstrap", "--dry-run"),
        ],
        ids=" ".join,
    )
    def test_one_object_on_stderr(self, arguments: tuple[str, ...], tmp_path: Path) -> None:
        done = run(*arguments, home=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        error = json.loads(done.stderr)
        assert error.keys() == {"error", "hint"}
        assert "plldb local up" in error["hint"]

    def test_also_by_variable(self, tmp_path: Path) -> None:
        done = run("bootstrap", "--dry-run", home=tmp_path, PLLDB_OUTPUT="json")
        assert json.loads(done.stderr)["error"]

    def test_also_by_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "plldb.toml"
        file.write_text('[environments.development]\noutput = "json"\n')
        done = run("--config", str(file), "bootstrap", "--dry-run", home=tmp_path)
        assert "plldb local up" in json.loads(done.stderr)["hint"]
        done = run("--config", str(file), "local", "status", home=tmp_path, PLLDB_OUTPUT="text")
        assert done.stdout == "No emulator is running.\n"

    def test_a_file_that_is_wrong_is_told_of_in_the_output_that_was_asked_for(
        self, tmp_path: Path
    ) -> None:
        (file := tmp_path / "plldb.toml").write_text("output")
        done = run("--config", str(file), "local", "status", home=tmp_path, PLLDB_OUTPUT="json")
        assert (done.returncode, done.stdout) == (2, "")
        assert str(file) in json.loads(done.stderr)["error"]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--output", "json", "atach"), "Did you mean 'attach'"),
            (("--output=json", "local", "upp"), "Did you mean 'up'"),
            (("attach", "--no-such", "--output", "json"), "--no-such"),
            (("attach", "--output", "json"), "plldb attach STACK"),
            (("--target", "moon", "--output", "json", "config"), "aws"),
            (("attach", "--stack-name", "", "--output=json"), "empty"),
            (("logs", "", "--output=json"), "empty"),
        ],
    )
    def test_also_for_wrong_usage(
        self, arguments: tuple[str, ...], said: str, tmp_path: Path
    ) -> None:
        done = run(*arguments, home=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        error = json.loads(done.stderr)
        assert said in error["error"]
        assert "--help" in error["hint"]

    @pytest.mark.parametrize(
        ("output", "said"),
        [("json", '{"error": "Aborted.", "hint": null}\n'), ("text", "\nAborted!\n")],
    )
    def test_also_for_a_command_that_is_interrupted(
        self, output: str, said: str, tmp_path: Path
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            command = ("--output", output, "--endpoint-url", url, "sessions", "list")
            with subprocess.Popen(
                [sys.executable, "-m", "plldb", *command],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=tmp_path,
                env=os.environ | {"PLLDB_HOME": str(tmp_path)},
            ) as process:
                silent.settimeout(60)
                with silent.accept()[0]:
                    process.send_signal(signal.SIGINT)
                    assert process.communicate(timeout=60) == ("", said)
        assert process.returncode == 1

    def test_wrong_usage_by_variable_and_by_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done = run("atach", home=tmp_path, PLLDB_OUTPUT="json")
        assert "attach" in json.loads(done.stderr)["error"]
        (tmp_path / "plldb.toml").write_text('[environments.development]\noutput = "json"\n')
        monkeypatch.chdir(tmp_path)
        done = run("attach", "--nosuch", home=tmp_path)
        assert "--nosuch" in json.loads(done.stderr)["error"]

    def test_a_flag_wins_over_the_variable(self, tmp_path: Path) -> None:
        done = run("--output", "text", "bootstrap", "--dry-run", home=tmp_path, PLLDB_OUTPUT="json")
        assert done.stderr.startswith("Error: ")


class TestTheMachineSaysNo:
    """One line and a hint, no traceback."""

    @pytest.mark.parametrize("arguments", [("config",), ("--output", "json", "config"), ("-h",)])
    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
    def test_stdout_is_full(self, arguments: tuple[str, ...], tmp_path: Path) -> None:
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "plldb", *arguments],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=30,
                check=False,
                env=os.environ | {"PLLDB_HOME": str(tmp_path)},
            )
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize("arguments", [("local", "up"), ("dev",), ("local", "status")])
    def test_the_state_folder_can_not_be_made(
        self, arguments: tuple[str, ...], tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        done = run(*arguments, home=tmp_path / "file" / "home")
        assert done.returncode == 1
        assert str(tmp_path / "file") in done.stderr
        assert "PLLDB_HOME" in done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize(
        ("option", "code", "wrong"),
        [("--pdb", 1, "There is no template to deploy"), ("--debugpy=there", 2, "give HOST:PORT")],
    )
    def test_dev_deploys_nothing_before_it_knows_what(
        self, option: str, code: int, wrong: str, tmp_path: Path
    ) -> None:
        done = run("dev", option, home=tmp_path, AWS_ENDPOINT_URL="http://127.0.0.1:9")
        assert (done.returncode, done.stdout) == (code, "")
        assert wrong in done.stderr

    def test_a_locale_that_knows_few_characters(self, tmp_path: Path) -> None:
        ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        done = run("--region", "ünïcode", "config", home=tmp_path, **ascii_only)
        assert (done.returncode, done.stderr) == (0, "")


class TestCompletion:
    """Of bash, zsh and fish, as far as no shell is needed; where there is one, it is asked."""

    def complete(self, words: str, home: Path, **environ: str) -> list[str]:
        asked = {"_PLLDB_COMPLETE": "bash_complete", "COMP_WORDS": words}
        number = len(words.split()) - (not words.endswith(" "))
        done = run(home=home, **asked, COMP_CWORD=str(number), **environ)
        assert (done.returncode, done.stderr) == (0, "")
        return [line.partition(",")[2] for line in done.stdout.split()]

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_the_script_is_that_shells(self, shell: str, tmp_path: Path) -> None:
        done = run("completion", shell, home=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"_PLLDB_COMPLETE={shell}_complete" in done.stdout
        if (found := shutil.which(shell)) is not None:
            checked = subprocess.run(
                [found, "-n"], input=done.stdout, capture_output=True, text=True, check=False
            )
            assert (checked.returncode, checked.stderr) == (0, "")

    def test_commands_options_and_choices(self, tmp_path: Path) -> None:
        assert self.complete("plldb at", tmp_path) == ["attach"]
        assert "--debugpy" in self.complete("plldb dev --d", tmp_path)
        assert self.complete("plldb invoke F --sample sq", tmp_path) == ["sqs"]

    def test_profiles(self, tmp_path: Path) -> None:
        (config := tmp_path / "config").write_text("[profile dev]\n[profile prod]\n")
        words = "plldb --profile d"
        assert self.complete(words, tmp_path, AWS_CONFIG_FILE=str(config)) == ["dev"]

    def test_what_can_not_be_found_out_is_not_offered(self, tmp_path: Path) -> None:
        assert self.complete("plldb attach ", tmp_path) == []
        assert self.complete("plldb invoke ", tmp_path) == []
