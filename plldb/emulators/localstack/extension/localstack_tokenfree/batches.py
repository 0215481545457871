"""What waits in a queue, taken together: one call for many things, when they come faster than calls
are made."""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, Queue
from typing import Generic, TypeVar

LOG = logging.getLogger(__name__)
T = TypeVar("T")
K = TypeVar("K")


def take_all(queue: "Queue[T]", limit: int) -> list[T]:
    """Wait for one; those that are there already come with it, up to ``limit`` in all."""
    taken = [queue.get()]
    with suppress(Empty):
        while len(taken) < limit:
            taken.append(queue.get_nowait())
    return taken


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """In their order, groups by their first, and the items of each."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def hand_over(
    items: Iterable[T], key: Callable[[T], K], handle: Callable[[K, list[T]], object]
) -> None:
    """Have ``handle`` called with each group. One that it fails with is told in the log and lost,
    whatever the reason; those after it have their turn."""
    for name, group in grouped(items, key).items():
        try:
            handle(name, group)
        except Exception:
            LOG.exception("What was meant for %s is lost", name)


class Merging(Generic[T]):
    """A queue for one reader, who finds merged what waits, up to ``limit`` items at a time.

    ``merge`` makes fewer items of many, and some of some.
    """

    def __init__(self, merge: Callable[[list[T]], list[T]], limit: int) -> None:
        self._merge = merge
        self._limit = limit
        self._waiting: Queue[T] = Queue()
        self._merged: list[T] = []

    def put(self, item: T) -> None:
        self._waiting.put(item)

    def get(self) -> T:
        if not self._merged:
            self._merged = self._merge(take_all(self._waiting, self._limit))
        return self._merged.pop(0)
