"""A function's log for people: JSON records as lines, times as they are here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from plldb.errors import UsageError
from plldb.json_text import read_json

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d+)\s*([smhdw])")
# Streams of a group that several functions share:
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-loggroups.html
_STREAM = re.compile(r"\d{4}/\d\d/\d\d/(?P<function>[^\[\]]+)\[.*")
# What stands in front, or is nobody's interest: the group tells whose log it is.
_LEVELS = ("level", "levelname", "severity")
_TEXTS = ("message", "msg", "errorMessage")
_PLACED = frozenset({"timestamp", "time", "@timestamp", *_LEVELS, *_TEXTS, "stackTrace"})


@dataclass(frozen=True)
class LogEvent:
    """``milliseconds`` since the epoch; ``stream`` is that of one environment of the function."""

    milliseconds: int
    stream: str
    message: str

    @property
    def record(self) -> dict[str, Any] | None:
        """What a message in JSON says."""
        if not self.message.lstrip().startswith("{"):
            return None
        try:
            record = read_json(self.message)
        except ValueError:
            return None
        return record if isinstance(record, dict) else None

    def as_json(self) -> dict[str, Any]:
        time = datetime.fromtimestamp(self.milliseconds / 1000, UTC)
        shown: dict[str, Any] = {
            "timestamp": time.isoformat(timespec="milliseconds"),
            "stream": self.stream,
            "message": self.message.rstrip("\n"),
        }
        record = self.record
        return shown if record is None else shown | {"record": record}


def format_event(event: LogEvent) -> str:
    """One event, at its local time; further lines of it are indented as far."""
    time = datetime.fromtimestamp(event.milliseconds / 1000).astimezone()
    stamp = f"{time:%H:%M:%S}.{event.milliseconds % 1000:03d}"
    record = event.record
    text = event.message.rstrip() if record is None else format_record(record)
    return f"{stamp}  {text}".replace("\n", "\n" + " " * (len(stamp) + 2))


def format_record(record: Mapping[str, Any]) -> str:
    """``ERROR no such order  orderId=4711``, and the stack trace below it."""
    if str(record.get("type", "")).startswith("platform."):
        return _format_platform(record)
    level = next((str(record[name]) for name in _LEVELS if record.get(name)), "")
    text = next((_show(record[name]) for name in _TEXTS if record.get(name) is not None), "")
    rest = [f"{name}={_show(value)}" for name, value in record.items() if name not in _PLACED]
    line = "  ".join(part for part in (f"{level} {text}".strip(), " ".join(rest)) if part)
    trace = record.get("stackTrace")
    frames = [str(frame).rstrip() for frame in trace] if isinstance(trace, list) else []
    return "\n".join([line, *frames])


def _format_platform(record: Mapping[str, Any]) -> str:
    """Of what Lambda itself writes: https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html"""
    inner = record.get("record")
    inner = inner if isinstance(inner, dict) else {}
    facts = {name: value for name, value in inner.items() if not isinstance(value, dict | list)}
    metrics = inner.get("metrics")
    facts |= metrics if isinstance(metrics, dict) else {}
    named = " ".join(f"{name}={_show(value)}" for name, value in facts.items())
    return f"{record['type']}  {named}".rstrip()


def _show(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def is_of_another(stream: str, function: str) -> bool:
    """Whether a stream of a shared group is another function's, as its name says."""
    named = _STREAM.fullmatch(stream)
    return named is not None and named["function"] != function


def parse_since(text: str, now: datetime) -> datetime:
    """``10m``, ``2h 30m``, or a time as ISO 8601 has it; a local one unless it says otherwise.

    Raises UsageError for anything else.
    """
    if _SPAN.sub("", text).strip() == "" and _SPAN.search(text):
        spans = {_UNITS[unit]: 0 for _, unit in _SPAN.findall(text)}
        for count, unit in _SPAN.findall(text):
            spans[_UNITS[unit]] += int(count)
        try:
            return now - timedelta(**spans)
        except OverflowError:
            return datetime.fromtimestamp(0, UTC)
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since {text!r} is neither a span of time nor a time.",
            "Give it as in 30s, 10m, 2h, 1d or 2026-01-31T10:15.",
        ) from None
