"""A tool is run as its user would run it: real processes, a real terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

from plldb.dev.command_runner import run_beside
from plldb.errors import CommandError

DEADLINE_SECONDS = 40
RUN = {
    "become": "from plldb.dev.command_runner import become; become(sys.argv[1:], os.environ)",
    "run_beside": (
        "from plldb.dev.command_runner import end_as, run_beside\n"
        "sys.exit(end_as(run_beside(sys.argv[1:], os.environ)))"
    ),
}


def program(way: str, *command: str) -> list[str]:
    return [sys.executable, "-c", f"import os, sys\n{RUN[way]}", *command]


@pytest.fixture(params=RUN)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(way: str, *command: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]  # noqa: PLW1510
        program(way, *command), capture_output=True, text=True, timeout=DEADLINE_SECONDS, **options
    )


class TestItPassesThrough:
    def test_arguments_and_streams(self, way: str) -> None:
        done = run(way, "sh", "-c", 'cat; echo "$1" >&2', "sh", "--help $HOME", input="in\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, "in\n", "--help $HOME\n")

    @pytest.mark.parametrize("code", [0, 1, 42, 255])
    def test_the_exit_code(self, way: str, code: int) -> None:
        assert run(way, "sh", "-c", f"exit {code}").returncode == code

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
    def test_the_signal_that_ended_it(self, way: str, number: signal.Signals) -> None:
        assert run(way, "sh", "-c", f"kill -{number.value} $$").returncode == -number

    def test_what_a_pipe_that_is_closed_does_to_a_tool(self, way: str) -> None:
        """Python ignores SIGPIPE: a tool must not."""
        done = run(way, "sh", "-c", "(yes; echo $? >&2) | head -n 1")
        assert done.stdout == "y\n"
        assert "Broken pipe" not in done.stderr

    def test_a_signal_that_plldb_gets(self, way: str) -> None:
        script = "trap 'echo told; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
        command = program(way, "sh", "-c", script)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                assert process.stdout.readline() == "ready\n"
                process.send_signal(signal.SIGTERM)
                assert process.stdout.readline() == "told\n"
                assert process.wait(DEADLINE_SECONDS) == 7
            finally:
                process.kill()


class TestAtATerminal:
    def test_the_tool_has_it(self, way: str) -> None:
        child = pexpect.spawn(*_spawned(way, "sh", "-c", 'test -t 0 && read x && echo "[$x]"'))
        child.sendline("typed")
        child.expect_exact("[typed]")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0

    def test_ctrl_c_is_for_the_tool(self, way: str) -> None:
        script = "trap 'echo got it; exit 3' INT; echo ready; while :; do sleep 0.05; done"
        child = pexpect.spawn(*_spawned(way, "sh", "-c", script))
        child.expect_exact("ready")
        child.sendintr()
        child.expect_exact("got it")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 3

    def test_ctrl_z_stops_it_and_it_can_go_on(self, way: str, tmp_path: Path) -> None:
        # Not a shell's: stopped between vfork and exec, its child holds it where it can't stop.
        script = (
            "import os, time; print('ready', flush=True)\n"
            "while not os.path.exists('go'): time.sleep(0.05)\n"
            "print('done')"
        )
        shell = pexpect.spawn("bash", ["--norc", "-i"], timeout=DEADLINE_SECONDS, cwd=tmp_path)
        shell.setecho(False)
        shell.sendline(" ".join(map(_quote, program(way, sys.executable, "-c", script))))
        shell.expect_exact("ready\r\n")
        shell.send("\x1a")
        shell.expect_exact("Stopped")
        (tmp_path / "go").touch()
        shell.sendline("fg")
        shell.expect_exact("done\r\n")
        shell.close(force=True)


def _spawned(way: str, *command: str) -> tuple[str, list[str], float]:
    name, *arguments = program(way, *command)
    return name, arguments, DEADLINE_SECONDS


def _quote(word: str) -> str:
    return "$'" + word.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


class TestACommandThatCannotBeStarted:
    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        (tmp_path / "terraform").touch(0o755)
        with pytest.raises(CommandError, match="no command 'teraform'") as raised:
            run_beside(["teraform"], {"PATH": str(tmp_path)})
        assert raised.value.exit_code == 127
        assert raised.value.hint is not None
        assert raised.value.hint.startswith("Did you mean 'terraform'?")

    def test_a_whole_line_as_one_word(self) -> None:
        with pytest.raises(CommandError) as raised:
            run_beside(["aws s3 ls"], {"PATH": os.defpath})
        assert "sh -c 'aws s3 ls'" in (raised.value.hint or "")

    def test_one_that_is_no_program(self, tmp_path: Path) -> None:
        (file := tmp_path / "notes.txt").write_text("not a program")
        for path in (file, tmp_path):
            with pytest.raises(CommandError) as raised:
                run_beside([str(path)], {"PATH": os.defpath})
            assert raised.value.exit_code == 126

    def test_one_whose_interpreter_is_missing(self, tmp_path: Path) -> None:
        (script := tmp_path / "script").write_text("#!/no/such/interpreter\n")
        script.chmod(0o755)
        with pytest.raises(CommandError) as raised:
            run_beside([str(script)], {"PATH": os.defpath})
        assert raised.value.exit_code == 127
        assert "first line" in (raised.value.hint or "")

    def test_nothing_is_left_changed(self, way: str) -> None:
        code = (
            "import signal\nbefore = signal.getsignal(signal.SIGPIPE)\n"
            f"try:\n    {RUN[way].splitlines()[0]}\n"
            "    run_beside(sys.argv[1:], os.environ)\n"
            "except Exception as error:\n    print(type(error).__name__)\n"
            "print(signal.getsignal(signal.SIGPIPE) == before)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", f"import os, sys\n{code}", "no-such-command"],
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert done.stdout.split() == ["CommandError", "True"]


def test_it_is_looked_for_on_the_path_of_the_tool(tmp_path: Path) -> None:
    (tool := tmp_path / "a-tool").write_text("#!/bin/sh\nexit 9\n")
    tool.chmod(0o755)
    assert run_beside(["a-tool"], {"PATH": f"{tmp_path}:{os.defpath}"}) == 9


def test_the_end_of_it_is_noticed_at_once() -> None:
    started = time.monotonic()
    assert run_beside(["sh", "-c", ":"], {"PATH": os.defpath}) == 0
    assert time.monotonic() - started < 10
