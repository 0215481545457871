"""What waits in a queue, taken together: one call for many things, when they come faster than calls
are made."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, Queue
from typing import Generic, TypeVar

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
