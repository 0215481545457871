"""Duels, and the ratings that come of them."""

from __future__ import annotations

from collections.abc import Mapping

FIRST_RATING = 1000
# The most that a duel is worth, and the lead that makes a winner ten times as likely.
# https://en.wikipedia.org/wiki/Elo_rating_system
_K = 32
_SCALE = 400

Ratings = Mapping[str, int]


def rate(ratings: Ratings, winner: str, loser: str) -> dict[str, int]:
    """The ratings after a duel, by Elo's formula: the loser loses what the winner wins."""
    won = ratings.get(winner, FIRST_RATING)
    lost = ratings.get(loser, FIRST_RATING)
    expected = 1 / (1 + 10 ** ((lost - won) / _SCALE))
    gain = round(_K * (1 - expected))
    return {**ratings, winner: won + gain, loser: lost - gain}


def rank(ratings: Ratings) -> list[tuple[str, int]]:
    """The best first; of equals, by name."""
    return sorted(ratings.items(), key=lambda one: (-one[1], one[0]))
