"""Delays between attempts, and the intervals that can be set from outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.timing import Backoff, Timing, timing_from_environment
from plldb.errors import UsageError

seconds = st.floats(0.001, 1000)


def longest_delays(first: float, longest: float, count: int) -> list[float | None]:
    backoff = Backoff(first, longest, lambda: 1.0)
    return [backoff.delay(elapsed=0) for _ in range(count)]


class TestBackoff:
    def test_the_delays_double_up_to_the_longest(self) -> None:
        assert longest_delays(0.5, 30, 9) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]

    @given(seconds, seconds, st.lists(st.floats(0, 1), max_size=2000))
    def test_each_is_anything_from_nothing_to_its_ceiling(
        self, first: float, longest: float, chances: list[float]
    ) -> None:
        backoff = Backoff(first, longest, iter(chances).__next__)
        ceilings = longest_delays(first, longest, len(chances))
        for number, (chance, ceiling) in enumerate(zip(chances, ceilings, strict=True), start=1):
            assert ceiling is not None
            assert backoff.delay(elapsed=0) == pytest.approx(chance * ceiling)
            assert ceiling <= longest
            assert backoff.attempt == number

    @given(seconds, seconds, seconds, st.floats(0, 1))
    def test_it_ends_in_time_and_never_waits_beyond_that(
        self, first: float, longest: float, give_up: float, chance: float
    ) -> None:
        backoff = Backoff(first, longest, lambda: chance, give_up)
        elapsed = 0.0
        for _ in range(100):
            delay = backoff.delay(elapsed)
            assert delay is not None
            assert 0 <= delay <= give_up - elapsed
            # An attempt takes some time itself.
            elapsed += delay + give_up / 50
            if elapsed >= give_up:
                break
        assert backoff.delay(elapsed) is None

    def test_by_default_it_never_gives_up(self) -> None:
        backoff = Backoff(0.5, 30, lambda: 1.0)
        delays = [backoff.delay(elapsed=1e9) for _ in range(5000)]
        assert delays[-1] == 30


class TestTiming:
    def test_the_defaults_keep_api_gateways_limits(self) -> None:
        timing = Timing()
        assert timing.heartbeat < 10 * 60
        assert timing.refresh == 105 * 60
        assert timing.refresh + timing.grace + 10 * timing.longest_retry < 2 * 60 * 60
        assert 2 * timing.ping <= 40
        assert timing.give_up == 15 * 60

    def test_two_can_be_set(self) -> None:
        given_ = {"PLLDB_HEARTBEAT_SECONDS": "1", "PLLDB_REFRESH_SECONDS": "2.5"}
        assert timing_from_environment(given_) == Timing(heartbeat=1, refresh=2.5)

    @pytest.mark.parametrize("environ", [{}, {"PLLDB_REFRESH_SECONDS": ""}])
    def test_without_a_value_they_are_as_ever(self, environ: dict[str, str]) -> None:
        assert timing_from_environment(environ) == Timing()

    @pytest.mark.parametrize("name", ["PLLDB_HEARTBEAT_SECONDS", "PLLDB_REFRESH_SECONDS"])
    @pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf", "1e9", "5m", "0.01"])
    def test_what_makes_no_sense_is_refused(self, name: str, text: str) -> None:
        with pytest.raises(UsageError) as raised:
            timing_from_environment({name: text})
        assert name in raised.value.message
        assert text in raised.value.message
        assert raised.value.hint
