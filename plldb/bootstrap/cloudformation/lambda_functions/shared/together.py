"""Two calls to the outside at once, for those who would wait for one after the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, wait
from typing import TypeVar

_T = TypeVar("_T")
_U = TypeVar("_U")


class InThreads:
    """One in this thread, the other in one of the ``executor``."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def __call__(self, one: Callable[[], _T], other: Callable[[], _U]) -> tuple[_T, _U]:
        """Returns, or raises, once both have come to their end."""
        under_way = self._executor.submit(other)
        try:
            first = one()
        except BaseException:
            wait([under_way])
            raise
        return first, under_way.result()
