"""Clients are made when they are needed, and once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from lambda_functions.shared import clients


def test_many_threads_share_one_client_which_is_made_once() -> None:
    client = object()
    made: list[bool] = []
    second = threading.Barrier(2)

    def make() -> object:
        try:
            second.wait(timeout=0.1)
            made.append(True)
        except threading.BrokenBarrierError:
            made.append(False)
        return client

    lazy = clients.lazily(make)
    assert made == [], "nobody has needed it yet"
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: lazy(), range(8)))
    assert given == [client] * 8
    assert made == [False], "nobody else was making one"
