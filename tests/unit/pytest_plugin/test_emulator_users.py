"""The emulator of all processes that run tests: who starts it, and who stops it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from plldb.emulators.base import RunningEmulator
from plldb.emulators.lifecycle import Lifecycle
from plldb.emulators.state import StateFile
from plldb.errors import EmulatorError
from plldb.pytest_plugin.emulator_users import EmulatorUsers
from tests.unit.fakes import Answer, FakeEmulator, local_server


@pytest.fixture
def emulator() -> Iterator[FakeEmulator]:
    with local_server(lambda _: Answer(200)) as server:
        yield FakeEmulator(server.url)


@pytest.fixture
def users(tmp_path: Path, emulator: FakeEmulator) -> EmulatorUsers:
    return EmulatorUsers(tmp_path, lambda _: emulator)


def do_nothing(_: RunningEmulator) -> None:
    pass


def test_the_first_starts_it_and_the_last_stops_it(
    users: EmulatorUsers, emulator: FakeEmulator, tmp_path: Path
) -> None:
    other = EmulatorUsers(tmp_path, lambda _: emulator)
    with ExitStack() as first:
        running = first.enter_context(users.using("fake", do_nothing))
        with other.using("fake", do_nothing) as same:
            assert same == running
            first.close()
            assert len(emulator.alive) == 1, "another one uses it"
        assert emulator.alive == set()
    assert emulator.started == 1


def test_one_that_runs_already_is_used_and_left(
    users: EmulatorUsers, emulator: FakeEmulator, tmp_path: Path
) -> None:
    lifecycle = Lifecycle(tmp_path, lambda _: emulator)
    found = lifecycle.up("fake", None).running
    with users.using(None, do_nothing) as running:
        assert running == found
    assert lifecycle.status() == found


def test_another_one_than_the_named_is_refused(
    users: EmulatorUsers, emulator: FakeEmulator, tmp_path: Path
) -> None:
    Lifecycle(tmp_path, lambda _: emulator).up("fake", None)
    with pytest.raises(EmulatorError, match="runs already"), users.using("other", do_nothing):
        pytest.fail("it is another engine")


def test_whoever_was_killed_does_not_count(
    users: EmulatorUsers, emulator: FakeEmulator, tmp_path: Path
) -> None:
    with users.using("fake", do_nothing):
        file = tmp_path / "pytest-users.json"
        content = json.loads(file.read_text())
        content["processes"].append([1, 1.0])
        file.write_text(json.dumps(content))
    assert emulator.alive == set()


def test_what_killed_tests_have_left_is_stopped_by_the_next(
    users: EmulatorUsers, emulator: FakeEmulator, tmp_path: Path
) -> None:
    running = Lifecycle(tmp_path, lambda _: emulator).up("fake", None).running
    content = {"started": running.to_json(), "processes": [[1, 1.0]]}
    (tmp_path / "pytest-users.json").write_text(json.dumps(content))
    with users.using(None, do_nothing) as same:
        assert same == running
    assert emulator.alive == set()


def test_whose_owner_was_killed_has_another_one_and_is_stopped(
    users: EmulatorUsers, emulator: FakeEmulator, tmp_path: Path
) -> None:
    """As where one of several workers crashes: nobody else may take it away from the others."""
    running = Lifecycle(tmp_path, lambda _: emulator).up("fake", None, is_owned=True).running
    orphan = replace(running, owner_pid=1, owner_started=1.0)
    StateFile(tmp_path).write(orphan)
    with users.using(None, do_nothing):
        known = StateFile(tmp_path).read()
        assert known is not None
        assert known.owner_pid == os.getpid()
    assert emulator.alive == set()


def test_a_file_that_makes_no_sense_is_none(
    users: EmulatorUsers, emulator: FakeEmulator, tmp_path: Path
) -> None:
    (tmp_path / "pytest-users.json").write_text("[")
    with users.using("fake", do_nothing):
        assert len(emulator.alive) == 1
    assert emulator.alive == set()


def test_if_it_can_not_be_prepared_it_is_stopped(
    users: EmulatorUsers, emulator: FakeEmulator
) -> None:
    def fail(_: RunningEmulator) -> None:
        raise EmulatorError("no helper stack")

    with pytest.raises(EmulatorError, match="no helper stack"), users.using("fake", fail):
        pytest.fail("nothing is there")
    assert emulator.alive == set()
