"""``plldb invocations`` and ``plldb invocation``, over what sessions have written down."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest

from plldb.cli.background import open_journal
from plldb.cli.factory import Factory
from plldb.config import Options
from plldb.debugger.children.invoker import Progress, RunState
from plldb.replay.history import History
from tests.output_schema import check
from tests.unit.background.test_invocation_journal import ERROR, Outcome, Session, start
from tests.unit.cli.test_background import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def session(shell: Shell) -> Iterator[Session]:
    """One that goes on: r1 and r2 have succeeded, r3 has failed, q4 is at a breakpoint."""
    shell.place.create()
    with Session(shell.place.journals) as session:
        for number in (1, 2):
            session.run(f"r{number}", float(number))
        session.run("r3", 3.0, Outcome(None, ERROR))
        session.take(start("q4", 4.0), Progress("q4", "Greeter", 7.0, RunState.PAUSED))
        yield session


def test_none_is_no_error(shell: Shell) -> None:
    done = shell("invocations")
    assert (done.returncode, done.stdout) == (0, "")
    assert "No such invocation" in done.stderr
    assert shell("invocations", "--output", "json").stdout == ""
    failed = shell("invocation", "last")
    assert failed.returncode == 1
    assert "plldb dev" in failed.stderr


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ("", "r1 r2 r3 q4"),
        ("--limit 2", "r3 q4"),
        ("--failed", "r3 q4"),
        ("--function Greeter --limit 1", "q4"),
        ("--function shop/Greeter --failed", "r3 q4"),
        ("--function Other", ""),
    ],
)
def test_some_of_them(shell: Shell, session: Session, options: str, ids: str) -> None:
    session.journal.__exit__()  # written
    listed = shell("invocations", *options.split(), "--output", "json").stdout.splitlines()
    found = [check("listedInvocation", json.loads(line)) for line in listed]
    assert [one["id"] for one in found] == ids.split()
    text = shell("invocations", *options.split()).stdout
    assert [one for one in ("r1", "r2", "r3", "q4") if f" {one} " in text] == ids.split()


def test_for_people_it_is_a_table_and_for_one_all_of_it(shell: Shell, session: Session) -> None:
    session.journal.__exit__()
    table = shell("invocations").stdout
    for part in ("Greeter", '{"n": 1}', '{"total": 1}', "KeyError: 'total'", "lost"):
        assert part in table
    text = shell("invocation", "r3").stdout
    for part in ("Greeter  r3", "failed", '"n": 1', "error: KeyError: 'total'", "File app.py"):
        assert part in text


def test_one_is_found_by_the_beginning_of_its_id_also_from_below(
    shell: Shell, session: Session
) -> None:
    session.journal.__exit__()
    (shell.project / "src").mkdir()
    shell.project = shell.project / "src"
    for id_ in ("q4", "q", "last"):
        found = check("invocation", shell.json("invocation", id_))
        assert (found["id"], found["payload"], found["state"]) == ("q4", {"n": 1}, "lost")
    several = shell("invocation", "r")
    assert several.returncode == 1
    for line in ("r1  Greeter  succeeded", "r3  Greeter  failed"):
        assert line in several.stderr
    assert shell("invocation", "zz").returncode == 1


class Follower:
    """``plldb invocations --follow`` in JSON; its lines are read as they come."""

    def __init__(self, shell: Shell) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "plldb", "invocations", "-f", "--limit=1", "--output=json"],
            cwd=shell.project,
            env=os.environ | {"PLLDB_HOME": str(shell.home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def wait_for(self, id_: str, state: str) -> None:
        found: dict[str, Any] = {}
        while (found.get("id"), found.get("state")) != (id_, state):
            found = check("listedInvocation", json.loads(self._lines.get(timeout=40)))

    def end(self) -> tuple[int, str]:
        """Its exit code after Ctrl-C, and what it said on stderr."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.stderr is not None
        return self.process.wait(40), self.process.stderr.read()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


def test_it_follows_what_goes_on_until_ctrl_c(shell: Shell, session: Session) -> None:
    follower = Follower(shell)
    try:
        follower.wait_for("q4", "paused")
        session.run("r5", 5.0)
        follower.wait_for("r5", "finished")
        with Session(shell.place.journals) as other:
            other.run("r6", 6.0)
            follower.wait_for("r6", "finished")
        session.journal.__exit__()
        follower.wait_for("q4", "lost")
        assert follower.end() == (0, "")
    finally:
        follower.close()


@pytest.mark.parametrize(
    ("profile", "in_background", "says", "is_kept"),
    [
        (None, False, "", True),
        ("work", False, "", False),
        ("work", True, "", True),
        ("work", False, "invocations = true", True),
        (None, True, "invocations = false", False),
    ],
)
def test_of_aws_they_are_written_down_in_the_background_or_if_the_settings_file_says_so(
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    profile: str | None,
    in_background: bool,
    says: str,
    is_kept: bool,
) -> None:
    profiles = shell.project / "profiles"
    profiles.write_text("[profile work]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(profiles))
    monkeypatch.setenv("PLLDB_HOME", str(shell.home))
    monkeypatch.chdir(shell.project)
    file = shell.project / "plldb.toml"
    file.write_text(f"[record]\n{says}\n")
    endpoint_url = None if profile else "http://127.0.0.1:1"
    factory = Factory(Options(profile=profile, endpoint_url=endpoint_url), str(file))
    with (
        click.Context(click.Command("attach")),
        closing(factory),
        open_journal(factory, ["shop"], None, in_background, History(["shop"])) as journal,
    ):
        assert (journal is not None) == is_kept


def test_and_must_say_so_by_a_boolean(shell: Shell) -> None:
    (shell.project / "plldb.toml").write_text('[record]\ninvocations = "no"\n')
    failed = shell("invocations")
    assert failed.returncode == 2
    assert "invocations" in failed.stderr
    assert "true or false" in failed.stderr
