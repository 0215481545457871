"""Up, down and status: one emulator at a time, whatever a crash left behind."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from plldb.emulators.base import RunningEmulator
from plldb.emulators.lifecycle import Lifecycle
from plldb.emulators.state import StateFile
from plldb.errors import EmulatorError
from tests.unit.fakes import Answer, FakeEmulator, local_server


@pytest.fixture
def emulator() -> Iterator[FakeEmulator]:
    with local_server(lambda _: Answer(200)) as server:
        yield FakeEmulator(server.url)


@pytest.fixture
def lifecycle(tmp_path: Path, emulator: FakeEmulator) -> Lifecycle:
    return Lifecycle(tmp_path / "home", lambda _: emulator)


def port_of(emulator: FakeEmulator) -> int:
    return int(emulator.endpoint_url.rpartition(":")[2])


class TestUp:
    def test_it_starts_and_is_found(self, lifecycle: Lifecycle, emulator: FakeEmulator) -> None:
        started = lifecycle.up("fake", None)
        assert started.is_new
        assert lifecycle.status() == started.running
        assert started.running.endpoint_url == emulator.endpoint_url

    def test_again_it_leaves_it_as_it_is(
        self, lifecycle: Lifecycle, emulator: FakeEmulator
    ) -> None:
        first = lifecycle.up("fake", None)
        for port in (None, port_of(emulator)):
            again = lifecycle.up("fake", port)
            assert (again.running, again.is_new) == (first.running, False)
        assert emulator.started == 1

    @pytest.mark.parametrize(("name", "port"), [("other", None), ("fake", 1)])
    def test_another_one_beside_it_is_refused(
        self, lifecycle: Lifecycle, emulator: FakeEmulator, name: str, port: int | None
    ) -> None:
        lifecycle.up("fake", None)
        with pytest.raises(EmulatorError, match="runs already") as raised:
            lifecycle.up(name, port)
        assert "plldb local down" in str(raised.value.hint)
        assert len(emulator.alive) == 1

    def test_after_one_that_died_it_starts_anew(
        self, lifecycle: Lifecycle, emulator: FakeEmulator
    ) -> None:
        first = lifecycle.up("fake", None).running
        emulator.alive.clear()
        assert lifecycle.status() is None
        second = lifecycle.up("fake", None)
        assert second.is_new
        assert second.running != first

    def test_after_a_state_file_that_is_junk_too(
        self, lifecycle: Lifecycle, tmp_path: Path
    ) -> None:
        lifecycle.up("fake", None)
        lifecycle.down()
        (tmp_path / "home" / "emulator.json").write_text("junk")
        assert lifecycle.status() is None
        assert lifecycle.up("fake", None).is_new

    def test_30_at_once_start_one(self, tmp_path: Path, emulator: FakeEmulator) -> None:
        barrier = threading.Barrier(30)

        def up(_: int) -> bool:
            lifecycle = Lifecycle(tmp_path, lambda _: emulator)
            barrier.wait()
            return lifecycle.up("fake", None).is_new

        with ThreadPoolExecutor(30) as pool:
            results = list(pool.map(up, range(30)))
        assert sum(results) == 1
        assert emulator.started == 1


class TestFailedStart:
    @pytest.mark.parametrize("starts", [True, False], ids=["never healthy", "ended at once"])
    def test_nothing_is_left(self, tmp_path: Path, starts: bool) -> None:
        with local_server(lambda _: Answer(503)) as server:
            emulator = FakeEmulator(server.url, starts=starts)
            lifecycle = Lifecycle(tmp_path, lambda _: emulator)
            with pytest.raises(EmulatorError, match="cursed"):
                lifecycle.up("fake", None, timeout_seconds=0)
        assert emulator.alive == set()
        assert emulator.sweeps
        assert lifecycle.status() is None
        assert StateFile(tmp_path).read() is None

    def test_nor_after_ctrl_c(self, tmp_path: Path) -> None:
        class Interrupted(FakeEmulator):
            def health_url(self, running: RunningEmulator) -> str:
                raise KeyboardInterrupt

        emulator = Interrupted("http://127.0.0.1:1")
        lifecycle = Lifecycle(tmp_path, lambda _: emulator)
        with pytest.raises(KeyboardInterrupt):
            lifecycle.up("fake", None)
        assert emulator.alive == set()
        assert lifecycle.status() is None

    def test_one_that_can_not_even_start(self, tmp_path: Path) -> None:
        class Broken(FakeEmulator):
            def start(self, port: int | None) -> RunningEmulator:
                raise EmulatorError("not installed")

        lifecycle = Lifecycle(tmp_path, lambda _: Broken("http://127.0.0.1:1"))
        for _ in range(2):
            with pytest.raises(EmulatorError, match="not installed"):
                lifecycle.up("fake", None)
        assert lifecycle.down() is None


# No process has this number: it is above Linux's limit.
_GONE = {"owner_pid": 2**22 + 1, "owner_started": 1.0}


class TestTakeOver:
    @pytest.fixture
    def left(self, tmp_path: Path, emulator: FakeEmulator) -> RunningEmulator:
        """What an owner that was killed has left running."""
        running = replace(emulator.start(None), **_GONE)
        StateFile(tmp_path / "home").write(running)
        return running

    def test_of_what_a_killed_owner_left(
        self, lifecycle: Lifecycle, emulator: FakeEmulator, left: RunningEmulator
    ) -> None:
        taken = lifecycle.take_over()
        assert taken == lifecycle.status()
        assert taken is not None
        assert taken.owner_pid == os.getpid()
        assert taken.address == left.address
        assert lifecycle.take_over() is None, "it has an owner again"
        assert lifecycle.down(only=taken) == taken
        assert emulator.alive == set()

    def test_or_it_has_no_owner_any_more(self, lifecycle: Lifecycle, left: RunningEmulator) -> None:
        taken = lifecycle.take_over(is_owned=False)
        assert taken == replace(left, owner_pid=0, owner_started=0.0) == lifecycle.status()
        assert lifecycle.take_over() is None

    def test_whoever_wants_it_up_takes_it_from_the_owner_that_is_gone(
        self, lifecycle: Lifecycle, left: RunningEmulator
    ) -> None:
        assert lifecycle.up("fake", None).running.owner_pid == 0
        assert lifecycle.take_over() is None

    @pytest.mark.parametrize("is_owned", [False, True])
    def test_not_of_what_is_another_s(self, lifecycle: Lifecycle, *, is_owned: bool) -> None:
        assert lifecycle.take_over() is None, "nothing runs"
        running = lifecycle.up("fake", None, is_owned=is_owned).running
        assert (running.owner_pid == os.getpid()) is is_owned
        assert lifecycle.take_over() is None
        assert lifecycle.up("fake", None).running == running

    def test_of_one_whose_owner_s_number_another_process_has_now(
        self, lifecycle: Lifecycle, tmp_path: Path, left: RunningEmulator
    ) -> None:
        StateFile(tmp_path / "home").write(replace(left, owner_pid=os.getpid()))
        assert lifecycle.take_over() is not None

    def test_or_it_is_stopped(
        self, lifecycle: Lifecycle, emulator: FakeEmulator, left: RunningEmulator
    ) -> None:
        assert lifecycle.down_if_left() == left
        assert emulator.alive == set()
        assert lifecycle.down_if_left() is None
        for is_owned in (False, True):
            running = lifecycle.up("fake", None, is_owned=is_owned).running
            assert lifecycle.down_if_left() is None, "it is another's"
            assert lifecycle.down(only=running) == running

    def test_one_that_does_not_answer_is_said(self, tmp_path: Path) -> None:
        with local_server(lambda _: Answer(503)) as server:
            emulator = FakeEmulator(server.url)
            StateFile(tmp_path).write(replace(emulator.start(None), **_GONE))
            with pytest.raises(EmulatorError, match="not ready"):
                Lifecycle(tmp_path, lambda _: emulator).take_over(timeout_seconds=0)


class TestDown:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_meanwhile_leaves_nothing_half_stopped(
        self, tmp_path: Path, number: signal.Signals
    ) -> None:
        class Impatient(FakeEmulator):
            def stop(self) -> None:
                signal.raise_signal(number)
                super().stop()

        with local_server(lambda _: Answer(200)) as server:
            emulator = Impatient(server.url)
            lifecycle = Lifecycle(tmp_path, lambda _: emulator)
            lifecycle.up("fake", None)
            before = signal.getsignal(number)
            assert lifecycle.down() is not None
        assert emulator.alive == set()
        assert StateFile(tmp_path).read() is None
        assert signal.getsignal(number) is before

    def test_it_stops_what_up_started(self, lifecycle: Lifecycle, emulator: FakeEmulator) -> None:
        running = lifecycle.up("fake", None).running
        assert lifecycle.down() == running
        assert (emulator.alive, lifecycle.status()) == (set(), None)

    def test_again_it_does_nothing(self, lifecycle: Lifecycle, emulator: FakeEmulator) -> None:
        assert lifecycle.down() is None
        lifecycle.up("fake", None)
        lifecycle.down()
        assert lifecycle.down() is None
        assert emulator.sweeps == 1

    def test_of_one_that_died_it_says_that_none_ran(
        self, lifecycle: Lifecycle, emulator: FakeEmulator
    ) -> None:
        lifecycle.up("fake", None)
        emulator.alive.clear()
        assert lifecycle.down() is None
        # Parts of it may still be there, so it is told to clean up all the same.
        assert emulator.sweeps == 1

    def test_it_finds_what_an_interrupted_up_left(
        self, tmp_path: Path, emulator: FakeEmulator
    ) -> None:
        running = emulator.start(None)
        StateFile(tmp_path).write(running)
        assert Lifecycle(tmp_path, lambda _: emulator).down() == running
        assert emulator.alive == set()

    def test_only_a_certain_one_leaves_any_other_alone(
        self, lifecycle: Lifecycle, emulator: FakeEmulator
    ) -> None:
        running = lifecycle.up("fake", None).running
        assert lifecycle.down(only=replace(running, pid=running.pid + 1)) is None
        assert lifecycle.status() == running
        assert lifecycle.down(only=running) == running
        assert lifecycle.status() is None

    @pytest.mark.parametrize("act", [Lifecycle.down, lambda lifecycle: lifecycle.up("fake", None)])
    def test_what_was_started_before_a_crash_could_note_it_is_swept(
        self, tmp_path: Path, emulator: FakeEmulator, act: Callable[[Lifecycle], object]
    ) -> None:
        """The crash comes right after the emulator's start: nobody knows its number."""

        class Crash(BaseException):
            pass

        class Crashing(FakeEmulator):
            def start(self, port: int | None) -> RunningEmulator:
                emulator.start(port)
                raise Crash

            def stop(self) -> None:
                """This process is no more."""
                raise Crash

        with pytest.raises(Crash):
            Lifecycle(tmp_path, lambda _: Crashing(emulator.endpoint_url)).up("fake", None)
        assert emulator.alive == {1}
        act(Lifecycle(tmp_path, lambda _: emulator))
        assert 1 not in emulator.alive


class TestEndedByItself:
    def test_is_told_from_down(self, lifecycle: Lifecycle, emulator: FakeEmulator) -> None:
        running = lifecycle.up("fake", None).running
        assert not lifecycle.ended_by_itself(running)
        emulator.alive.clear()
        assert lifecycle.ended_by_itself(running)
        lifecycle.down()
        assert not lifecycle.ended_by_itself(running)
