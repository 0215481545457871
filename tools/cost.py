"""Writes the tables of docs/cost.md (``python -m tools.cost``): counted units times prices.

::

    tools/prices.toml          what AWS asks for a unit, as of when, and who says so
    tools/counted_units.json   what each deed takes: calls, messages, runs and bytes
    template.yaml              alarms, schedule, memory
                    ↓
    docs/cost.md               between ``<!-- cost:NAME -->`` and ``<!-- /cost -->``

``make cost`` counts anew before: tests/e2e/test_cost.py does each deed on an embedded emulator that
counts, and writes what it has counted where COUNTED_UNITS says.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import defaultdict
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

# Seconds of a run, by the function; no run on the emulator may take longer on average.
RUN_SECONDS = {"instrumentation": 0.1, "reaper": 0.2}
SHORT_RUN_SECONDS = 0.01
# What instrumentation takes besides, while AWS updates functions: to attach, to detach, and for the
# reaper's making sure; and for each function, at 15 a second.
WAITING_SECONDS = {"session": 3 * 2.0, "function": 3 / 15}
# What Lambda itself logs of a run, in two lines.
PLATFORM_LOG_BYTES = 900
# How often attach asks whether the stack was deployed again, and says that it lives.
LOOK_EVERY_SECONDS = 8
HEARTBEAT_EVERY_SECONDS = 60
DAYS_OF_A_MONTH = 30
# Of each function of the helper stack its duration and its errors, and seven counts.
CUSTOM_METRICS = 21
# Is counted, and costs nothing by itself.
_FREE = ("run_ms", "control_call")

# How many of each kind: as counted, or as priced.
Units = Mapping[str, float]


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


def price(unit: str, count: float) -> float:
    """In USD. Raises KeyError for a unit that has no price."""
    one = read_prices()[unit]
    return count * one.usd / one.per


def total(units: Units) -> float:
    return sum(price(unit, count) for unit, count in units.items())


# --- Units ----------------------------------------------------------------------------------------


def read_counted() -> dict[str, dict[str, float]]:
    """What each deed takes, by its name."""
    counted: dict[str, dict[str, float]] = json.loads(COUNTED.read_text(encoding="utf-8"))
    return counted


def add_up(deeds: Mapping[str, float], counted: Mapping[str, Units] | None = None) -> Units:
    """What is to be paid for so many of each deed."""
    known = read_counted() if counted is None else counted
    taken: defaultdict[str, float] = defaultdict(float)
    for deed, times in deeds.items():
        for unit, count in known[deed].items():
            taken[unit] += count * times
    runs = {unit.removeprefix("run_"): taken.pop(unit) for unit in list(taken) if _is_run(unit)}
    waiting = sum(WAITING_SECONDS.get(deed, 0) * times for deed, times in deeds.items())
    log_bytes = taken.pop("log_bytes", 0) + PLATFORM_LOG_BYTES * sum(runs.values())
    units = {unit: taken[unit] for unit in taken if unit not in _FREE} | {
        "lambda_request": sum(runs.values()),
        "lambda_gb_second": waiting * _memory("instrumentation")
        + sum(run_seconds(name) * _memory(name) * count for name, count in runs.items()),
        "log_kb": log_bytes / 1000,
        # The only way in of that function.
        "rest_request": runs.get("management", 0),
    }
    return {unit: count for unit, count in units.items() if count}


def count_runs(units: Units) -> float:
    """Of all functions."""
    return sum(count for unit, count in units.items() if _is_run(unit))


def _is_run(unit: str) -> bool:
    return unit.startswith("run_") and unit != "run_ms"


def run_seconds(function: str) -> float:
    return RUN_SECONDS.get(function, SHORT_RUN_SECONDS)


@cache
def _template() -> dict[str, Any]:
    return dict(template.load())


def _memory(function: str) -> float:
    """In GB. The function goes by its logical id, in small letters and without its end."""
    resources = {name.lower(): one for name, one in _template()["Resources"].items()}
    return float(resources[f"{function}function"]["Properties"]["MemorySize"]) / 1024


def count_alarm_metrics() -> list[int]:
    """Of each alarm of the template, how many metrics it looks at."""
    resources = _template()["Resources"].values()
    alarms = [one["Properties"] for one in resources if one["Type"] == "AWS::CloudWatch::Alarm"]
    return [
        sum("MetricStat" in metric for metric in alarm.get("Metrics", ())) or 1 for alarm in alarms
    ]


def reaper_minutes() -> int:
    schedule = str(_template()["Parameters"]["ReaperSchedule"]["Default"])
    found = re.fullmatch(r"rate\((\d+) minutes?\)", schedule)
    assert found is not None, schedule
    return int(found[1])


# --- What is asked --------------------------------------------------------------------------------


def session_deeds(hours: float = 1, functions: int = 10) -> dict[str, float]:
    """A session that is attached so long, and closed by Ctrl-C."""
    seconds = hours * 3600
    return {
        "session": 1,
        "function": functions - 1,
        "heartbeat": seconds // HEARTBEAT_EVERY_SECONDS - 1,
        "look": seconds // LOOK_EVERY_SECONDS - 1,
        "sweep of a session": seconds // (60 * reaper_minutes()),
    }


def session_units() -> Units:
    return {**add_up(session_deeds()), "connection_minute": 60}


def invocation_units(seconds: float = 0.1, *, is_large: bool = False) -> Units:
    """One invocation whose debugger answers after so long.

    The function asks where it is after 5 seconds, and every 30 seconds from then on.
    """
    questions = 0 if seconds < 5 else 1 + int((seconds - 5) // 30)
    return add_up({"large invocation" if is_large else "invocation": 1, "question": questions})


def idle_month_units() -> Units:
    """Of what is there whatever one wants to watch."""
    sweeps = DAYS_OF_A_MONTH * 24 * 60 // reaper_minutes()
    return {**add_up({"sweep": sweeps}), "scheduled_event": sweeps}


def control_calls() -> float:
    """What Lambda's control plane and CloudFormation are asked for in a session."""
    counted = read_counted()
    return sum(counted[deed].get("control_call", 0) * n for deed, n in session_deeds().items())


# --- The page -------------------------------------------------------------------------------------


def make_page(page: str) -> str:
    """The page with each of its blocks as it must be."""
    blocks = {
        "prices": _render_prices,
        "sessions": lambda: _render_columns({"a session": session_units()}),
        "invocations": lambda: _render_columns(_invocations()),
        "strangers": _render_strangers,
        "idle": _render_idle,
        "account": _render_account,
        "counted": _render_counted,
    }
    return _BLOCK.sub(lambda found: found[1] + blocks[found[2]]() + "\n" + found[3], page)


def _invocations() -> dict[str, Units]:
    return {
        "0.1 s": invocation_units(),
        "60 s at a breakpoint": invocation_units(60),
        "0.1 s, 40 KB in and out": invocation_units(is_large=True),
    }


def _render_columns(columns: Mapping[str, Units]) -> str:
    """Each with what a thousand cost."""
    rows = [
        (one.what, *(_amount(units[unit]) if unit in units else "" for units in columns.values()))
        for unit, one in read_prices().items()
        if any(unit in units for units in columns.values())
    ]
    sums = [f"**{_usd(1000 * total(units))}**" for units in columns.values()]
    return _table(("", *columns), [*rows, ("**USD for 1,000**", *sums)])


def _render_prices() -> str:
    def show(one: Price) -> str:
        return f"{one.usd:g} a million" if one.per == 1_000_000 else f"{one.usd:g}"

    rows = [(one.what, show(one), one.as_of, one.source) for one in read_prices().values()]
    return _table(("", "USD", "as of", "source"), rows)


def _render_strangers() -> str:
    knock = total(add_up({"knock": 1}))
    rate = int(_template()["Parameters"]["ConnectRate"]["Default"])
    return (
        f"A million knocks that name a session cost {_usd(knock * 1e6)} USD. At `ConnectRate`,\n"
        f"{rate} a second, around the clock, that is {_usd(knock * rate * 86_400)} USD a day."
    )


def _render_idle() -> str:
    units, alarms = idle_month_units(), count_alarm_metrics()
    hour = price("custom_metric_month", CUSTOM_METRICS) / (DAYS_OF_A_MONTH * 24)
    found = f"{units['scheduled_event']:,} runs, {_amount(units['dynamodb_read'])} read units"
    rows = [
        (f"reaper, every {reaper_minutes()} minutes", found, _usd(total(units))),
        ("tables, bucket, log group", "a few MB", "less than 0.01"),
        ("**without alarms**", "", f"**{_usd(total(units) + 0.01)}**"),
        (
            f"{len(alarms)} alarms",
            f"{sum(alarms)} metrics",
            _usd(price("alarm_metric_month", sum(alarms))),
        ),
        (
            "custom metrics, with `Metrics`",
            f"up to {CUSTOM_METRICS}, each hour in which somebody debugs",
            f"{_usd(hour)} an hour",
        ),
        ("dashboard, with `Dashboard`", "1", _usd(price("dashboard_month", 1))),
    ]
    return _table(("", "units", "USD a month"), rows)


def _render_account() -> str:
    units = session_units()
    data_events = units["lambda_request"] + units["dynamodb_write"] + units["dynamodb_read"]
    # Each of 10 functions is changed, and changed back.
    rows = [
        ("AWS Config, recording continuously", 20, "items", "config_item"),
        ("… for each rule that looks at functions", 20, "evaluations", "config_evaluation"),
        ("AWS Config, recording daily", 10, "items at most", "config_item_daily"),
        ("CloudTrail, the first copy of management events", control_calls(), "", None),
        ("… each further copy", control_calls(), "", "trail_event"),
        ("CloudTrail, data events of Lambda and DynamoDB", data_events, "", "trail_data_event"),
        ("KMS, for what plldb has of its own", 0, "", None),
        ("KMS, where your functions' variables have a key of yours", 20, "requests", "kms_request"),
    ]
    return _table(
        ("a session of 10 functions", "units", "USD"),
        [
            (what, f"{_amount(n)} {of}".strip(), _usd(price(unit, n)) if unit else "0")
            for what, n, of, unit in rows
        ],
    )


# What is counted, in the order of the page; runs of all functions are one column.
_COLUMNS = {
    "dynamodb_write": "DynamoDB writes",
    "dynamodb_read": "reads",
    "websocket_message": "WebSocket messages",
    "run": "runs",
    "run_ms": "their ms",
    "log_bytes": "bytes logged",
    "s3_put": "S3 PUT",
    "s3_get": "GET",
    "control_call": "calls of control planes",
}


def _render_counted() -> str:
    rows = []
    for name, units in read_counted().items():
        shown = units | {"run": count_runs(units)}
        cells = (_amount(shown[unit]) if shown.get(unit) else "" for unit in _COLUMNS)
        rows.append((name, *cells))
    return _table(("", *_COLUMNS.values()), rows)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *map(list, rows)]
    return "\n".join(
        "|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|" for line in lines
    )


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
