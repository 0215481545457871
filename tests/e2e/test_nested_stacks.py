"""Stacks are followed into those that are nested in them, however deep: one session for all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from plldb.aws import Target

from .debugging import Debuggee, attached, deployed, function, nested, restore, result
from .support import Backend
from .test_instrumentation import ready, told

NAMES = {"Fn", "Child/Fn", "Child/Grandchild/Fn"}


@pytest.fixture(scope="module")
def app(target: Target) -> Iterator[Debuggee]:
    grandchild = nested(target, {"Fn": function()})
    child = nested(target, {"Fn": function(Timeout=5), "Grandchild": grandchild})
    with deployed(target, {"Fn": function(), "Child": child}) as debuggee:
        yield debuggee


def test_functions_of_all_depths_are_debugged_in_one_session(
    backend: Backend, app: Debuggee
) -> None:
    before = app.as_deployed
    assert before.keys() == NAMES

    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            messages = await debugger.instrument()
            assert told(messages, "instrumented").keys() == NAMES
            assert messages[-1] == ready(instrumented=3)
            for name in sorted(NAMES):
                call = asyncio.create_task(asyncio.to_thread(app.invoke, name, name))
                invocation = await debugger.run_next(result("from here"))
                assert (invocation["function"], debugger.event_of(invocation)) == (name, name)
                assert (await call).json == "from here"
            restored = await debugger.close()
            assert told(restored, "restored").keys() == NAMES

    with backend.reaper_off():
        asyncio.run(run())
    assert app.configurations() == before


def test_patterns_may_name_those_of_one_nested_stack(backend: Backend, app: Debuggee) -> None:
    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            messages = await debugger.instrument("Child/*", "Grandchild/Fn")
            assert told(messages, "instrumented").keys() == NAMES - {"Fn"}
            assert told(messages, "skipped").keys() == {"Grandchild/Fn"}

    asyncio.run(run())


def test_all_are_restored_by_the_stack_above_them(backend: Backend, app: Debuggee) -> None:
    before = app.as_deployed

    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            await debugger.instrument()
            answer = await asyncio.to_thread(restore, backend, app.name)
            assert answer == {"restored": sorted(NAMES), "failed": {}}
            assert app.configurations() == before

    asyncio.run(run())
