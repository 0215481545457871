"""A blocking call beside the event loop is waited for, unless nobody wants its answer any more."""

from __future__ import annotations

import asyncio
import threading

import pytest

from plldb.debugger.threads import run_in_thread
from plldb.errors import EndpointError

DEADLINE = 10


def test_its_answer_comes_back() -> None:
    assert asyncio.run(run_in_thread(lambda: threading.current_thread().daemon)) is True


def test_so_does_its_error() -> None:
    def fail() -> None:
        raise EndpointError("down")

    with pytest.raises(EndpointError, match="down"):
        asyncio.run(run_in_thread(fail))


def test_meanwhile_the_loop_goes_on() -> None:
    async def main() -> list[str]:
        said, go = [], threading.Event()

        def wait() -> str:
            assert go.wait(DEADLINE)
            return "thread"

        call = asyncio.create_task(run_in_thread(wait))
        await asyncio.sleep(0)
        said.append("loop")
        go.set()
        return [*said, await call]

    assert asyncio.run(main()) == ["loop", "thread"]


def test_one_that_hangs_holds_up_neither_who_is_cancelled_nor_the_end_of_the_loop() -> None:
    go, has_ended = threading.Event(), threading.Event()

    def hang() -> None:
        go.wait(DEADLINE)
        has_ended.set()

    async def main() -> None:
        call = asyncio.create_task(run_in_thread(hang))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(main())
    assert not has_ended.is_set()
    go.set()
    assert has_ended.wait(DEADLINE)
