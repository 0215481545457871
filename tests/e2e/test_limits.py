"""API Gateway's limits of a connection, shortened: a session outlives them, unnoticed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from plldb.aws import Target
from plldb.config import EmulatorAddress, TargetSettings

from .extension.conftest import container
from .project import Project, deployed_project
from .support import Plldb, clean_environment

pytestmark = pytest.mark.needs("container")

# On AWS 10 minutes and 2 hours. A heartbeat and a refresh of `plldb attach` come well before each.
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


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    limits = {
        "TOKENFREE_WEBSOCKET_IDLE_SECONDS": _IDLE_SECONDS,
        "TOKENFREE_WEBSOCKET_MAX_SECONDS": _MAX_SECONDS,
    }
    with container(limits) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def impatient(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Plldb:
    """The command line, with an emulator that drops connections early."""
    plldb = Plldb(
        clean_environment()
        | {
            "PLLDB_HOME": str(tmp_path_factory.mktemp("home")),
            "PLLDB_ENDPOINT_URL": endpoint,
            "PLLDB_INSIDE_ENDPOINT_URL": _INSIDE,
        }
    )
    plldb("bootstrap", timeout=300).succeeded()
    return plldb


@pytest.fixture
def project(impatient: Plldb, endpoint: str, tmp_path: Path) -> Iterator[Project]:
    address = EmulatorAddress(endpoint, _INSIDE)
    target = Target(TargetSettings("emulator", "us-east-1", emulator=address))
    with deployed_project(target, tmp_path / "project", ["Slow", "Fast"]) as project:
        project.write("Slow", _SLOW)
        yield project


def events(attached: Any, name: str) -> list[dict[str, Any]]:
    return [event for event in attached.seen if event["event"] == name]


def test_a_session_outlives_its_connections_and_loses_no_invocation(
    impatient: Plldb, project: Project
) -> None:
    before = project.configurations()
    plldb = impatient.with_environment(
        PLLDB_REFRESH_SECONDS=_REFRESH_SECONDS, PLLDB_HEARTBEAT_SECONDS=_HEARTBEAT_SECONDS
    )
    with (
        plldb.attach(project.stack_name, "--template", project.template) as attached,
        ThreadPoolExecutor(4) as pool,
    ):
        attached.wait_for("ready", 60)
        # Twice the life of a connection.
        slow = [pool.submit(project.invoke, "Slow", n) for n in range(24)]
        answers = [call.result(120).json for call in slow]
        fast = [project.invoke("Fast", n).json["ran"] for n in range(5)]
        attached.signal(signal.SIGINT)
        assert attached.exit_code(60) == 0, attached.errors()

    assert answers == [{"ran": "here", "event": n} for n in range(24)]
    assert fast == ["here"] * 5
    assert len(events(attached, "session.created")) == 1
    assert events(attached, "reconnecting") == []
    assert [event["outcome"] for event in events(attached, "invocation")] == ["succeeded"] * 29
    assert project.configurations() == before


def test_without_a_refresh_it_attaches_again(impatient: Plldb, project: Project) -> None:
    """The same limits, and a client that thinks it has two hours."""
    before = project.configurations()
    plldb = impatient.with_environment(PLLDB_HEARTBEAT_SECONDS=_HEARTBEAT_SECONDS)
    with plldb.attach(project.stack_name, "--template", project.template) as attached:
        attached.wait_for("ready", 60)
        attached.wait_for("reconnecting", 60)
        attached.wait_for("ready", 60)
        assert project.invoke("Fast", 1).json["ran"] == "here"
        attached.signal(signal.SIGINT)
        assert attached.exit_code(60) == 0, attached.errors()
    assert project.configurations() == before


def test_without_heartbeats_an_idle_connection_is_dropped(
    impatient: Plldb, project: Project
) -> None:
    """So the limits above are real."""
    plldb = impatient.with_environment(PLLDB_REFRESH_SECONDS="3600")
    with plldb.attach(project.stack_name, "--template", project.template) as attached:
        attached.wait_for("ready", 60)
        attached.wait_for("reconnecting", 60)
        attached.signal(signal.SIGINT)
        attached.exit_code(60)
