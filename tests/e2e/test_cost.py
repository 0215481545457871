"""What a deed takes, counted; docs/cost.md is computed from it. See tools/cost.py.

With COUNTED_UNITS, a file, what is counted is written there (``make cost``). Without it, what is
written is held against what is counted.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import requests

from plldb.bootstrap.cloudformation.lambda_functions.shared import constants
from tools.cost import read_counted

from .debugging import DEADLINE_SECONDS, attached, function_end, result
from .metering import Meter, Units, metered
from .project import Project, attach, deployed_project, detach
from .support import Backend, Plldb, poll

pytestmark = pytest.mark.needs("process")

World = tuple[Plldb, Backend, Meter]

# On a busy machine, some ask once more. Of so many times, one must take what is written.
_TIMES = 20
# What is written is the least of so many times.
_WRITTEN_TIMES = 3
# These depend on how fast the machine is: how long a run takes, the length of times in a log, and
# how often Lambda is asked whether it is done.
_LOOSE = {"log_bytes": 1.1, "control_call": 1.5, "run_ms": math.inf}
# More than fits a message.
_LARGE = "x" * 40_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with metered(tmp_path_factory.mktemp("metered")) as (plldb, backend, meter):
        yield plldb.with_environment(PLLDB_WATCH_SECONDS="3600"), backend, meter


@pytest.fixture(scope="module")
def project(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("project")
    with deployed_project(world[1].target, folder, ["Alpha", "Beta"]) as project:
        yield project


async def count(
    meter: Meter, deed: str, do: Callable[[], Awaitable[object]], besides: Iterable[str] = ()
) -> None:
    """Does it, and writes what it takes, or holds that against what is written.

    ``besides`` are done with it, and no part of it.
    """
    written = read_counted()
    others = _sum(written[other] for other in besides)
    if path := os.environ.get("COUNTED_UNITS"):
        counts = [await _count_once(meter, do, {}) for _ in range(_WRITTEN_TIMES)]
        written[deed] = _without(_least(counts), others)
        Path(path).write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
        return
    expected = _sum([written[deed], others])
    for _ in range(_TIMES):
        found = await _count_once(meter, do, expected)
        more = [u for u in found if found[u] > expected.get(u, 0) * _LOOSE.get(u, 1)]
        if not more:
            return
    raise AssertionError(f"{deed} takes more {more}: {found}, not {expected}; see 'make cost'")


async def _count_once(meter: Meter, do: Callable[[], Awaitable[object]], expected: Units) -> Units:
    position = meter.position()
    await do()
    least = {unit: number / _LOOSE.get(unit, 1) for unit, number in expected.items()}
    return await asyncio.to_thread(meter.wait_for, position, least)


def _least(counts: list[Units]) -> Units:
    units = dict.fromkeys(unit for one in counts for unit in one)
    return {unit: min(one.get(unit, 0) for one in counts) for unit in units}


def _sum(counts: Iterable[Units]) -> Units:
    listed = list(counts)
    units = dict.fromkeys(unit for one in listed for unit in one)
    return {unit: sum(one.get(unit, 0) for one in listed) for unit in units}


def _without(units: Units, others: Units) -> Units:
    """What is left, sorted by name; of what varies, a tenth more is nothing."""
    varies = {unit: others.get(unit, 0) / 10 for unit in _LOOSE}
    left = {unit: round(units[unit] - others.get(unit, 0), 1) for unit in sorted(units)}
    return {unit: number for unit, number in left.items() if number > varies.get(unit, 0)}


# --- While nobody debugs --------------------------------------------------------------------------


def test_a_sweep_of_the_reaper_that_finds_nothing(world: World) -> None:
    _, backend, meter = world
    asyncio.run(count(meter, "sweep", lambda: asyncio.to_thread(backend.reap)))


def test_a_knock_at_the_door(world: World) -> None:
    """Of somebody who knows the API's id, and no session."""
    _, backend, meter = world
    asyncio.run(count(meter, "knock", lambda: backend.try_connect(str(uuid.uuid4()))))


# --- A session of plldb attach --------------------------------------------------------------------


def _live(world: World, project: Project, *functions: str) -> None:
    """A session from its beginning until the reaper has seen to it that all is restored."""
    plldb, backend, meter = world
    position = meter.position()
    chosen = [part for function in functions for part in ("--function", function)]
    with attach(plldb, project, *chosen) as session:
        session.wait_for("ready")
        detach(session)
    poll(lambda: meter.since(position).get("run_instrumentation", 0) >= 3, "restored")
    backend.reap()


def test_a_session_with_one_function(world: World, project: Project) -> None:
    def live() -> Awaitable[object]:
        return asyncio.to_thread(_live, world, project, "Alpha")

    asyncio.run(count(world[2], "session", live, besides=["sweep"]))


def test_another_function(world: World, project: Project) -> None:
    def live() -> Awaitable[object]:
        return asyncio.to_thread(_live, world, project, "Alpha", "Beta")

    asyncio.run(count(world[2], "function", live, besides=["session", "sweep"]))


def test_an_invocation(world: World, project: Project) -> None:
    """Function, helper stack and debugger know each other already."""
    plldb, _, meter = world

    async def invoke(event: object = None) -> None:
        outcome = await asyncio.to_thread(project.invoke, "Alpha", event)
        assert outcome.json["ran"] == "here"

    async def count_both() -> None:
        await invoke()
        await count(meter, "invocation", invoke)
        await count(meter, "large invocation", lambda: invoke(_LARGE))

    with attach(plldb, project, "--function", "Alpha") as session:
        session.wait_for("ready")
        asyncio.run(count_both())
        detach(session)


# --- A session by hand ----------------------------------------------------------------------------


def test_what_a_session_takes_as_long_as_it_lasts(world: World, project: Project) -> None:
    _, backend, meter = world

    async def last() -> None:
        async with AsyncExitStack() as sessions:
            debugger = await sessions.enter_async_context(attached(backend, project.stack_name))
            await debugger.instrument("Alpha")

            async def beat() -> None:
                """Not in the second of the one before, as the lease would be the same."""
                begun = int(time.time())
                await asyncio.to_thread(poll, lambda: int(time.time()) > begun, "a second")
                await debugger.ask(action="heartbeat")

            await count(meter, "heartbeat", beat)

            changed = await debugger.ask(action="watch", stack="", functions={})

            revisions = {project.name("Alpha"): project.revision("Alpha")}

            async def look() -> None:
                await debugger.send(action="watch", stack=changed["stack"], functions=revisions)

            await count(meter, "look", look)
            await count(
                meter, "sweep of a session", lambda: asyncio.to_thread(backend.reap), ["sweep"]
            )

            async def take_over() -> None:
                nonlocal debugger
                plain = attached(backend, project.stack_name, has_long_lease=False)
                heir = await sessions.enter_async_context(plain)
                assert (await heir.resume(debugger.session_id))["type"] == "resumed"
                await debugger.websocket.close()
                debugger = heir

            await count(meter, "take-over", take_over)

    asyncio.run(last())


def _send(url: str, headers: dict[str, str], body: str) -> requests.Response:
    return requests.post(url, body, headers=headers, timeout=DEADLINE_SECONDS)


def test_an_environment_and_a_question(world: World, project: Project) -> None:
    """An environment of a function opens a connection; it asks while a debugger thinks."""
    _, backend, meter = world

    async def ask() -> None:
        async with attached(backend, project.stack_name) as debugger:
            await debugger.instrument("Alpha")
            variables = project.configuration("Alpha")["Environment"]["Variables"]
            token = variables[constants.TOKEN]

            async def open_and_close() -> None:
                async with function_end(backend, token):
                    pass

            await count(meter, "environment", open_and_close)
            async with function_end(backend, token) as function:
                invocation, accepted = await function.invoke()
                assert accepted["type"] == "accepted"
                claim = (await debugger.next_invocation())["claim"]
                url = backend.target.reachable_url(claim["url"])
                taken = await asyncio.to_thread(_send, url, claim["headers"], claim["body"])
                assert taken.ok, taken.text
                question = {"action": "await", **invocation}
                await count(meter, "question", lambda: function.ask(**question))
                await debugger.answer(invocation, result(1))

    asyncio.run(ask())
