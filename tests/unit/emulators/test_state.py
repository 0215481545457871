"""The state file: whole or not there, and never believed blindly."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plldb.config import EmulatorAddress
from plldb.emulators.base import RunningEmulator
from plldb.emulators.state import StateFile

RUNNING = RunningEmulator("ministack", "http://127.0.0.1:1", "http://in:2", 42, 1.5)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "not" / "yet" / "there")
    assert state.read() is None
    state.write(RUNNING)
    assert state.read() == RUNNING
    assert RUNNING.address == EmulatorAddress("http://127.0.0.1:1", "http://in:2")


def test_clear_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    state = StateFile(tmp_path)
    state.write(RUNNING)
    state.clear()
    state.clear()
    assert state.read() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "junk",
    [b"", b"{", b"null", b"[]", b"1", b'"x"', b"{}", b'{"emulator": "x", "more": 1}', b"\xff"],
)
def test_junk_counts_as_nothing(tmp_path: Path, junk: bytes) -> None:
    state = StateFile(tmp_path)
    state.write(RUNNING)
    (file,) = tmp_path.iterdir()
    file.write_bytes(junk)
    assert state.read() is None
    state.write(RUNNING)
    assert state.read() == RUNNING


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary())
def test_any_junk(tmp_path: Path, junk: bytes) -> None:
    state = StateFile(tmp_path)
    state.write(RUNNING)
    (file,) = tmp_path.iterdir()
    file.write_bytes(junk)
    assert state.read() is None


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    state = StateFile(tmp_path)
    versions = [
        RunningEmulator("x" * size, "http://a", "http://a", size) for size in (1, 50_000, 7)
    ]
    state.write(versions[0])
    done = threading.Event()
    seen: list[RunningEmulator | None] = []

    def read() -> None:
        while not done.is_set():
            seen.append(state.read())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(50):
            for version in versions:
                state.write(version)
    finally:
        done.set()
        reader.join()
    assert seen
    assert set(seen) <= set(versions)
    assert len(list(tmp_path.iterdir())) == 1
