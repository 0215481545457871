"""Ratings."""

from __future__ import annotations

import pytest
from arena.duels import FIRST_RATING, rank, rate


def test_of_equals_the_winner_gets_half_of_what_is_at_stake() -> None:
    assert rate({}, "left", "right") == {"left": FIRST_RATING + 16, "right": FIRST_RATING - 16}


@pytest.mark.parametrize(
    ("winner", "loser", "gain"),
    [(1400, 1000, 3), (1000, 1400, 29)],
    ids=["as everybody thought", "as nobody thought"],
)
def test_a_surprise_is_worth_more(winner: int, loser: int, gain: int) -> None:
    ratings = rate({"left": winner, "right": loser}, "left", "right")
    assert ratings == {"left": winner + gain, "right": loser - gain}


def test_who_does_not_duel_stays_as_they_are() -> None:
    before = {"other": 1234}
    assert rate(before, "left", "right")["other"] == 1234
    assert before == {"other": 1234}


def test_the_best_come_first_and_equals_by_name() -> None:
    assert rank({"b": 1000, "c": 1016, "a": 1000}) == [("c", 1016), ("a", 1000), ("b", 1000)]
