"""Tasks beside their owner, and work that a wish to stop ends."""

from __future__ import annotations

import asyncio

import pytest

from plldb.debugger.tasks import TaskSet, unless_stopped

FOR_EVER = 3600


class TestTaskSet:
    def test_one_that_fails_is_told_and_does_not_harm_the_others(self) -> None:
        bugs: list[BaseException] = []

        async def main() -> None:
            told, go = asyncio.Event(), asyncio.Event()
            done: list[str] = []

            def on_bug(bug: BaseException) -> None:
                bugs.append(bug)
                told.set()

            async def fail() -> None:
                raise ZeroDivisionError("a bug")

            async def go_on() -> None:
                await go.wait()
                done.append("the other")
                told.set()

            tasks = TaskSet(on_bug)
            tasks.start(go_on())
            tasks.start(fail())
            await told.wait()
            told.clear()
            go.set()
            await told.wait()
            assert done == ["the other"]
            await tasks.cancel()

        asyncio.run(main())
        assert [str(bug) for bug in bugs] == ["a bug"]

    def test_all_have_ended_once_they_are_cancelled(self) -> None:
        ended: list[int] = []

        async def main() -> None:
            async def run(number: int) -> None:
                try:
                    await asyncio.sleep(FOR_EVER)
                finally:
                    await asyncio.sleep(0)
                    ended.append(number)

            tasks = TaskSet(on_bug=pytest.fail)
            for number in range(3):
                tasks.start(run(number))
            await asyncio.sleep(0)
            await tasks.cancel()
            assert sorted(ended) == [0, 1, 2]

        asyncio.run(main())


class TestUnlessStopped:
    def test_the_result_comes_back(self) -> None:
        async def main() -> str | None:
            return await unless_stopped(asyncio.sleep(0, "done"), asyncio.Event())

        assert asyncio.run(main()) == "done"

    def test_so_does_the_error(self) -> None:
        async def fail() -> None:
            raise ZeroDivisionError

        async def main() -> None:
            await unless_stopped(fail(), asyncio.Event())

        with pytest.raises(ZeroDivisionError):
            asyncio.run(main())

    def test_whoever_wants_to_stop_does_not_wait(self) -> None:
        cancelled: list[str] = []

        async def work() -> None:
            try:
                await asyncio.sleep(FOR_EVER)
            except asyncio.CancelledError:
                cancelled.append("it")
                raise

        async def main() -> None:
            stop = asyncio.Event()
            asyncio.get_running_loop().call_later(0.01, stop.set)
            assert await unless_stopped(work(), stop) is None

        asyncio.run(main())
        assert cancelled == ["it"]

    @pytest.mark.parametrize(("is_in_time", "result"), [(True, "done"), (False, None)])
    def test_what_succeeds_in_time_counts_all_the_same(
        self, is_in_time: bool, result: str | None
    ) -> None:
        async def main() -> str | None:
            stop, go = asyncio.Event(), asyncio.Event()

            async def work() -> str:
                await stop.wait()
                if not is_in_time:
                    await go.wait()
                return "done"

            asyncio.get_running_loop().call_later(0.01, stop.set)
            return await unless_stopped(work(), stop, grace=10 if is_in_time else 0.01)

        assert asyncio.run(main()) == result

    def test_an_error_after_the_wish_to_stop_is_none(self) -> None:
        async def main() -> None:
            stop = asyncio.Event()

            async def fail() -> None:
                await stop.wait()
                raise ZeroDivisionError

            asyncio.get_running_loop().call_later(0.01, stop.set)
            assert await unless_stopped(fail(), stop, grace=10) is None

        asyncio.run(main())
