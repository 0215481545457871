"""What is left of log events and data points when more come than are kept."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from localstack_tokenfree.retention import keep_newest, keep_newest_events


@dataclass
class Event:
    event_id: int


@dataclass
class Stream:
    events: list[Any] = field(default_factory=list)


LIMITS = st.integers(1, 40)


@given(LIMITS, st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=30), max_size=20))
def test_the_newest_events_of_all_streams_stay(limit: int, puts: list[list[int]]) -> None:
    """As many as the limit says at least, and a tenth more at most; no stream loses its order."""
    streams = [Stream(), Stream(), Stream()]
    came = 0
    for put in puts:
        for index in put:
            streams[index].events.append(Event(came))
            came += 1
        keep_newest_events(streams, limit)
        kept = [[event.event_id for event in stream.events] for stream in streams]
        assert all(ids == sorted(ids) for ids in kept)
        together = sorted(number for ids in kept for number in ids)
        assert together == list(range(came - len(together), came))
        assert min(came, limit) <= len(together) <= limit + limit // 10


def test_a_reader_sees_what_was_there_when_it_began() -> None:
    stream = Stream([Event(number) for number in range(10)])
    keep_newest_events([stream], 100)
    reader = iter(stream.events)
    seen = [next(reader)]
    keep_newest_events([stream], 3)
    seen.extend(reader)
    assert [event.event_id for event in seen] == list(range(10))
    assert [event.event_id for event in stream.events] == [7, 8, 9]


@given(LIMITS, st.integers(0, 200))
def test_the_newest_items_stay(limit: int, number: int) -> None:
    items: list[int] = []
    for item in range(number):
        items.append(item)
        keep_newest(items, limit)
        assert min(item + 1, limit) <= len(items) <= limit + limit // 10
    assert items == list(range(number - len(items), number))
