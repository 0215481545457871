"""``plldb local``: one emulator, found, stopped, and never mistaken for another."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from .support import DEADLINE_SECONDS, Plldb, clean_environment, poll


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def plldb(home: Path) -> Iterator[Plldb]:
    """A command line without an emulator."""
    command = Plldb(clean_environment() | {"PLLDB_HOME": str(home)})
    try:
        yield command
    finally:
        command("local", "down").succeeded()


def status(plldb: Plldb) -> dict[str, object]:
    return plldb("local", "status", "--output", "json").succeeded().json


def up(plldb: Plldb, *arguments: str) -> dict[str, object]:
    command = ("local", "up", "--detach", "--output", "json", *arguments)
    return plldb(*command).succeeded().json


def test_up_status_down(plldb: Plldb) -> None:
    assert status(plldb) == {"running": False}

    started = up(plldb)

    assert set(started) == {"endpointUrl", "emulator", "pid", "containerId"}
    assert status(plldb) == {"running": True} | started
    assert requests.get(f"{started['endpointUrl']}/_ministack/health", timeout=DEADLINE_SECONDS).ok
    assert plldb("local", "down", "--output", "json").json == {"running": False, "stopped": True}
    assert status(plldb) == {"running": False}
    assert not psutil.pid_exists(int(str(started["pid"]))) or (
        psutil.Process(int(str(started["pid"]))).status() == psutil.STATUS_ZOMBIE
    )


def test_down_and_status_succeed_when_nothing_runs(plldb: Plldb) -> None:
    for _ in range(2):
        assert plldb("local", "down", "--output", "json").succeeded().json["stopped"] is False


def test_up_twice_is_one_emulator(plldb: Plldb) -> None:
    assert up(plldb) == up(plldb)


def test_two_ups_at_the_same_time_are_one_emulator(plldb: Plldb) -> None:
    command = ("local", "up", "--detach", "--output", "json")
    answers = [process.communicate()[0] for process in [plldb.start(*command) for _ in range(4)]]

    assert len({json.loads(answer)["pid"] for answer in answers}) == 1


def test_it_listens_on_loopback_only(plldb: Plldb) -> None:
    process = psutil.Process(int(str(up(plldb)["pid"])))

    listening = [c for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]

    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}


def test_the_given_port_is_used_and_a_taken_one_is_refused(plldb: Plldb) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = plldb("local", "up", "--detach", "--port", str(port)).failed()
        assert f"Port {port} can't be used" in refused.stderr
        assert status(plldb) == {"running": False}

    assert up(plldb, "--port", str(port))["endpointUrl"] == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_front_it_stays_until_a_signal_and_leaves_nothing(
    plldb: Plldb, home: Path, number: signal.Signals
) -> None:
    process = plldb.start("local", "up", "--output", "json")
    with process.stdout, process.stderr:
        emulator = psutil.Process(json.loads(process.stdout.readline())["pid"])

        process.send_signal(number)

        assert process.wait(timeout=DEADLINE_SECONDS) == 0
    poll(lambda: not emulator.is_running() or emulator.status() == "zombie", "emulator is gone")
    assert not (home / "emulator.json").exists()
    assert not (home / "tmp").exists()


def test_in_front_it_tells_when_the_emulator_dies(plldb: Plldb) -> None:
    process = plldb.start("local", "up", "--output", "json")
    with process.stdout, process.stderr:
        os.kill(json.loads(process.stdout.readline())["pid"], signal.SIGKILL)

        assert process.wait(timeout=DEADLINE_SECONDS) == 1
        assert "ended by itself" in process.stderr.read()


def test_a_dead_emulator_is_recognised(plldb: Plldb) -> None:
    first = up(plldb)
    os.kill(int(str(first["pid"])), signal.SIGKILL)
    poll(lambda: not status(plldb)["running"], "status tells")

    assert "plldb local up" in plldb("bootstrap").failed().stderr
    assert up(plldb)["pid"] != first["pid"]


def test_down_spares_a_process_that_merely_got_the_number(plldb: Plldb, home: Path) -> None:
    """The state file of an emulator that is long gone, and somebody else's process."""
    home.mkdir()
    stale = {
        "emulator": "ministack",
        "endpoint_url": "http://127.0.0.1:1",
        "inside_url": "http://127.0.0.1:1",
        "pid": os.getpid(),
        "process_started": 1.0,
    }
    (home / "emulator.json").write_text(json.dumps(stale))

    assert status(plldb) == {"running": False}
    assert plldb("local", "down", "--output", "json").json["stopped"] is False


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "null"])
def test_a_damaged_state_file_counts_as_none(plldb: Plldb, home: Path, content: str) -> None:
    home.mkdir()
    (home / "emulator.json").write_text(content)

    assert status(plldb) == {"running": False}
    assert up(plldb)["emulator"] == "ministack"
