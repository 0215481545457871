"""Functions that no stack has are debugged by their names, and known until they are restored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from plldb.aws import Target

from .debugging import Debuggee, attached, deployed, end_grace, function, restore, result
from .support import Backend, poll, random_name
from .test_instrumentation import ready, told


@pytest.fixture(scope="module")
def app(target: Target) -> Iterator[Debuggee]:
    """Functions that sessions know by names alone."""
    resources = {"Fn0": function(), "Fn1": function(Timeout=5), "FnForeign": function()}
    with deployed(target, resources) as debuggee:
        yield debuggee


@pytest.fixture
def loose() -> str:
    return random_name("loose")


def members(app: Debuggee) -> dict[str, str]:
    return {"Greeter": app.physical["Fn0"], "src/other": app.physical["Fn1"]}


def kept(backend: Backend, stack_name: str) -> Any:
    """What the helper stack knows of a list."""
    return backend.item(f"functions#{stack_name}").get("Functions", [])


def test_they_are_debugged_restored_and_forgotten(
    backend: Backend, app: Debuggee, loose: str
) -> None:
    before = app.as_deployed

    async def run() -> None:
        async with attached(backend, loose) as debugger:
            messages = await debugger.instrument(members=members(app))
            assert told(messages, "instrumented").keys() == {"Greeter", "src/other"}
            assert messages[-1] == ready(instrumented=2)
            assert not app.is_held("FnForeign")
            assert len(kept(backend, loose)) == 2
            call = asyncio.create_task(asyncio.to_thread(app.invoke, "Fn1", 1))
            invocation = await debugger.run_next(result("from here"))
            assert invocation["function"] == "src/other"
            assert (await call).json == "from here"
            restored = await debugger.close()
            assert told(restored, "restored").keys() == {"Greeter", "src/other"}

    with backend.reaper_off():
        asyncio.run(run())
    assert app.configurations() == before
    poll(lambda: not kept(backend, loose), "they are forgotten")


def test_by_the_name_of_the_list_alone_they_are_restored(
    backend: Backend, app: Debuggee, loose: str
) -> None:
    before = app.as_deployed

    async def run() -> None:
        async with attached(backend, loose) as debugger:
            await debugger.instrument(members=members(app))
            answer = await asyncio.to_thread(restore, backend, loose)
            assert answer == {"restored": ["Greeter", "src/other"], "failed": {}}
            assert app.configurations() == before

    asyncio.run(run())


def test_the_reaper_restores_them_when_nobody_is_there_any_more(
    backend: Backend, app: Debuggee, loose: str
) -> None:
    before = app.as_deployed

    async def run() -> None:
        async with attached(backend, loose) as debugger:
            await debugger.instrument(members=members(app))
            await debugger.cut_off()
            end_grace(backend, debugger.session_id)

    asyncio.run(run())
    backend.reap_until(lambda: app.configurations() == before, "they are restored")
    poll(lambda: not kept(backend, loose), "they are forgotten")


@pytest.mark.parametrize(
    "name",
    [
        "arn:aws:lambda:eu-central-1:123456789012:function:fn",
        "arn:aws:lambda:us-east-1:000000000001:function:fn",
        "fn:live",
        "",
    ],
)
def test_what_is_no_name_of_this_account_and_region_is_refused(
    backend: Backend, loose: str, name: str
) -> None:
    async def run() -> None:
        async with attached(backend, loose) as debugger:
            answer = await debugger.ask(
                action="instrument",
                functions=[],
                whenAbsent="original",
                takeOver=False,
                members={"Fn": name},
            )
            assert (answer["type"], answer["code"]) == ("error", "bad_request")
            assert not kept(backend, loose)

    asyncio.run(run())


def test_functions_of_plldb_itself_are_not_debugged(backend: Backend, loose: str) -> None:
    async def run() -> None:
        async with attached(backend, loose) as debugger:
            own = {"Fn": backend.helper.instrumentation_function}
            messages = await debugger.instrument(members=own)
            assert "plldb itself" in told(messages, "skipped")["Fn"]["reason"]

    asyncio.run(run())


def test_one_that_does_not_exist_is_skipped(backend: Backend, loose: str) -> None:
    async def run() -> None:
        async with attached(backend, loose) as debugger:
            messages = await debugger.instrument(members={"Fn": random_name("never-there")})
            assert told(messages, "skipped").keys() == {"Fn"}
            assert messages[-1] == ready(skipped=1)

    asyncio.run(run())
