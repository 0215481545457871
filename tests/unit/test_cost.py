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


def test_each_counted_unit_has_a_price_or_is_of_a_run() -> None:
    free = {"log_bytes", "control_call"}
    for deed, units in cost.read_counted().items():
        priced = {unit for unit in units if not unit.startswith("run_")} - free
        assert priced <= cost.read_prices().keys(), deed
        assert cost.total(cost.add_up({deed: 1})) > 0, deed


def test_no_short_run_took_longer_than_is_assumed() -> None:
    """On the emulator; instrumentation waits for Lambda."""
    for deed, units in cost.read_counted().items():
        runs = cost.count_runs(units)
        if runs and "run_instrumentation" not in units:
            seconds = units["run_ms"] / 1000 / runs
            is_reaper = "run_reaper" in units
            assert seconds <= cost.run_seconds("reaper" if is_reaper else "message"), deed


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
    counted = {"a": {"dynamodb_read": 1, "control_call": 7}, "b": {"dynamodb_read": 2}}
    assert cost.add_up({"a": 3, "b": 0.5}, counted) == {"dynamodb_read": 4}
    assert cost.total({"dynamodb_read": 8_000_000}) == pytest.approx(1)


def test_a_run_is_a_request_so_many_gb_seconds_and_a_log() -> None:
    counted = {"a": {"run_websocket": 2, "run_reaper": 1, "run_ms": 5.0, "log_bytes": 300}}
    units = cost.add_up({"a": 1}, counted)
    assert units["lambda_request"] == 3
    assert units["lambda_gb_second"] == pytest.approx(2 * 0.01 + 0.2 / 4)
    assert units["log_kb"] == pytest.approx(3.0)


def test_a_run_of_the_management_api_is_a_rest_request() -> None:
    counted = {"a": {"run_management": 2}}
    assert cost.add_up({"a": 1}, counted)["rest_request"] == 2


def test_a_unit_without_a_price_is_refused() -> None:
    with pytest.raises(KeyError, match="moon"):
        cost.price("moon", 1)
