"""Checks of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plldb import __version__
from plldb.doctor import machine
from plldb.doctor.facts import Facts
from plldb.doctor.findings import CheckStatus
from plldb.emulators.base import RunningEmulator
from plldb.emulators.state import StateFile
from tests.unit.doctor.patient import patient
from tests.unit.fakes import Answer, FakeEmulator, local_server


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    return patient(home=tmp_path)


def started(home: Path, emulator: FakeEmulator) -> Facts:
    """Of a machine on which ``plldb local up`` started this one."""
    StateFile(home).write(emulator.start(None))
    return patient(home=home, emulator=emulator)


def test_python_and_the_version(facts: Facts) -> None:
    assert f"plldb {__version__} on Python 3." in machine.check_python(facts).found


def test_packages_are_for_information(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(machine.OPTIONAL_PACKAGES, "no-such-package", "nothing")
    found = machine.check_packages(facts)
    assert found.status is CheckStatus.OK
    assert "no-such-package is not installed (nothing)" in found.found


def test_where_calls_go(facts: Facts) -> None:
    assert "the test (us-east-1)" in machine.check_target(facts).found


class TestEmulator:
    def test_none_is_fine(self, facts: Facts) -> None:
        assert machine.check_emulator(facts).status is CheckStatus.OK

    def test_one_that_is_healthy(self, tmp_path: Path) -> None:
        with local_server(lambda _: Answer(200)) as server:
            facts = started(tmp_path, FakeEmulator(server.url))
            assert machine.check_emulator(facts).status is CheckStatus.OK

    def test_one_that_is_not(self, tmp_path: Path) -> None:
        with local_server(lambda _: Answer(500)) as server:
            found = machine.check_emulator(started(tmp_path, FakeEmulator(server.url)))
        assert found.status is CheckStatus.PROBLEM
        assert "it answers 500" in found.found

    def test_one_that_does_not_answer(self, tmp_path: Path) -> None:
        facts = started(tmp_path, FakeEmulator("http://127.0.0.1:9"))
        assert "ConnectionError" in machine.check_emulator(facts).found

    def test_one_that_died(self, tmp_path: Path) -> None:
        emulator = FakeEmulator("http://127.0.0.1:9")
        facts = started(tmp_path, emulator)
        emulator.alive.clear()
        found = machine.check_emulator(facts)
        assert found.status is CheckStatus.PROBLEM
        assert "plldb local down" in (found.hint or "")

    def test_one_whose_start_was_interrupted(self, facts: Facts) -> None:
        StateFile(facts.context.home).write(RunningEmulator("fake", "", ""))
        assert machine.check_emulator(facts).status is CheckStatus.PROBLEM

    def test_without_the_local_extra_it_is_not_looked_at(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        facts = started(tmp_path, FakeEmulator("http://127.0.0.1:9"))
        monkeypatch.setattr(machine, "LOCAL_EXTRA", ("no_such_module",))
        found = machine.check_emulator(facts)
        assert found.status is CheckStatus.SKIPPED
        assert ".[local]" in (found.hint or "")


class TestDocker:
    @pytest.fixture(autouse=True)
    def _no_engine(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")

    def test_who_does_not_use_it_does_not_miss_it(self, facts: Facts) -> None:
        found = machine.check_docker(facts)
        assert found.status is CheckStatus.OK
        assert "no engine answers" in found.found

    def test_who_started_localstack_does(self, tmp_path: Path) -> None:
        facts = started(tmp_path, FakeEmulator("http://127.0.0.1:9", name="localstack"))
        assert machine.check_docker(facts).status is CheckStatus.PROBLEM

    def test_it_may_not_be_installed(self, facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(machine, "LOCAL_EXTRA", ("no_such_module",))
        assert "not installed: no_such_module" in machine.check_docker(facts).found
