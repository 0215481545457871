"""What becomes of an answer, whatever it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.dev.lambda_call import Failure, describe_payload


def payload(**report: object) -> bytes:
    return json.dumps(report).encode()


class TestFailure:
    def test_as_lambdas_runtime_reports_it(self) -> None:
        failure = Failure.from_payload(
            payload(
                errorType="KeyError",
                errorMessage="'name'",
                stackTrace=['  File "/var/task/app.py", line 2, in handler\n    event["name"]\n'],
            )
        )
        assert str(failure) == "KeyError: 'name'"
        assert failure.trace == (
            '  File "/var/task/app.py", line 2, in handler',
            '    event["name"]',
        )

    def test_a_time_out_has_neither_type_nor_trace(self) -> None:
        failure = Failure.from_payload(payload(errorMessage="Task timed out after 3.00 seconds"))
        assert str(failure) == "Task timed out after 3.00 seconds"
        assert failure.trace == ()

    @pytest.mark.parametrize("raw", [b"", b"null", b"[1]", b'"text"', b"no json", b"\xff", b"{}"])
    def test_whatever_else_it_is_is_the_message(self, raw: bytes) -> None:
        assert Failure.from_payload(raw) == Failure("", raw.decode("utf-8", "replace"))


class TestDescription:
    @pytest.mark.parametrize(
        ("raw", "described"),
        [
            (b"null", {"answer": None}),
            (b"", {"answer": None}),
            (b"0", {"answer": 0}),
            (b'{"a": [false, ""]}', {"answer": {"a": [False, ""]}}),
            (b"plain text", {"answer": None, "answerText": "plain text"}),
            (b"\x89PNG", {"answer": None, "answerBase64": "iVBORw=="}),
        ],
    )
    def test_a_value_a_text_or_bytes(self, raw: bytes, described: dict[str, object]) -> None:
        assert describe_payload(raw) == described

    @given(st.binary())
    def test_any_bytes_can_be_shown_as_json(self, raw: bytes) -> None:
        json.dumps(describe_payload(raw))
