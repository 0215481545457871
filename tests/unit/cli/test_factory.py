"""What commands are made of: read once, looked for only where it is needed, closed at the end."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from plldb.cli.main import plldb
from plldb.diagnostic_log import find_kept_log
from plldb.emulators.base import RunningEmulator
from plldb.emulators.state import StateFile
from plldb.errors import TargetError
from tests.unit.fakes import Answer, Request, count_connections, local_server
from tests.unit.test_aws import aws_answers


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where plldb keeps its state, in a folder where nothing is configured."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLLDB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(plldb, [*arguments])


def run_in_process(preparation: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``plldb`` in a process of its own, after some lines of Python."""
    code = f"import sys\n{preparation}\nfrom plldb.cli.main import main\nmain()\n"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        check=False,
    )


class TestTheRunningEmulator:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--profile", "nope"], "profile (nope) could not be found"),
            (["--target", "aws", "--region", "eu-west-1"], "Unable to locate credentials"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_nobody_looks_for_one_when_calls_go_to_aws(
        self, home: Path, options: list[str], said: str
    ) -> None:
        """What a crash left names one that can't even be looked for without these packages."""
        left = RunningEmulator("localstack", "http://127.0.0.1:9", "http://x:9", container_id="c")
        StateFile(home).write(left)
        packages = ("docker", "filelock", "ministack", "psutil", "testcontainers")
        missing = f"sys.modules.update(dict.fromkeys({packages}))"

        done = run_in_process(missing, "bootstrap", "--dry-run", *options)

        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [["config"], ["restore", "--stack-name", "app"], ["sessions", "list"]],
    ids=" ".join,
)
def test_the_settings_file_is_read_once(command: list[str]) -> None:
    Path("plldb.toml").write_text('[environments.development]\nhelper-stack = "mine"\n')
    count = (
        "import atexit\n"
        "opened = []\n"
        "def hear(event, arguments):\n"
        "    if event == 'open' and str(arguments[0]).endswith('plldb.toml'):\n"
        "        opened.append(arguments[0])\n"
        "sys.addaudithook(hear)\n"
        "atexit.register(lambda: print(len(opened), 'times'))\n"
    )
    assert run_in_process(count, *command).stdout.endswith("1 times\n")


class TestVerbosity:
    @pytest.mark.parametrize(
        ("arguments", "variable", "expected"),
        [
            (["config"], "", (0, "default")),
            (["config", "-v"], "", (1, "--verbose")),
            (["-v", "config"], "", (1, "--verbose")),
            (["config", "--verbose"], "", (1, "--verbose")),
            (["config", "-vv"], "", (2, "--verbose")),
            (["config", "-v", "--verbose"], "", (2, "--verbose")),
            (["config", "-vvvv"], "", (2, "--verbose")),
            (["-vv", "config", "-v"], "", (1, "--verbose")),
            (["config"], "2", (2, "PLLDB_VERBOSE")),
            (["config"], "true", (1, "PLLDB_VERBOSE")),
            (["config", "-v"], "2", (1, "--verbose")),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else None,
    )
    def test_it_is_how_often_it_was_given(
        self,
        arguments: list[str],
        variable: str,
        expected: tuple[int, str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("PLLDB_VERBOSE", variable)
        answer = json.loads(run(*arguments, "--output", "json").stdout)
        setting = answer["settings"]["verbose"]
        assert (setting["value"], setting["source"]) == expected

    def test_v_says_where_calls_go_and_why(self) -> None:
        done = run("sessions", "list", "-v", "--endpoint-url", "http://127.0.0.1:9")
        (line,) = [line for line in done.stderr.splitlines() if "calls go to" in line]
        assert re.match(r"\d\d:\d\d:\d\d\.\d{3} INFO ", line)
        assert "http://127.0.0.1:9 (--endpoint-url)" in line
        assert "us-east-1 (default)" in line

    def test_vv_says_what_is_called(self) -> None:
        with local_server(aws_answers("us-east-1", "amazonaws.com")) as server:
            done = run("sessions", "list", "-vv", "--endpoint-url", server.url)
        assert re.search(r"cloudformation DescribeStacks: 200 in \d+ ms", done.stderr)
        assert re.search(r"GET http://.*/plldb/sessions: 201 in \d+ ms", done.stderr)

    def test_without_it_nothing_of_that_is_said(self) -> None:
        with local_server(aws_answers("us-east-1", "amazonaws.com")) as server:
            done = run("sessions", "list", "--endpoint-url", server.url)
        assert done.stderr == "Nobody is attached.\n"

    @pytest.mark.parametrize("command", [["config"], ["sessions", "list"]], ids=" ".join)
    def test_in_json_each_line_of_stderr_is_an_object_as_well(self, command: list[str]) -> None:
        with local_server(aws_answers("us-east-1", "amazonaws.com")) as server:
            done = run(*command, "-vv", "--output", "json", "--endpoint-url", server.url)
        assert done.exit_code == 0
        assert all("log" in json.loads(line) for line in done.stderr.splitlines())
        assert all(isinstance(json.loads(line), dict) for line in done.stdout.splitlines())
        assert done.stderr


class TestKeptLog:
    def attach(self, *options: str) -> Result:
        return run("attach", "--stack-name", "app", *options)

    def kept(self, home: Path) -> str:
        (path,) = (home / "logs").iterdir()
        return path.read_text("utf-8")

    def test_attach_keeps_one_whatever_is_shown(self, home: Path) -> None:
        done = self.attach("--endpoint-url", "http://127.0.0.1:9")
        assert done.stderr == ""
        text = self.kept(home)
        assert "DEBUG   plldb.cli.factory: helper stack: plldb (default)" in text
        assert "calls go to the emulator at http://127.0.0.1:9" in text
        assert "an expected error: EndpointError" in text

    def test_no_key_of_aws_is_in_it(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLLDB_EMULATOR_SECRET_ACCESS_KEY", "the-secret")
        monkeypatch.setenv("PLLDB_EMULATOR_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        self.attach("--endpoint-url", "http://127.0.0.1:9")
        assert "the-secret" not in self.kept(home)
        assert "AKIAIOSFODNN7EXAMPLE" not in self.kept(home)

    def test_an_unexpected_error_names_it(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("plldb.cli.attach_factory.parse_code_options", _fail)
        done = self.attach()
        assert isinstance(done.exception, ZeroDivisionError)
        (path,) = (home / "logs").iterdir()
        assert any(str(path) in note for note in done.exception.__notes__)
        assert "ZeroDivisionError, raised here:" in self.kept(home)

    def test_one_of_a_command_without_a_log_names_none(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("plldb.bootstrap.release.read_template", _fail)
        done = run("config")
        assert isinstance(done.exception, ZeroDivisionError)
        assert not hasattr(done.exception, "__notes__")

    def test_it_goes_on_without_one_where_none_can_be_written(self, home: Path) -> None:
        home.mkdir()
        (home / "logs").write_text("a file")
        done = self.attach("-v")
        assert isinstance(done.exception, TargetError)
        assert "this log is kept in nowhere: " in done.stderr


def _fail(*_: Any) -> Any:
    raise ZeroDivisionError


class TestTheEndOfACommand:
    def test_all_connections_are_closed(self) -> None:
        most = 0

        def respond(request: Request) -> Answer:
            nonlocal most
            most = max(most, count_connections(server))
            return aws_answers("us-east-1", "amazonaws.com")(request)

        with local_server(respond) as server:
            assert run("sessions", "list", "--endpoint-url", server.url).exit_code == 0
            assert most == 2
            assert count_connections(server) == 0

    @pytest.mark.parametrize("verbose", ["-v", "-vv"])
    def test_nothing_is_logged_any_more(self, home: Path, verbose: str) -> None:
        before = list(logging.getLogger().handlers)
        run("attach", "--stack-name", "app", verbose)
        assert (home / "logs").exists()
        assert logging.getLogger().handlers == before
        assert logging.getLogger("plldb").level == logging.NOTSET
        assert find_kept_log() is None


def test_the_environment_is_as_it_was() -> None:
    before = dict(os.environ)
    run("bootstrap", "--dry-run", "--endpoint-url", "http://127.0.0.1:9")
    assert dict(os.environ) == before


class TestEndpointsOfAProfile:
    """They are looked at when the target is made, before anything is called."""

    @pytest.fixture(autouse=True)
    def _configure(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file = tmp_path / "aws"
        monkeypatch.setenv("AWS_CONFIG_FILE", str(self._file))

    def test_where_calls_go_is_said(self) -> None:
        self._file.write_text("[profile dev]\nregion = r-1\nendpoint_url = http://127.0.0.1:1\n")
        done = run("sessions", "list", "--profile", "dev")
        assert "Calls go to http://127.0.0.1:1, the endpoint_url of the profile dev" in done.output

    def test_two_targets_are_refused_in_a_line_with_a_hint(self) -> None:
        self._file.write_text(
            "[profile dev]\nservices = mine\n"
            "[services mine]\ndynamodb =\n  endpoint_url = http://127.0.0.1:1\n"
        )
        done = run("sessions", "list", "--profile", "dev", "--region", "r-1")
        assert done.exit_code == 1
        assert isinstance(done.exception, SystemExit | TargetError)

    def test_a_variable_that_is_not_followed_is_named(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._file.write_text("[profile dev]\nregion = r-1\n")
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
        done = run("sessions", "list", "--profile", "dev")
        assert "AWS_ENDPOINT_URL_DYNAMODB is not followed" in done.output
