"""Two calls at once, of which neither is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from lambda_functions.shared.together import InThreads


def test_both_are_done_at_once() -> None:
    both = threading.Barrier(2)
    with ThreadPoolExecutor(1) as pool:
        assert sorted(InThreads(pool)(lambda: both.wait(20), lambda: both.wait(20))) == [0, 1]


def fail() -> None:
    raise ConnectionError


@pytest.mark.parametrize("is_first", [True, False])
def test_one_that_fails_is_told_once_the_other_has_ended(is_first: bool) -> None:
    done: list[bool] = []
    calls: list[Callable[[], None]] = [fail, lambda: done.append(True)]
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ConnectionError):
            InThreads(pool)(*(calls if is_first else calls[::-1]))
        assert done == [True]
