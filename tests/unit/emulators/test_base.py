"""Waiting until an emulator is healthy, and finding a port for it."""

from __future__ import annotations

import itertools
import socket

import pytest

from plldb.emulators.base import RunningEmulator, choose_port, wait_until_healthy
from plldb.errors import EmulatorError
from tests.unit.fakes import Answer, FakeEmulator, local_server


def test_it_returns_once_the_health_page_is_good() -> None:
    answers = [Answer(503), Answer(404), Answer(200)]
    with local_server(lambda _: answers.pop(0)) as server:
        emulator = FakeEmulator(server.url)
        wait_until_healthy(emulator, emulator.start(None), 10)
    assert answers == []
    assert {request.path for request in server.requests} == {"/health"}


def test_one_that_ends_first_shows_its_last_log_lines() -> None:
    with local_server(lambda _: Answer(503)) as server:
        emulator = FakeEmulator(server.url, starts=False)
        with pytest.raises(EmulatorError, match=r"(?s)fake ended before.*the port is cursed"):
            wait_until_healthy(emulator, emulator.start(None), 10)


def test_one_that_is_never_healthy_runs_out_of_time() -> None:
    clock = itertools.count()
    with local_server(lambda _: Answer(503)) as server:
        emulator = FakeEmulator(server.url)
        with pytest.raises(EmulatorError, match=r"(?s)not ready within 2 s.*cursed"):
            wait_until_healthy(emulator, emulator.start(None), 2, lambda: float(next(clock)))


class Silent(FakeEmulator):
    def last_log_lines(self, running: RunningEmulator, count: int) -> list[str]:
        return []


def test_one_that_logged_nothing_says_so() -> None:
    with local_server(lambda _: Answer(503)) as server:
        emulator = Silent(server.url, starts=False)
        with pytest.raises(EmulatorError, match="it logged nothing"):
            wait_until_healthy(emulator, emulator.start(None), 10)


def test_a_free_port_is_found() -> None:
    with socket.socket() as taker:
        taker.bind(("127.0.0.1", choose_port(None)))


def test_a_given_port_is_taken_if_it_is_free() -> None:
    port = choose_port(None)
    assert choose_port(port) == port


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taker:
        port = taker.getsockname()[1]
        with pytest.raises(EmulatorError, match=str(port)) as raised:
            choose_port(port)
    assert "--port" in str(raised.value.hint)
