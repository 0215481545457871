"""A developer at a real terminal: a program that attaches, started by a shell or alone."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.unit.debugger.local_code import is_running, processes_in
from tests.unit.polling import poll

REPOSITORY = Path(__file__).parents[3]
PROMPT = r"\(Pdb \d+s\) "
SECONDS = 30
CTRL_Z = "\x1a"
UP, TAB = "\x1b[A", "\t"
STOPS = """
    def handler(event, context):
        total = event + 1
        breakpoint()
        return total
"""


class Session:
    """What a developer sees and does. ``answers`` are what callers have got, once it has ended."""

    def __init__(
        self, folder: Path, code: str, command: list[str], environ: dict[str, str]
    ) -> None:
        (folder / "app.py").write_text(textwrap.dedent(code))
        self.folder = folder
        self.process = pexpect.spawn(
            command[0],
            command[1:],
            cwd=str(REPOSITORY),
            env={**os.environ, "TERM": "xterm", "HOME": str(folder), "PS1": "$ ", **environ},
            encoding="utf-8",
            timeout=SECONDS,
        )

    def expect(self, pattern: str) -> str:
        """What came before it."""
        self.process.expect(pattern)
        return str(self.process.before)

    def type(self, line: str) -> None:
        self.process.sendline(line)

    def press(self, keys: str) -> None:
        self.process.send(keys)

    def ctrl_c(self) -> None:
        self.process.sendintr()

    def interrupt(self) -> None:
        """By Ctrl-C; again, if Python was just about to wait for a key: it misses the signal."""
        for _ in range(SECONDS // 2):
            self.ctrl_c()
            if self.process.expect(["KeyboardInterrupt", pexpect.TIMEOUT], timeout=2) == 0:
                return
        raise AssertionError("it is not interrupted")

    def ask(self, line: str, prompt: str = PROMPT) -> str:
        """Types a line at a prompt, and gives what is shown until the next one."""
        self.type(line)
        return self.expect(prompt)

    def end(self) -> dict[str, Any]:
        """Detaches, and gives the answers by the numbers of the invocations."""
        self.ctrl_c()
        self.expect("Detached")
        self.process.expect(pexpect.EOF)
        self.process.close()
        assert self.process.exitstatus == 0
        return self.answers

    @property
    def answers(self) -> dict[str, Any]:
        given = json.loads((self.folder / "answers.json").read_text())
        return {str(int(request_id[:8])): answer for request_id, answer in given.items()}


Attach = Callable[..., Session]


def program(folder: Path, debugger: str, *seconds: float) -> list[str]:
    module = "tests.unit.debugger.attach_program"
    return [sys.executable, "-m", module, str(folder), debugger, ",".join(map(str, seconds))]


@pytest.fixture
def attach(tmp_path: Path) -> Iterator[Attach]:
    sessions: list[Session] = []

    def attach(
        code: str = STOPS,
        *,
        debugger: str = "pdb",
        seconds: Sequence[float] = (SECONDS,),
        **environ: str,
    ) -> Session:
        command = program(tmp_path, debugger, *seconds)
        sessions.append(Session(tmp_path, code, command, environ))
        return sessions[-1]

    yield attach
    for session in sessions:
        with contextlib.suppress(OSError):  # one that was hung up
            session.process.close(force=True)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Session]:
    """bash, with job control."""
    session = Session(tmp_path, STOPS, ["bash", "--norc", "--noprofile", "-i"], {})
    session.expect(r"\$ ")
    yield session
    session.process.close(force=True)


def is_cooked(settings: str) -> bool:
    """Whether ``stty -a`` shows a terminal as shells leave it."""
    words = settings.replace(";", " ").split()
    return {"icanon", "echo", "isig", "icrnl", "opost"} <= {*words}


class TestCtrlC:
    def test_at_a_prompt_it_clears_the_line(self, attach: Attach) -> None:
        session = attach()
        session.expect(PROMPT)
        session.press("total = 9")
        session.interrupt()
        session.expect(PROMPT)
        assert "2" in session.ask("p total")
        session.type("c")
        session.expect("✔")
        assert session.end() == {"1": {"result": 2}}

    def test_it_interrupts_an_expression(self, attach: Attach) -> None:
        session = attach()
        session.expect(PROMPT)
        session.type("import time; print('now'), time.sleep(1000)")
        session.expect("\nnow")
        session.interrupt()
        session.expect(PROMPT)
        session.type("c")
        session.expect("✔")
        assert session.end() == {"1": {"result": 2}}


class TestTheTerminal:
    def test_is_the_childs(self, attach: Attach) -> None:
        session = attach()
        session.expect(PROMPT)
        session.ask("import os, sys")
        assert "(True, True, True)" in session.ask("p tuple(map(os.isatty, (0, 1, 2)))")
        assert "True" in session.ask("p sys.stdin.isatty() and sys.stdout.isatty()")
        assert "True" in session.ask("p os.tcgetpgrp(0) == os.getpgrp()")
        assert "'/dev/pts/" in session.ask("p os.ttyname(os.open('/dev/tty', 2)), os.ttyname(0)")

    def test_asks_with_input_and_interact(self, attach: Attach) -> None:
        session = attach()
        session.expect(PROMPT)
        session.ask("total = input('How many? ')", r"How many\? ")
        session.ask("seven")
        session.ask("interact", ">>> ")
        assert "SEVEN" in session.ask("total.upper()", ">>> ")
        session.process.sendeof()
        session.expect(PROMPT)
        session.type("c")
        session.expect("✔")
        assert session.end() == {"1": {"result": "seven"}}

    def test_has_history_and_completion(self, attach: Attach) -> None:
        session = attach()
        session.expect(PROMPT)
        assert "2" in session.ask("p total + 0")
        session.press(UP + "0")
        assert session.ask("").split()[-1] == "2", "p total + 00"
        session.press("p tot" + TAB)
        assert "2" in session.ask("")

    def test_has_the_size_of_the_developers(self, attach: Attach) -> None:
        session = attach()
        session.expect(PROMPT)
        session.process.setwinsize(33, 111)
        # It is drawn again, as readline has it.
        session.expect(PROMPT)
        assert "columns=111, lines=33" in session.ask("import os; os.get_terminal_size()")

    def test_is_asked_by_code_as_well(self, attach: Attach) -> None:
        """Outside of any debugger, and past the standard streams."""
        session = attach("""
            import getpass
            def handler(event, context):
                print("printed")
                name = input("name? ")
                return name + getpass.getpass("password? ")
        """)
        assert "printed" in session.expect(r"name\? ")
        session.type("me ")
        session.expect(r"password\? ")
        session.type("s3cret")
        assert "s3cret" not in session.expect("✔")
        assert session.end() == {"1": {"result": "me s3cret"}}

    def test_is_asked_while_the_code_is_loaded(self, attach: Attach) -> None:
        """When the first invocation comes; before that, the import is only tried."""
        session = attach("""
            limit = 1
            breakpoint()
            def handler(event, context):
                return limit
        """)
        session.expect(PROMPT)
        session.ask("limit = 5")
        session.type("c")
        session.expect("✔")
        assert session.end() == {"1": {"result": 5}}

    def test_others_wait_visibly(self, attach: Attach) -> None:
        session = attach(seconds=[SECONDS] * 3)
        seen = session.expect(PROMPT)
        assert "00000002  waits for its turn" in seen or session.expect("00000002  waits")
        for _ in range(2):
            session.ask("c")
        session.type("c")
        session.expect("00000003 .* ms")
        assert session.end() == {str(n): {"result": n + 1} for n in (1, 2, 3)}

    def test_survives_a_child_that_is_killed(self, attach: Attach) -> None:
        session = attach(seconds=[SECONDS] * 2)
        session.expect(PROMPT)
        session.type("import os; os.kill(os.getpid(), 9)")
        session.expect("✘ Greeter  00000001")
        session.expect(PROMPT)
        session.type("c")
        session.expect("✔")
        answers = session.end()
        assert answers["1"]["error"]["errorType"] == "Runtime.ExitError"
        assert answers["2"] == {"result": 3}


class TestTheDeadline:
    def test_there_is_a_warning_and_then_a_clean_line(self, attach: Attach) -> None:
        session = attach(seconds=[10])
        session.expect(PROMPT)
        session.press("p 'half")
        session.expect(r"Greeter: \d s left to answer; then its caller gets an error\.\r+\n")
        session.expect(PROMPT + "p 'half")
        # The time, and what follows, in a row of their own.
        assert re.search(
            r"\n(\x1b\[\d*m)*[\d:]{8} (\x1b\[\d*m)*$", session.expect("- Greeter  00000001")
        )
        session.expect("Greeter: its time was over while it was paused")
        session.end()
        assert "410" not in str(session.process.before)

    @pytest.mark.parametrize("line", ["import time; time.sleep(60)", "p 1"])
    def test_what_was_typed_is_not_for_the_next_one(self, attach: Attach, line: str) -> None:
        session = attach(seconds=[10, SECONDS])
        session.expect(PROMPT)
        session.type(line)
        session.press("total = 'typed ahead'\ntotal = 'half")
        session.expect("its time was over")
        session.expect(PROMPT)
        assert session.ask("p total").split()[-1] == "3"
        session.type("c")
        session.expect("✔")
        assert session.end() == {"2": {"result": 3}}


class TestTheShell:
    """Which has the terminal before and afterwards."""

    def start(self, shell: Session, seconds: float = SECONDS) -> None:
        shell.type(" ".join(program(shell.folder, "pdb", seconds)))
        shell.expect(PROMPT)

    def test_gets_it_by_ctrl_z(self, shell: Session) -> None:
        self.start(shell)
        shell.ask("total = 41")
        shell.press("total + ")
        shell.press(CTRL_Z)
        shell.expect("Stopped")
        shell.expect(r"\$ ")
        assert is_cooked(shell.ask("stty -a", r"\$ "))
        shell.type("fg")
        shell.expect(PROMPT + r"total \+ ")
        # The prompt may be drawn more than once.
        shell.type("1")
        shell.expect("42")
        shell.type("c")
        shell.expect("✔")
        shell.ctrl_c()
        shell.expect("Detached")
        shell.expect(r"\$ ")
        assert is_cooked(shell.ask("stty -a", r"\$ "))
        assert shell.answers == {"1": {"result": 41}}

    def test_gets_nothing_that_was_typed_for_pdb(self, shell: Session) -> None:
        self.start(shell, seconds=10)
        shell.type("import time; time.sleep(60)")
        shell.press("echo typed-$((40 + 2))\n")
        shell.expect("its time was over")
        shell.press("echo typed-$((40 + 2))\n")
        shell.ctrl_c()
        shell.expect("Detached")
        shell.expect(r"\$ ")
        shell.type("echo end-$((40 + 3))")
        assert "typed-42" not in shell.expect("end-43")

    def test_gets_it_back_at_once_by_sigterm_twice(self, shell: Session) -> None:
        self.start(shell)
        shell.press("p 'half")
        [plldb] = {os.getpgid(pid) for pid in group_of_program(shell)}
        os.kill(plldb, signal.SIGTERM)
        shell.expect("Detaching once it has ended")
        os.kill(plldb, signal.SIGTERM)
        shell.expect("- Greeter  00000001.*abandoned")
        shell.expect("Detached")
        shell.expect(r"\$ ")
        assert is_cooked(shell.ask("stty -a", r"\$ "))
        assert shell.answers["1"]["error"]["errorType"] == "PlldbDebuggerLost"


def group_of_program(shell: Session) -> list[int]:
    """The processes of the job in the foreground."""
    group = os.tcgetpgrp(shell.process.child_fd)
    return [group]


class TestDetaching:
    SLOW = """
        import pathlib, time
        def handler(event, context):
            print("began")
            while not pathlib.Path("go").exists():
                time.sleep(0.01)
            return event
    """

    @pytest.mark.parametrize("debugger", ["pdb", "none"])
    def test_the_first_ctrl_c_lets_end_what_runs(self, attach: Attach, debugger: str) -> None:
        session = attach(self.SLOW, debugger=debugger)
        session.expect("began")
        session.ctrl_c()
        session.expect(r"in \d\d s at most: Greeter 00000001\. Press Ctrl-C again")
        (session.folder / "go").touch()
        session.expect("✔ Greeter  00000001")
        session.expect("Detached")
        session.process.expect(pexpect.EOF)
        assert session.answers == {"1": {"result": 1}}

    def test_the_second_names_what_it_abandons(self, attach: Attach) -> None:
        session = attach(self.SLOW, debugger="none", seconds=[SECONDS] * 2)
        session.expect("began")
        session.expect("began")
        session.ctrl_c()
        session.expect("Press Ctrl-C again")
        session.ctrl_c()
        seen = session.expect("Detached")
        for number in (1, 2):
            assert re.search(rf"- Greeter  0000000{number}.*abandoned", seen)
        session.process.expect(pexpect.EOF)
        kinds = [answer["error"]["errorType"] for answer in session.answers.values()]
        assert kinds == ["PlldbDebuggerLost"] * 2

    def test_a_terminal_that_is_closed_abandons_at_once(self, attach: Attach) -> None:
        session = attach()
        session.expect(PROMPT)
        session.process.ptyproc.fileobj.close()
        poll((session.folder / "answers.json").exists)
        assert session.answers["1"]["error"]["errorType"] == "PlldbDebuggerLost"
        poll(lambda: not any(map(is_running, processes_in(session.folder))))


class TestPostMortem:
    """An exception that nobody catches; the developer mends the code while its caller waits."""

    FAILS = """
        import os
        def handler(event, context):
            names = {"a": event}
            return [os.getpid(), names["b"]]
    """
    MENDED = FAILS.replace('"b"', '"a"')

    def save(self, session: Session, code: str, name: str = "app.py") -> None:
        (session.folder / name).write_text(textwrap.dedent(code))

    def test_mended_in_one_invocation_and_in_the_next(self, attach: Attach) -> None:
        session = attach(self.FAILS, seconds=[SECONDS] * 2)
        seen = session.expect(PROMPT)
        assert "KeyError: 'b'" in seen
        assert re.search(r"\d+ s left until the caller's deadline", seen)
        assert "app.py(5)handler()" in seen
        assert '-> return [os.getpid(), names["b"]]' in seen
        assert "{'a': 1}" in session.ask("p names")
        first = session.ask("p os.getpid()")
        assert "KeyError: 'b'" in session.ask("retry")
        assert session.ask("p os.getpid()") != first
        self.save(session, self.MENDED)
        session.type("retry")
        session.expect("✔ Greeter  00000001")
        session.expect("✔ Greeter  00000002")
        answers = session.end()
        assert [answers[n]["result"][1] for n in ("1", "2")] == [1, 2]

    def test_its_time_is_over_meanwhile(self, attach: Attach) -> None:
        """Its caller gets the error; what was typed is not for the next one, which is retried."""
        session = attach(self.FAILS, seconds=[10, 2 * SECONDS])
        session.expect(PROMPT)
        session.ask("retry")
        session.press("names = 'half")
        session.expect("✘ Greeter  00000001 .*KeyError")
        session.expect("its time was over while it was paused")
        session.expect(PROMPT)
        assert "{'a': 2}" in session.ask("p names")
        self.save(session, self.MENDED)
        session.type("retry")
        session.expect("✔ Greeter  00000002")
        answers = session.end()
        assert answers["1"]["error"]["errorType"] == "KeyError"
        assert answers["2"]["result"][1] == 2

    @pytest.mark.parametrize("broken", ["import no_such_module\n", "def handler(:\n"])
    def test_a_module_that_was_broken_meanwhile(self, attach: Attach, broken: str) -> None:
        session = attach(seconds=[SECONDS] * 2)
        session.expect(PROMPT)
        self.save(session, broken)
        seen = session.ask("c")
        assert "no_such_module" in seen or "SyntaxError" in seen
        assert "app.py(1)<module>()" in seen
        self.save(session, self.MENDED)
        session.type("retry")
        session.expect("✔ Greeter  00000002")
        answers = session.end()
        assert answers["1"] == {"result": 2}
        assert answers["2"]["result"][1] == 2

    def test_the_caller_gets_what_it_gets_without_a_debugger(self, attach: Attach) -> None:
        session = attach(self.FAILS)
        session.expect(PROMPT)
        session.type("c")
        seen = session.expect("✘ Greeter  00000001 .*KeyError")
        assert "[ERROR] KeyError: 'b'" in seen
        looked_at = session.end()
        session = attach(self.FAILS, debugger="none")
        session.expect("✘ Greeter")
        assert session.end() == looked_at

    def test_detaching_while_it_is_looked_at(self, attach: Attach) -> None:
        session = attach(self.FAILS)
        session.expect(PROMPT)
        self.save(session, self.MENDED)
        session.process.kill(signal.SIGTERM)
        session.expect("Detaching once it has ended")
        session.type("retry")
        session.expect("✔ Greeter  00000001")
        session.expect("Detached")
        session.process.expect(pexpect.EOF)
        assert session.answers["1"]["result"][1] == 1

    def test_in_ipdb(self, attach: Attach) -> None:
        session = attach(self.FAILS, PYTHONBREAKPOINT="ipdb.set_trace")
        session.expect(r"ipdb \d+s>")
        session.press("names['a'] + 41\r")
        session.expect("42")
        session.expect(r"ipdb \d+s>")
        self.save(session, self.MENDED)
        session.press("retry\r")
        session.expect("✔")
        assert session.end()["1"]["result"][1] == 1

    def test_in_pudb(self, attach: Attach, tmp_path: Path) -> None:
        """Which has no line for commands: it is asked for after it."""
        configure_pudb(tmp_path)
        session = attach(self.FAILS, PYTHONBREAKPOINT="pudb.set_trace")
        session.expect("PuDB")
        session.expect("PROCESSING EXCEPTION")
        self.save(session, self.MENDED)
        session.press("q")
        session.expect("look again: ")
        session.type("retry")
        session.expect("✔")
        assert session.end()["1"]["result"][1] == 1


def configure_pudb(home: Path) -> None:
    config = home / ".config" / "pudb" / "pudb.cfg"
    config.parent.mkdir(parents=True)
    config.write_text("[pudb]\nseen_welcome = e999\n")


class TestOtherDebuggers:
    """Installed with the tests; each is what the project has chosen, not what plldb brings."""

    @pytest.mark.parametrize("how", ["import ipdb; ipdb.set_trace()", "breakpoint()"])
    def test_ipdb(self, attach: Attach, how: str) -> None:
        session = attach(
            STOPS.replace("breakpoint()", how),
            PYTHONBREAKPOINT="ipdb.set_trace",
        )
        prompt = r"ipdb \d+s>"
        session.expect(prompt)
        session.press("total = 9")
        session.ctrl_c()
        session.press("total + 40\r")
        session.expect("42")
        session.press("total = 7\r")
        session.expect(prompt)
        session.press("c\r")
        session.expect("✔")
        assert session.end() == {"1": {"result": 7}}

    def test_pudb(self, attach: Attach, tmp_path: Path) -> None:
        configure_pudb(tmp_path)
        session = attach("""
            import pudb
            def handler(event, context):
                total = event + 1
                pudb.set_trace()
                total += 1
                return total
        """)
        session.expect(r"paused  \d+ s left")
        session.expect("PuDB")
        session.press("c")
        session.expect("✔")
        assert session.end() == {"1": {"result": 3}}

    def test_ipython(self, attach: Attach) -> None:
        session = attach("""
            import IPython
            def handler(event, context):
                answer = []
                IPython.embed(colors="neutral")
                return answer
        """)
        session.expect(r"In \[\S*1\S*\]: ")
        session.press("answer.append(6 * 7)\r")
        session.expect(r"In \[\S*2\S*\]: ")
        session.press("exit\r")
        session.expect("✔")
        assert session.end() == {"1": {"result": [42]}}
