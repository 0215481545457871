"""Delays between attempts, and the intervals that can be set from outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.timing import Backoff, Outages, Replacements, Timing, read_timing
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


def outages(timing: Timing = Timing()) -> Outages:  # noqa: B008 - frozen
    return Outages(timing, lambda: 1.0)


class TestOutages:
    def test_it_is_tried_again_until_it_has_taken_too_long(self) -> None:
        outage = outages(Timing(first_retry=1, longest_retry=4, give_up=10))
        outage.lost(now=100)
        assert [outage.delay(now) for now in (100, 101, 103, 107, 109.5)] == [1, 2, 4, 3, 0.5]
        assert outage.attempt == 5
        assert outage.delay(now=110) is None

    def test_a_connection_that_is_lost_before_the_session_works_ends_no_outage(self) -> None:
        outage = outages()
        for now in range(0, 900, 10):
            outage.lost(now)
            assert outage.delay(now) is not None
            outage.connected(now + 1)
        assert outage.attempt == 90
        outage.lost(now=900)
        assert outage.delay(now=900) is None

    def test_sessions_that_work_but_do_not_last_make_no_storm(self) -> None:
        outage = outages()
        delays = []
        for now in range(0, 9000, 10):
            outage.connected(now)
            outage.works()
            outage.lost(now + 1)
            delays.append(outage.delay(now + 1))
            assert outage.attempt == 1
        assert delays[:8] == [0.5, 1, 2, 4, 8, 16, 30, 30]
        assert delays[-1] == 30, "nor are they given up"

    def test_a_session_that_lasted_starts_anew(self) -> None:
        outage = outages()
        for now in (0, 1, 2, 3):
            outage.connected(now)
            outage.works()
            outage.lost(now)
        outage.connected(4)
        outage.works()
        outage.lost(4 + Timing().lasting)
        assert outage.delay(4 + Timing().lasting) == 0.5

    def test_so_does_a_connection_that_lasted_without_a_word_from_the_helper_stack(self) -> None:
        outage = outages()
        outage.lost(0)
        outage.connected(1)
        outage.lost(7200)
        assert outage.delay(7200) == 0.5
        assert outage.attempt == 1


class TestReplacements:
    @given(st.floats(0, 1), st.floats(0, 1e6))
    def test_a_connection_is_replaced_in_time_and_not_with_all_others(
        self, chance: float, now: float
    ) -> None:
        replacements = Replacements(Timing(refresh=100), lambda: chance)
        assert replacements.at == float("inf")
        replacements.connected(now)
        assert now + 90 <= replacements.at <= now + 100

    def test_a_failure_is_followed_by_another_attempt_soon(self) -> None:
        timing = Timing(first_retry=1, longest_retry=4)
        replacements = Replacements(timing, lambda: 1.0)
        replacements.connected(now=0)
        assert [replacements.failed(now=100) for _ in range(4)] == [1, 2, 4, 4]
        assert replacements.at == 104

    def test_each_connection_starts_anew(self) -> None:
        replacements = Replacements(Timing(first_retry=1, refresh=100), lambda: 1.0)
        for _ in range(3):
            replacements.connected(now=0)
            assert replacements.at == 90
            assert [replacements.failed(now=90) for _ in range(2)] == [1, 2]


class TestTiming:
    def test_the_defaults_keep_api_gateways_limits(self) -> None:
        timing = Timing()
        assert timing.heartbeat < 10 * 60
        # Before the lease of a session is over, another one can take its place.
        assert timing.heartbeat + timing.answer + timing.opening <= 150
        assert timing.refresh == 105 * 60
        assert timing.refresh + timing.grace + 10 * timing.longest_retry < 2 * 60 * 60
        assert 2 * timing.ping <= 40
        assert timing.give_up == 15 * 60

    def test_two_can_be_set(self) -> None:
        given_ = {"PLLDB_HEARTBEAT_SECONDS": "1", "PLLDB_REFRESH_SECONDS": "2.5"}
        assert read_timing(given_) == Timing(heartbeat=1, refresh=2.5)

    @pytest.mark.parametrize("environ", [{}, {"PLLDB_REFRESH_SECONDS": ""}])
    def test_without_a_value_they_are_as_ever(self, environ: dict[str, str]) -> None:
        assert read_timing(environ) == Timing()

    def test_a_lease_lasts_longer_than_until_the_next_heartbeat(self) -> None:
        assert read_timing({"PLLDB_HEARTBEAT_SECONDS": "100"}).heartbeat == 100
        with pytest.raises(UsageError, match="'101'"):
            read_timing({"PLLDB_HEARTBEAT_SECONDS": "101"})
        assert read_timing({"PLLDB_REFRESH_SECONDS": "86400"}).refresh == 86_400

    @pytest.mark.parametrize(
        "name", [f"PLLDB_{name}_SECONDS" for name in ("HEARTBEAT", "REFRESH", "WATCH")]
    )
    @pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf", "1e9", "5m", "0.01"])
    def test_what_makes_no_sense_is_refused(self, name: str, text: str) -> None:
        with pytest.raises(UsageError) as raised:
            read_timing({name: text})
        assert name in raised.value.message
        assert text in raised.value.message
        assert raised.value.hint
