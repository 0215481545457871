"""Pages are told of changes, each at its own pace."""

from __future__ import annotations

import asyncio

from plldb.inspector.feed import Feed
from plldb.replay.history import History


def test_a_page_that_lags_has_no_other_one_ask_again() -> None:
    async def main() -> None:
        feed = Feed(History(["shop"]))
        slow, *others = (feed.read() for _ in range(6))
        for reader in (slow, *others):
            assert await anext(reader) == 'data: {"reload": true}\n\n'
        for number in range(25):
            feed._send(str(number))
            assert {await anext(one) for one in others} == {f"data: {number}\n\n"}
        told = [await anext(slow) for _ in range(20)]
        assert (told[0], told[-1]) == ("data: 5\n\n", 'data: {"reload": true}\n\n')

    asyncio.run(main())
