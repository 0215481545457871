"""What docs/cost.md promises, and that it says what is counted and priced today."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from plldb.config import BUILT_IN_ENVIRONMENTS
from tests import template
from tools import cost

ROOT = Path(__file__).parents[2]


def test_the_page_is_current() -> None:
    page = cost.PAGE.read_text(encoding="utf-8")
    assert cost.make_page(page) == page, "run '.venv/bin/python -m tools.cost'"


def test_it_names_what_an_account_may_charge_besides() -> None:
    page = cost.PAGE.read_text(encoding="utf-8")
    for service in ("AWS Config", "CloudTrail", "KMS"):
        assert service in page


def test_each_price_has_a_date_and_a_source() -> None:
    for name, price in cost.read_prices().items():
        assert price.usd > 0, name
        assert price.per in (1, 1_000_000), name
        assert "](https://" in price.source, name
        for field in fields(price):
            assert getattr(price, field.name), f"{name}: {field.name}"


def test_each_counted_unit_has_a_price_or_is_a_run() -> None:
    runs = {"short_runs", "instrumentation_runs", "sweeps"}
    for deed, units in cost.read_counted().items():
        assert units.keys() - {"counted"} <= cost.read_prices().keys() | runs, deed
        assert units["counted"] in ("on the emulator", "from the code")


def test_an_idle_month_costs_less_than_a_dollar_without_alarms() -> None:
    assert cost.total(cost.idle_month_units()) < 1


def test_and_only_dashboard_and_alarms_are_added_by_an_environment() -> None:
    """Of what is built in, nothing makes the reaper run more often."""
    for parameters in BUILT_IN_ENVIRONMENTS.values():
        assert "ReaperSchedule" not in parameters


@pytest.mark.parametrize("seconds", [0, 0.1, 1, 4.9, 5, 30, 60])
def test_a_debugged_invocation_costs_less_than_a_five_hundredth_of_a_cent(seconds: float) -> None:
    assert cost.total(cost.invocation_units(seconds)) < 0.000_02


def test_a_function_that_waits_longer_asks_more_often() -> None:
    """At 5 seconds, and every 30 seconds from then on: see the shim."""
    without = cost.invocation_units(4.9)["websocket_message"]
    asked = [
        (cost.invocation_units(seconds)["websocket_message"] - without) / 2
        for seconds in (5, 34, 35, 65)
    ]
    assert asked == [1, 1, 2, 3]


def test_retention_is_short() -> None:
    from lambda_functions.invocations.invocation import RETENTION

    assert RETENTION <= 2 * 3600
    assert template.load()["Parameters"]["LogRetentionDays"]["Default"] <= 14


def test_the_deeds_add_up() -> None:
    counted = {"a": {"dynamodb_read": 1, "counted": "x"}, "b": {"dynamodb_read": 2}}
    assert cost.add_up({"a": 3, "b": 0.5}, counted) == {"dynamodb_read": 4}
    assert cost.total({"dynamodb_read": 8_000_000}) == pytest.approx(1)


def test_a_unit_without_a_price_is_refused() -> None:
    with pytest.raises(KeyError, match="moon"):
        cost.price({"moon": 1})
