"""API Gateway's limits of a connection, shortened: a session outlives them, unnoticed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plldb.aws import Target
from plldb.config import EmulatorAddress, TargetSettings

from .extension.conftest import container
from .project import Project, assert_restored, attach, deployed_project, detach
from .support import Attached, Plldb, clean_environment

pytestmark = pytest.mark.needs("container")

# On AWS 10 minutes and 2 hours. A heartbeat and a move of `plldb attach` come well before each.
_IDLE_SECONDS, _HEARTBEAT_SECONDS = "6", "1"
_MAX_SECONDS, _REFRESH_SECONDS = "15", "5"
_INSIDE = "http://localhost:4566"

# A third of a connection's life: some of them begin on one and end on another.
_SLOW = """
    import time

    def handler(event, context):
        time.sleep(5)
        return {"ran": "here", "event": event}
"""


@dataclass(frozen=True)
class Emulator:
    """One that drops connections early, with a helper stack in it."""

    plldb: Plldb
    target: Target


@contextmanager
def emulator(limits: dict[str, str], home: Path) -> Iterator[Emulator]:
    with container(limits) as endpoint:
        plldb = Plldb(
            clean_environment()
            | {
                "PLLDB_HOME": str(home),
                "PLLDB_ENDPOINT_URL": endpoint,
                "PLLDB_INSIDE_ENDPOINT_URL": _INSIDE,
            }
        )
        plldb("bootstrap", timeout=300).succeeded()
        address = EmulatorAddress(endpoint, _INSIDE)
        yield Emulator(plldb, Target(TargetSettings("emulator", "us-east-1", emulator=address)))


@pytest.fixture(scope="module")
def aging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    limits = {"TOKENFREE_WEBSOCKET_MAX_SECONDS": _MAX_SECONDS}
    with emulator(limits, tmp_path_factory.mktemp("home")) as aging:
        yield aging


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    limits = {"TOKENFREE_WEBSOCKET_IDLE_SECONDS": _IDLE_SECONDS}
    with emulator(limits, tmp_path_factory.mktemp("home")) as impatient:
        yield impatient


def events(attached: Attached, name: str) -> list[dict[str, Any]]:
    """All of that name, once it has exited."""
    return [event for event in attached.seen if event["event"] == name]


class TestAge:
    """No connection lives longer, however busy it is."""

    @pytest.fixture
    def project(self, aging: Emulator, tmp_path: Path) -> Iterator[Project]:
        with deployed_project(aging.target, tmp_path / "project", ["Slow", "Fast"]) as project:
            project.write("Slow", _SLOW)
            yield project

    def test_a_session_outlives_its_connections_and_loses_no_invocation(
        self, aging: Emulator, project: Project
    ) -> None:
        before = project.configurations()
        plldb = aging.plldb.with_environment(PLLDB_REFRESH_SECONDS=_REFRESH_SECONDS)
        with attach(plldb, project) as attached, ThreadPoolExecutor(4) as pool:
            attached.wait_for("ready")
            # Twice the life of a connection.
            slow = [pool.submit(project.invoke, "Slow", n) for n in range(24)]
            answers = [call.result(120).json for call in slow]
            fast = [project.invoke("Fast", n).json["ran"] for n in range(5)]
            detach(attached)

        assert answers == [{"ran": "here", "event": n} for n in range(24)]
        assert fast == ["here"] * 5
        assert events(attached, "resumed"), "another session took over"
        assert events(attached, "reconnecting") == []
        assert [event["outcome"] for event in events(attached, "invocation")] == ["succeeded"] * 29
        assert_restored(attached, project.configurations, before)

    def test_without_a_move_it_attaches_again(self, aging: Emulator, project: Project) -> None:
        """The same limit, and a client that thinks it has two hours."""
        before = project.configurations()
        with attach(aging.plldb, project) as attached:
            attached.wait_for("ready")
            attached.wait_for("reconnecting")
            attached.wait_for("resumed")
            assert project.invoke("Fast", 1).json["ran"] == "here"
            detach(attached)
        assert_restored(attached, project.configurations, before)


class TestIdleness:
    """No connection lives longer on which nothing is said."""

    @pytest.fixture
    def project(self, impatient: Emulator, tmp_path: Path) -> Iterator[Project]:
        folder = tmp_path / "project"
        with deployed_project(impatient.target, folder, ["Kept", "Dropped"]) as project:
            yield project

    def test_heartbeats_keep_a_connection_that_is_dropped_without_them(
        self, impatient: Emulator, project: Project
    ) -> None:
        before = project.configurations()
        beating = impatient.plldb.with_environment(PLLDB_HEARTBEAT_SECONDS=_HEARTBEAT_SECONDS)
        with (
            attach(beating, project, "--function", "Kept") as kept,
            attach(impatient.plldb, project, "--function", "Dropped") as dropped,
        ):
            kept.wait_for("ready")
            dropped.wait_for("ready")
            for _ in range(2):
                dropped.wait_for("reconnecting")
                dropped.wait_for("resumed")
            assert project.invoke("Kept", 1).json["ran"] == "here"
            detach(dropped)
            detach(kept)

        assert events(kept, "reconnecting") == []
        assert len(events(kept, "session.created")) == 1
        assert_restored(dropped, lambda: project.configuration("Dropped"), before["Dropped"])
        assert_restored(kept, project.configurations, before)
