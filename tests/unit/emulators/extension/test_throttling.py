"""Token buckets of routes, by the settings of their stage.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-protect.html
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_tokenfree.throttling import Limits, Throttle, limits_of


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def limit(rate: float | None, burst: int | None) -> dict[str, Any]:
    named = {"ThrottlingRateLimit": rate, "ThrottlingBurstLimit": burst}
    return {name: value for name, value in named.items() if value is not None}


@pytest.mark.parametrize(
    ("settings", "limits"),
    [
        ({}, None),
        ({"DefaultRouteSettings": {"DetailedMetricsEnabled": True}}, None),
        ({"DefaultRouteSettings": limit(5, 10)}, Limits(5, 10)),
        ({"DefaultRouteSettings": limit(5, None)}, Limits(5, 5000)),
        ({"DefaultRouteSettings": limit(None, 10)}, Limits(10000, 10)),
        ({"DefaultRouteSettings": limit(0, 0)}, Limits(0, 0)),
        (
            {"DefaultRouteSettings": limit(5, 10), "RouteSettings": {"say": limit(7, None)}},
            Limits(7, 10),
        ),
        ({"RouteSettings": {"other": limit(7, 7)}}, None),
    ],
)
def test_limits(settings: dict[str, Any], limits: Limits | None) -> None:
    assert limits_of(settings, "say") == limits


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    settings = {"DefaultRouteSettings": limit(2, 3)}

    def asked(times: int) -> list[bool]:
        return [throttle.admits(settings, "api", "stage", "say") for _ in range(times)]

    assert asked(5) == [True, True, True, False, False]
    clock.now = 0.5
    assert asked(2) == [True, False]
    clock.now = 100
    assert asked(4) == [True, True, True, False]
    assert throttle.admits(settings, "api", "stage", "other")
    assert throttle.admits(settings, "api", "other", "say")


@given(st.floats(0, 1000), st.integers(0, 20), st.lists(st.floats(0, 3), max_size=50))
def test_never_more_than_burst_and_rate_allow(rate: float, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    throttle = Throttle(clock)
    admitted = 0
    for pause in pauses:
        clock.now += pause
        settings = {"DefaultRouteSettings": limit(rate, burst)}
        admitted += throttle.admits(settings, "api", "stage", "say")
    assert admitted <= burst + rate * clock.now + 1e-6
