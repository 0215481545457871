"""Writes the tables of docs/cost.md (``python -m tools.cost``): counted units times prices.

::

    tools/prices.toml          what AWS asks for a unit, as of when, and who says so
    tools/counted_units.json   what each deed takes: how many calls, messages and runs
    template.yaml              alarms, schedule, memory
                    ↓
    docs/cost.md               between ``<!-- cost:NAME -->`` and ``<!-- /cost -->``

``make cost`` counts first: tests/e2e/test_cost.py does each deed on the embedded emulator, with a
meter before the tables and the connections, and writes what it has counted where COUNTED_UNITS
says. What it does not do yet is counted from the code, and says so.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests import template

_ROOT = Path(__file__).parents[1]
PAGE = _ROOT / "docs" / "cost.md"
PRICES = Path(__file__).with_name("prices.toml")
COUNTED = Path(__file__).with_name("counted_units.json")

_BLOCK = re.compile(r"(<!-- cost:([\w-]+) -->\n).*?(<!-- /cost -->)", re.DOTALL)

# --- Assumptions: what no emulator can tell. docs/cost.md names each of them. ---------------------

# Seconds of one run: of the functions that only read and write an item or two, of one look at the
# stack, and of a sweep of the reaper that finds nothing.
SHORT_SECONDS = 0.01
LOOK_SECONDS = 0.1
SWEEP_SECONDS = 0.2
# Seconds that attaching, detaching, and the reaper's making sure take beside the functions.
SETTLING_SECONDS = 3 * 2.0
# Updates of functions a second, for attaching and for detaching.
FUNCTIONS_A_SECOND = 15
# What a run logs: our line, with its metrics, and Lambda's own two.
LOG_BYTES = 1500
# How often attach asks whether the stack was deployed again, and says that it lives.
LOOK_EVERY_SECONDS = 8
HEARTBEAT_EVERY_SECONDS = 60
# What Lambda's control plane and CloudFormation are asked for: a function at attach and at detach,
# and a look.
CALLS_OF_A_FUNCTION = 20
CALLS_OF_A_LOOK = 2
DAYS_OF_A_MONTH = 30
HOURS_OF_A_MONTH = 24 * DAYS_OF_A_MONTH
# Of each function of the helper stack its duration and its errors, and seven counts.
CUSTOM_METRICS = 21

Units = Counter[str]


@dataclass(frozen=True)
class Price:
    """USD for ``per`` units."""

    what: str
    usd: float
    per: int
    as_of: str
    source: str


@cache
def read_prices() -> dict[str, Price]:
    table = tomllib.loads(PRICES.read_text(encoding="utf-8"))
    return {name: Price(**entry) for name, entry in table.items()}


def price(units: Mapping[str, float]) -> dict[str, float]:
    """USD of each kind of unit. Raises KeyError for a unit that has no price."""
    prices = read_prices()
    return {unit: count * prices[unit].usd / prices[unit].per for unit, count in units.items()}


def total(units: Mapping[str, float]) -> float:
    return sum(price(units).values())


# --- Units ----------------------------------------------------------------------------------------


def read_counted() -> dict[str, dict[str, Any]]:
    """What each deed takes, by its name."""
    counted: dict[str, dict[str, Any]] = json.loads(COUNTED.read_text(encoding="utf-8"))
    return counted


def add_up(deeds: Mapping[str, float], counted: Mapping[str, Mapping[str, Any]]) -> Units:
    """The units of so many of each deed, with what their runs cost in Lambda and in the log."""
    runs = Counter[str]()
    for deed, times in deeds.items():
        for unit, count in counted[deed].items():
            if unit != "counted":
                runs[unit] += count * times  # type: ignore[assignment]
    short, sweeps = runs.pop("short_runs", 0), runs.pop("sweeps", 0)
    instrumentation = runs.pop("instrumentation_runs", 0)
    all_runs = short + sweeps + instrumentation
    units = Counter(runs)
    seconds = {
        "MessageFunction": short * SHORT_SECONDS,
        "ReaperFunction": sweeps * SWEEP_SECONDS,
        "InstrumentationFunction": _instrumentation_seconds(deeds),
    }
    units.update(
        {
            "lambda_request": all_runs,
            "lambda_gb_second": sum(_memory(name) * time for name, time in seconds.items()),
            "log_gb": all_runs * LOG_BYTES / 1e9,
        }
    )
    return Counter({unit: count for unit, count in units.items() if count})


def _instrumentation_seconds(deeds: Mapping[str, float]) -> float:
    return (
        deeds.get("session", 0) * SETTLING_SECONDS
        + deeds.get("function", 0) * 2 / FUNCTIONS_A_SECOND
        + deeds.get("look", 0) * LOOK_SECONDS
    )


@cache
def _resources() -> dict[str, Any]:
    resources: dict[str, Any] = template.load()["Resources"]
    return resources


def _memory(function: str) -> float:
    """In GB."""
    megabytes: int = _resources()[function]["Properties"]["MemorySize"]
    return megabytes / 1024


def count_alarm_metrics() -> list[int]:
    """Of each alarm of the template, how many metrics it looks at."""
    alarms = [one for one in _resources().values() if one["Type"] == "AWS::CloudWatch::Alarm"]
    return [
        sum("MetricStat" in metric for metric in alarm["Properties"].get("Metrics", ())) or 1
        for alarm in alarms
    ]


def reaper_minutes() -> int:
    schedule = str(template.load()["Parameters"]["ReaperSchedule"]["Default"])
    found = re.fullmatch(r"rate\((\d+) minutes?\)", schedule)
    assert found is not None, schedule
    return int(found[1])


# --- What is asked --------------------------------------------------------------------------------


def session_deeds(hours: float = 1, functions: int = 10) -> dict[str, float]:
    """A session that is attached so long, and closed by Ctrl-C."""
    seconds = hours * 3600
    return {
        "session": 1,
        "function": functions,
        "heartbeat": seconds // HEARTBEAT_EVERY_SECONDS - 1,
        "look": seconds // LOOK_EVERY_SECONDS - 1,
        "sweep of a session": seconds // (60 * reaper_minutes()),
    }


def session_units() -> Units:
    deeds = session_deeds()
    return add_up(deeds, read_counted()) + Counter(connection_minute=60)


def invocation_units(seconds: float = 0.1) -> Units:
    """One invocation whose debugger answers after so long.

    The function asks where it is after 5 seconds, and every 30 seconds from then on.
    """
    questions = 0 if seconds < 5 else 1 + int((seconds - 5) // 30)
    return add_up({"invocation": 1, "question": questions}, read_counted())


def idle_month_units() -> Units:
    """Of what is there whatever one wants to watch."""
    sweeps = DAYS_OF_A_MONTH * 24 * 60 // reaper_minutes()
    return add_up({"sweep": sweeps}, read_counted()) + Counter(scheduled_event=sweeps)


def config_items(functions: int = 10) -> int:
    """Each function is changed at attach, and changed back."""
    return 2 * functions


def trail_events() -> float:
    """Management events of a session."""
    deeds = session_deeds()
    return deeds["function"] * CALLS_OF_A_FUNCTION + deeds["look"] * CALLS_OF_A_LOOK


# --- The page -------------------------------------------------------------------------------------


def make_page(page: str) -> str:
    """The page with each of its blocks as it must be."""
    blocks = {
        "prices": _render_prices,
        "sessions": _render_sessions,
        "invocations": _render_invocations,
        "strangers": _render_strangers,
        "idle": _render_idle,
        "account": _render_account,
        "counted": _render_counted,
    }
    return _BLOCK.sub(lambda found: found[1] + blocks[found[2]]() + "\n" + found[3], page)


def _render_prices() -> str:
    rows = [(one.what, _show_price(one), one.as_of, one.source) for one in read_prices().values()]
    return _table(("", "USD", "as of", "source"), rows)


def _show_price(one: Price) -> str:
    return f"{one.usd:g} a million" if one.per == 1_000_000 else f"{one.usd:g}"


def _render_sessions() -> str:
    units = session_units()
    costs = price(units)
    rows = [
        (_what(unit), _amounts(unit, units[unit]), _usd(1000 * costs[unit]))
        for unit in read_prices()
        if unit in units
    ]
    rows.append(("**together**", "", f"**{_usd(1000 * total(units))}**"))
    return _table(("", "units a session", "USD for 1,000"), rows)


_TIMES = {"0.1 s": 0.1, "1 s": 1.0, "60 s at a breakpoint": 60.0}


def _render_invocations() -> str:
    columns = [invocation_units(seconds) for seconds in _TIMES.values()]
    rows = [
        (_what(unit), *(_amounts(unit, units[unit]) for units in columns))
        for unit in read_prices()
        if any(unit in units for units in columns)
    ]
    sums = [f"**{_usd(1000 * total(units))}**" for units in columns]
    rows.append(("**USD for 1,000**", *sums))
    return _table(("", *_TIMES), rows)


def _render_strangers() -> str:
    knock = total(add_up({"knock": 1}, read_counted()))
    rate = int(template.load()["Parameters"]["ConnectRate"]["Default"])
    return (
        f"A million knocks that name a session cost {_usd(knock * 1e6)} USD. At `ConnectRate`,\n"
        f"{rate} a second, around the clock, that is {_usd(knock * rate * 86_400)} USD a day."
    )


def _render_idle() -> str:
    prices, alarms = read_prices(), count_alarm_metrics()
    units = idle_month_units()
    metric_hour = prices["custom_metric_month"].usd / HOURS_OF_A_MONTH
    sweeps = int(units["scheduled_event"])
    watching = sum(alarms) * prices["alarm_metric_month"].usd
    found = f"{sweeps:,} runs, {_amount(units['dynamodb_read'])} read units"
    rows = [
        (f"reaper, every {reaper_minutes()} minutes", found, _usd(total(units))),
        ("tables, bucket, log group", "a few MB", "less than 0.01"),
        ("**without alarms**", "", f"**{_usd(total(units) + 0.01)}**"),
        (f"{len(alarms)} alarms", f"{sum(alarms)} metrics", _usd(watching)),
        (
            "custom metrics, with `Metrics`",
            f"up to {CUSTOM_METRICS}, each hour in which somebody debugs",
            f"{_usd(CUSTOM_METRICS * metric_hour)} an hour",
        ),
        ("dashboard, with `Dashboard`", "1", _usd(prices["dashboard_month"].usd)),
    ]
    return _table(("", "units", "USD a month"), rows)


def _render_account() -> str:
    prices = read_prices()
    items, events = config_items(), trail_events()
    rules = "for each rule that looks at functions"
    rows = [
        ("AWS Config, recording continuously", f"{items} items", _usd_of("config_item", items)),
        (f"… {rules}", f"{items} evaluations", _usd_of("config_evaluation", items)),
        (
            "AWS Config, recording daily",
            f"{items // 2} items at most",
            _usd_of("config_item_daily", items / 2),
        ),
        (
            "CloudTrail, the first copy of management events",
            f"about {_amount(events)}",
            "0",
        ),
        ("… each further copy", f"about {_amount(events)}", _usd_of("trail_event", events)),
        (
            "CloudTrail, data events of Lambda and DynamoDB, if they are recorded",
            f"about {_amount(_data_events())}",
            _usd_of("trail_data_event", _data_events()),
        ),
        ("KMS, for what plldb has of its own", "0", "0"),
        (
            "KMS, where your functions' variables have a key of yours",
            f"about {items} requests",
            f"{prices['kms_request'].usd * items / prices['kms_request'].per:.5f}",
        ),
    ]
    return _table(("a session of 10 functions", "units", "USD"), rows)


def _data_events() -> float:
    """Runs, and calls to the tables."""
    units = session_units()
    return units["lambda_request"] + units["dynamodb_write"] + units["dynamodb_read"]


def _usd_of(unit: str, count: float) -> str:
    return _usd(price({unit: count})[unit])


_UNITS = {
    "dynamodb_write": "DynamoDB writes",
    "dynamodb_read": "DynamoDB reads",
    "rest_request": "REST requests",
    "websocket_message": "WebSocket messages",
    "connection_minute": "connection minutes",
    "lambda_request": "Lambda requests",
    "lambda_gb_second": "Lambda, GB-seconds",
    "log_gb": "logs, KB",
    "short_runs": "short runs",
    "instrumentation_runs": "runs of instrumentation",
    "sweeps": "runs of the reaper",
}


def _what(unit: str) -> str:
    return _UNITS[unit]


def _render_counted() -> str:
    counted = read_counted()
    columns = [unit for unit in _UNITS if any(unit in deed for deed in counted.values())]
    rows = [
        (name, *(_amount(deed[unit]) if unit in deed else "" for unit in columns), deed["counted"])
        for name, deed in counted.items()
    ]
    return _table(("", *(_what(unit) for unit in columns), "counted"), rows)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *map(list, rows)]
    return "\n".join(
        "|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|" for line in lines
    )


def _amounts(unit: str, count: float) -> str:
    """A log is told in KB."""
    return _amount(count * 1e6 if unit == "log_gb" else count)


def _amount(count: float) -> str:
    """Whole numbers whole, others to two digits that count."""
    count = round(count, 9)
    return f"{count:,.0f}" if count == int(count) or count >= 100 else f"{count:.2g}"


def _usd(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def main() -> None:
    PAGE.write_text(make_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(PAGE.relative_to(_ROOT))


if __name__ == "__main__":
    main()
