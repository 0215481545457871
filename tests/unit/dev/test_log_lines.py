"""A log for people: records in JSON as lines, spans of time as they are said."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.dev.log_lines import (
    LogEvent,
    format_event,
    format_record,
    is_of_another,
    parse_since,
)
from plldb.errors import UsageError

NOW = datetime(2026, 1, 14, 10, 15, tzinfo=UTC)


def event(message: str) -> LogEvent:
    return LogEvent(1768385730123, "2026/01/14/[$LATEST]abc", message)


class TestFormat:
    def test_text_is_as_it_was_written(self) -> None:
        assert format_event(event("got an order\n")).endswith(".123  got an order")

    def test_further_lines_stand_below_the_first(self) -> None:
        stamp, _, text = format_event(event("one\n  two")).partition("  ")
        assert text == "one\n" + " " * (len(stamp) + 2) + "  two"

    @pytest.mark.parametrize(
        ("record", "line"),
        [
            # https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
            (
                {
                    "timestamp": "2026-01-14T10:15:30Z",
                    "level": "INFO",
                    "message": "stored",
                    "logger": "root",
                    "requestId": "1",
                },
                "INFO stored  logger=root requestId=1",
            ),
            ({"level": "INFO", "message": {"a": 1}}, 'INFO {"a": 1}'),
            ({"msg": "", "n": 0}, "n=0"),
            ({}, ""),
            (
                {
                    "level": "ERROR",
                    "errorMessage": "no",
                    "errorType": "KeyError",
                    "stackTrace": ['  File "a.py", line 1\n', "    x\n"],
                },
                'ERROR no  errorType=KeyError\n  File "a.py", line 1\n    x',
            ),
            (
                {
                    "time": "2026-01-14T10:15:30Z",
                    "type": "platform.report",
                    "record": {"requestId": "1", "metrics": {"durationMs": 7.5}, "spans": []},
                },
                "platform.report  requestId=1 durationMs=7.5",
            ),
        ],
    )
    def test_records_in_json_are_lines(self, record: dict[str, Any], line: str) -> None:
        assert format_record(record) == line
        assert event(json.dumps(record)).record == record

    @pytest.mark.parametrize("message", ["{no json", "[1]", "7", "", "{" * 200_000])
    def test_what_only_looks_like_one_is_text(self, message: str) -> None:
        assert event(message).record is None
        assert event(message).as_json()["message"] == message

    @given(
        st.dictionaries(
            st.sampled_from(["level", "message", "type", "record", "stackTrace", "metrics", "x"]),
            st.recursive(
                st.none() | st.integers() | st.text() | st.just("platform.start"),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                max_leaves=4,
            ),
        )
    )
    def test_whatever_is_in_them(self, record: dict[str, Any]) -> None:
        format_event(event(json.dumps(record)))
        json.dumps(event(json.dumps(record)).as_json())


class TestSharedGroup:
    @pytest.mark.parametrize(
        ("stream", "other"),
        [
            ("2026/01/14/greeter[$LATEST]0123", False),
            ("2026/01/14/other[$LATEST]0123", True),
            ("2026/01/14/[$LATEST]0123", False),
            ("by-hand", False),
        ],
    )
    def test_the_streams_of_others_are_passed_over(self, stream: str, other: bool) -> None:
        assert is_of_another(stream, "greeter") == other


class TestSince:
    @pytest.mark.parametrize(
        ("text", "span"),
        [
            ("30s", timedelta(seconds=30)),
            ("10m", timedelta(minutes=10)),
            ("2h 30m", timedelta(hours=2, minutes=30)),
            ("1d", timedelta(days=1)),
            ("1w", timedelta(weeks=1)),
        ],
    )
    def test_a_span(self, text: str, span: timedelta) -> None:
        assert parse_since(text, NOW) == NOW - span

    def test_a_time(self) -> None:
        assert parse_since("2026-01-14T09:00Z", NOW) == NOW - timedelta(hours=1, minutes=15)
        assert parse_since("2026-01-14", NOW).tzinfo is not None

    def test_since_ever(self) -> None:
        assert parse_since(f"{10**12}d", NOW).timestamp() == 0

    @pytest.mark.parametrize("text", ["", "10", "m", "-5m", "10x", "yesterday", "10m ago"])
    def test_nothing_else(self, text: str) -> None:
        with pytest.raises(UsageError, match="neither"):
            parse_since(text, NOW)
