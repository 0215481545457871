"""An invocation is run again, in real children, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from plldb.debugger.children.invoker import Invoker, Progress
from plldb.errors import ReplayError
from plldb.inspector.listing import get_answer, get_error
from plldb.inspector.reruns import OwnChildren, Reruns, SessionChildren
from plldb.replay.history import Invocation
from tests.unit.inspector.inspected import HERE, Session


async def run(session: Session, reruns: Reruns, id_: str, event: str | None = None) -> Invocation:
    """What a replay has come to."""
    again = reruns.start(session.get(id_), event)
    async with asyncio.timeout(30):
        while session.get(again).finished is None:
            await asyncio.sleep(0.01)
    return session.get(again)


def replay(session: Session, id_: str, event: str | None = None) -> Invocation:
    async def main() -> Invocation:
        reruns = Reruns(session.history, OwnChildren(HERE, session.history.take))
        try:
            return await run(session, reruns, id_, event)
        finally:
            await reruns.close()

    return asyncio.run(main())


def test_as_it_was(session: Session) -> None:
    first = session.invoke({"a": 1, "b": 2}, {"sum": 3})
    again = replay(session, first)
    assert again.replay_of == first
    assert again.id != first
    assert get_answer(again) == '{"sum": 3}'
    assert [line.text for line in again.output] == ["adds 1 and 2"]
    assert session.get(first).output == ()
    assert again.finished is not None
    assert again.finished.legs.run is not None


def test_with_the_code_that_is_here_now(session: Session) -> None:
    first = session.fail(session.start({"a": 1}), "KeyError", "'b'")
    failure = get_error(replay(session, first))
    assert failure is not None
    assert failure["errorType"] == "KeyError"
    session.write("def handler(event, context):\n    return event.get('b', 'mended')\n")
    assert get_answer(replay(session, first)) == '"mended"'


def test_with_another_event_whose_digits_stay(session: Session) -> None:
    session.write("def handler(event, context):\n    return event\n")
    event = '{"a": 12345678901234567890.10, "b": 1}'
    again = replay(session, session.invoke({"a": 1, "b": 2}, 3), event)
    assert again.started is not None
    assert again.started.event == event
    assert json.loads(get_answer(again) or "") == json.loads(event)


def test_it_has_its_own_context_and_no_credentials(session: Session) -> None:
    session.write(
        """
        import os

        def handler(event, context):
            return [context.aws_request_id, context.function_name, os.environ["TABLE"],
                    [name for name in os.environ if name in (
                        "AWS_ACCESS_KEY_ID", "AWS_CONTAINER_CREDENTIALS_FULL_URI")]]
        """
    )
    first = session.invoke(1, 2)
    assert json.loads(get_answer(replay(session, first)) or "") == [
        first,
        "shop-Adder-1",
        "t",
        [],
    ]


@pytest.mark.parametrize("event", ["", "{", "{'a': 1}", "[" * 100_000])
def test_what_is_no_json_is_not_run(session: Session, event: str) -> None:
    with pytest.raises(ReplayError):
        replay(session, session.invoke(1, 2), event)


def test_one_at_a_time_of_each_and_none_of_what_runs(session: Session) -> None:
    session.write("import time\n\ndef handler(event, context):\n    time.sleep(60)\n")
    first = session.get(session.invoke(1, 2))

    async def main() -> str:
        reruns = Reruns(session.history, OwnChildren(HERE, session.history.take))
        with pytest.raises(ReplayError, match="not ended yet"):
            reruns.start(session.get(session.start(1).request_id), None)
        again = reruns.start(first, None)
        with pytest.raises(ReplayError, match="runs already"):
            reruns.start(first, None)
        await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await reruns.close()
        return again

    ended = session.get(asyncio.run(main()))
    assert ended.finished is not None
    assert ended.finished.outcome == "abandoned"


def test_who_has_waited_for_the_turn_has_the_whole_time(session: Session) -> None:
    started = session.start({"a": 1, "b": 2})
    over = time.time() - 1
    seen: list[object] = []
    running = OwnChildren(HERE, seen.append).run(started.local, started.event, {}, over)
    assert asyncio.run(running).result == '{"sum": 3}'
    assert {one.deadline for one in seen if isinstance(one, Progress)} == {over}


def test_in_the_sessions_own_children_where_an_editor_is_attached(session: Session) -> None:
    session.write(
        """
        calls = []

        def handler(event, context):
            calls.append(event)
            return len(calls)
        """
    )
    first = session.invoke(1, 2)

    async def main() -> list[str | None]:
        async with Invoker(
            python=HERE, on_output=session.history.take, on_progress=session.history.take
        ) as invoker:
            loop = asyncio.get_running_loop()
            runner = SessionChildren(lambda: (invoker, loop))
            return await asyncio.to_thread(asyncio.run, repeat(runner))

    async def repeat(runner: SessionChildren) -> list[str | None]:
        reruns = Reruns(session.history, runner)
        return [get_answer(await run(session, reruns, first)) for _ in range(2)]

    # The same child, whose module is as it was left.
    assert asyncio.run(main()) == ["1", "2"]
