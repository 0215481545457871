"""Events and answers in a few words."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.children.invoker import Outcome
from plldb.debugger.children.runtime.frames import make_error_report
from plldb.replay.short_forms import shorten_answer, shorten_event

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.text()
            | st.sampled_from(
                [
                    "Records",
                    "requestContext",
                    "http",
                    "httpMethod",
                    "eventSource",
                    "s3",
                    "body",
                    "Sns",
                ]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("event", "short"),
    [
        ({"n": 1, "name": "Wörld"}, '{"n":1,"name":"Wörld"}'),
        (
            {
                "rawPath": "/a",
                "rawQueryString": "x=1",
                "requestContext": {"http": {"method": "GET"}},
            },
            "GET /a?x=1",
        ),
        ({"httpMethod": "POST", "path": "/a", "queryStringParameters": {"x": "1"}}, "POST /a?x=1"),
        ({"httpMethod": "POST", "path": "/a", "queryStringParameters": None}, "POST /a"),
        (
            {"requestContext": {"routeKey": "$connect", "connectionId": "x="}},
            "$connect",
        ),
        ({"detail-type": "Order placed", "source": "shop"}, "Order placed of shop"),
        (
            {"Records": [{"eventSource": "aws:sqs", "body": '{"a": 1}'}] * 3},
            'sqs, 3 records: {"a":1}',
        ),
        (
            {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "hello"}}]},
            "sns, 1 record: hello",
        ),
        (
            {
                "Records": [
                    {
                        "eventSource": "aws:s3",
                        "eventName": "ObjectCreated:Put",
                        "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}},
                    }
                ]
            },
            "s3, 1 record: ObjectCreated:Put b/k",
        ),
        ({"Records": []}, '{"Records":[]}'),
    ],
)
def test_events(event: Any, short: str) -> None:
    assert shorten_event(json.dumps(event)) == short


@pytest.mark.parametrize(
    ("outcome", "short"),
    [
        (Outcome('{"a":  1}', None), '{"a":1}'),
        (Outcome("null", None), "null"),
        (Outcome('"M\\u00fcller"', None), '"Müller"'),
        (Outcome('{"statusCode": 404}', None), "404"),
        (Outcome('{"statusCode": 200, "body": "{\\"a\\": 1}"}', None), '200 {"a":1}'),
        (
            Outcome('{"statusCode": 200, "body": "eA==", "isBase64Encoded": true}', None),
            "200 (base64)",
        ),
        (Outcome(None, None, raw="AAAA"), "3 bytes that are no JSON"),
        (Outcome(None, make_error_report("KeyError", "'a'\nb", [])), "KeyError: 'a' b"),
        (Outcome(None, make_error_report("Denied", "", [])), "Denied"),
    ],
)
def test_answers(outcome: Outcome, short: str) -> None:
    assert shorten_answer(outcome) == short


@given(JSON)
def test_any_event_and_answer_has_a_short_form(value: Any) -> None:
    text = json.dumps(value)
    for short in (shorten_event(text), shorten_answer(Outcome(text, None))):
        assert short == " ".join(short.split())


@pytest.mark.parametrize(
    "around",
    [
        "%s",
        '{"statusCode": 200, "body": %s}',
        '{"Records": [{"eventSource": "aws:d", "eventName": "X", "dynamodb": {"Keys": %s}}]}',
    ],
)
def test_however_deep_it_is_it_has_one(around: str) -> None:
    limit = sys.getrecursionlimit()
    for depth in range(limit // 2, limit + 10):
        text = around % ("[" * depth + "]" * depth)
        shorten_event(text)
        shorten_answer(Outcome(text, None))


def test_what_is_long_is_not_read() -> None:
    short = shorten_event(json.dumps({"n": "x" * 1_000_000}))
    assert short.startswith('{"n": "xxx')
    assert len(short) < 1000
