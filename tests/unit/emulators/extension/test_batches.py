"""What waits in a queue is taken together."""

import threading
from queue import Queue

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_tokenfree.batches import Merging, grouped, hand_over, take_all

SECONDS = 20


def test_what_waits_comes_together_up_to_the_limit() -> None:
    queue: Queue[int] = Queue()
    for number in range(5):
        queue.put(number)
    assert take_all(queue, 3) == [0, 1, 2]
    assert take_all(queue, 3) == [3, 4]


def test_the_first_is_waited_for_and_no_other() -> None:
    queue: Queue[int] = Queue()
    taken: list[list[int]] = []
    reader = threading.Thread(target=lambda: taken.append(take_all(queue, 3)), daemon=True)
    reader.start()
    queue.put(7)
    reader.join(SECONDS)
    assert taken == [[7]]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers())))
def test_groups_keep_the_order(items: list[tuple[str, int]]) -> None:
    groups = grouped(items, lambda item: item[0])
    assert list(groups) == list(dict.fromkeys(letter for letter, _ in items))
    for letter, those in groups.items():
        assert those == [item for item in items if item[0] == letter]


def test_a_group_that_fails_takes_no_other_along(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    def hear(name: str, words: list[str]) -> None:
        if name == "b":
            raise RuntimeError("nobody knows why")
        heard.extend(words)

    hand_over(["a1", "b1", "c1", "a2"], lambda word: word[0], hear)
    assert heard == ["a1", "a2", "c1"]
    assert "What was meant for b is lost" in caplog.text


def test_a_queue_that_merges() -> None:
    """What is put after the reader came is merged the next time."""
    queue: Merging[str] = Merging(lambda items: ["".join(items[:2]), *items[2:]], limit=3)
    for letter in "abcd":
        queue.put(letter)
    assert [queue.get(), queue.get()] == ["ab", "c"]
    queue.put("e")
    assert queue.get() == "de"
