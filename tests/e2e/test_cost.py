"""What a deed takes, counted; docs/cost.md is computed from it. See tools/cost.py.

With COUNTED_UNITS, a file, what was counted is written there (``make cost``). Without it, what is
written is held against what is counted: it may not have become more.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lambda_functions.websocket import wire

from plldb.aws import Target
from plldb.config import EmulatorAddress
from tools.cost import COUNTED, read_counted

from .metering import Meter, metered
from .project import Project, attach, deployed_project, detach
from .support import Backend, Plldb, ask, function_records, poll

pytestmark = pytest.mark.needs("process")

# As log lines call the functions that read and write an item or two.
_SHORT = {"management", "authorizer", "connect", "disconnect", "message"}
_TIMES = 10
# How much more than what is written a busy machine may have something take: an answer that comes
# late is asked for once more.
_TOLERANCE = 1.1


@dataclass(frozen=True)
class Count:
    """What was counted between two moments."""

    units: Mapping[str, float]

    def __getitem__(self, unit: str) -> float:
        return self.units.get(unit, 0)

    def over(self, times: int) -> dict[str, float]:
        return {unit: round(count / times, 1) for unit, count in self.units.items()}


class Counting:
    """Begins with it, and says at any time what there was since."""

    def __init__(self, backend: Backend, meter: Meter) -> None:
        self._backend, self._meter = backend, meter
        self._began, self._before = time.time(), meter.read()

    def runs(self) -> Counter[str]:
        """By the function's name in the log."""
        records = function_records(self._backend, self._began)
        return Counter(str(record["Function"]) for record in records if "Function" in record)

    def count(self) -> Count:
        runs = self.runs()
        units = {
            unit: total - self._before.get(unit, 0) for unit, total in self._meter.read().items()
        }
        return Count(
            {
                **units,
                "short_runs": sum(runs[name] for name in _SHORT),
                "instrumentation_runs": runs["instrumentation"],
                "messages_in": runs["message"],
            }
        )


@pytest.fixture(scope="module")
def meter(backend: Backend, address: EmulatorAddress) -> Iterator[Meter]:
    with metered(backend, address.endpoint_url) as meter:
        yield meter


@pytest.fixture
def project(meter: Meter, target: Target, tmp_path: Path) -> Iterator[Project]:
    with deployed_project(target, tmp_path / "project", ["Alpha"]) as project:
        yield project


def compare(deed: str, counted: Mapping[str, float]) -> None:
    """Writes it, or holds it against what is written."""
    written = read_counted()[deed]
    counted = {unit: count for unit, count in counted.items() if unit in written}
    if path := os.environ.get("COUNTED_UNITS"):
        document: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        document[deed] |= {"counted": "on the emulator"} | counted
        Path(path).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        return
    too_many = {unit: count for unit, count in counted.items() if count > _limit(written[unit])}
    assert not too_many, f"{deed}: {COUNTED.name} says {written}; after a change: make cost"


def _limit(written: float) -> float:
    return written * _TOLERANCE + 0.1


def test_an_invocation(plldb: Plldb, backend: Backend, meter: Meter, project: Project) -> None:
    """Function, helper stack and debugger know each other already."""
    with attach(plldb.with_environment(PLLDB_WATCH_SECONDS="3600"), project) as attached:
        attached.wait_for("ready")
        poll(lambda: project.invoke("Alpha").json["ran"] == "here", "it runs here")
        poll(lambda: project.invoke("Alpha").json["ran"] == "here", "and once more")
        counting = Counting(backend, meter)
        for _ in range(_TIMES):
            assert project.invoke("Alpha").json["ran"] == "here"
        poll(lambda: counting.runs()["message"] >= 2 * _TIMES, "all is logged")
        count = counting.count()
        detach(attached)

    # What a debugger or a function sends is answered, on its own connection, once at most.
    messages = 2 * count["messages_in"] + count["posted"]
    compare("invocation", Count(dict(count.units) | {"websocket_message": messages}).over(_TIMES))


def test_a_session(plldb: Plldb, backend: Backend, meter: Meter, project: Project) -> None:
    """But for what the reaper does after its end."""
    before = project.configurations()
    counting = Counting(backend, meter)
    with attach(plldb.with_environment(PLLDB_WATCH_SECONDS="3600"), project) as attached:
        attached.wait_for("ready")
        detach(attached)
    project.wait_until_restored(before)
    poll(lambda: counting.runs()["instrumentation"] >= 2, "all is logged")
    poll(lambda: counting.runs()["disconnect"], "it is disconnected")
    count = counting.count()

    written = read_counted()["session"]
    for unit in ("dynamodb_write", "dynamodb_read", "short_runs", "instrumentation_runs"):
        assert count[unit] <= _limit(written[unit]), (unit, count, written)
    # Most of it, so that what is written is no mere guess.
    assert count["dynamodb_write"] >= written["dynamodb_write"] / 2, count


def test_a_heartbeat(backend: Backend, meter: Meter) -> None:
    session_id = backend.new_session()
    counts = []

    async def talk() -> None:
        async with backend.connect(session_id) as websocket:
            await ask(websocket, wire.heartbeat_message(session_id))
            counting = Counting(backend, meter)
            for _ in range(_TIMES):
                await ask(websocket, wire.heartbeat_message(session_id))
            await asyncio.to_thread(
                poll, lambda: counting.runs()["message"] >= _TIMES, "all is logged"
            )
            counts.append(counting.count())

    asyncio.run(talk())
    (count,) = counts
    messages = 2 * count["messages_in"] + count["posted"]
    compare("heartbeat", Count(dict(count.units) | {"websocket_message": messages}).over(_TIMES))


def test_a_sweep_of_the_reaper_that_finds_nothing(backend: Backend, meter: Meter) -> None:
    """However many sessions and invocations there have been: they are in no index any more."""
    poll(lambda: not any(backend.reap().values()), "nothing is left to be ended")
    # What it is still to restore is settled with the second of these.
    backend.reap()
    before = meter.read()
    for _ in range(_TIMES):
        backend.reap()
    after = meter.read()
    reads = after["dynamodb_read"] - before.get("dynamodb_read", 0)
    compare("sweep", Count({"dynamodb_read": reads}).over(_TIMES))
