"""What a breakpoint means for who calls a function, by kind of source."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from lambda_functions.instrumentation.event_sources import (
    BROKER_TIMEOUT,
    Callers,
    EventSources,
    list_caller_cautions,
)

PAGE = Path(__file__).parents[5] / "docs" / "event-sources.md"
ARNS = {
    "queue": "arn:aws:sqs:eu-west-1:1:orders",
    "fifo": "arn:aws:sqs:eu-west-1:1:orders.fifo",
    "stream": "arn:aws:kinesis:eu-west-1:1:stream/clicks",
    "consumer": "arn:aws:kinesis:eu-west-1:1:stream/clicks/consumer/one:17",
    "table": "arn:aws:dynamodb:eu-west-1:1:table/Orders/stream/2026-11-01T00:00:00.000",
    "msk": "arn:aws:kafka:eu-west-1:1:cluster/events/4d0f-1",
    "mq": "arn:aws:mq:eu-west-1:1:broker:main:b-1234",
    "documentdb": "arn:aws:rds:eu-west-1:1:cluster:orders-db",
}


def sources(
    kind: str, qualifier: str = "", queue_timeout: int | None = None, **mapping: Any
) -> EventSources:
    arn = {"EventSourceArn": ARNS[kind]} if kind in ARNS else {}
    return EventSources().with_mapping(arn | mapping, qualifier, queue_timeout)


@pytest.mark.parametrize(
    ("found", "limit", "caution"),
    [
        (
            sources("queue", queue_timeout=30),
            30,
            "its queue orders delivers a message again after 30",
        ),
        (sources("queue", queue_timeout=43200), 43200, None),
        (sources("queue", queue_timeout=0), 0, "its queue orders can't be read"),
        (sources("queue", "live", 30), 30, r"orders \(through live\)"),
        (sources("fifo", queue_timeout=900), 900, "orders.fifo .* its message group waits"),
        (sources("fifo", "live", 900), 900, r"\(through live\) .* its message group waits"),
        (sources("stream"), None, "its stream clicks .* shard .* until its records expire"),
        (sources("consumer"), None, "its stream clicks waits"),
        (sources("stream", MaximumRetryAttempts=0), None, "up to 0 times"),
        (sources("table", MaximumRetryAttempts=2), None, "its stream Orders .* up to 2 times"),
        (sources("msk", Topics=["clicks"]), BROKER_TIMEOUT, "its topic clicks waits"),
        (
            sources("kafka", SelfManagedEventSource={"Endpoints": {}}, Topics=["a", "b"]),
            BROKER_TIMEOUT,
            "its topic a, b waits",
        ),
        (sources("mq", Queues=["orders"]), BROKER_TIMEOUT, "queue orders waits .* one at a time"),
        (sources("documentdb"), BROKER_TIMEOUT, "its change stream orders-db waits"),
        (sources("stream", State="Disabled"), None, None),
        (sources("something new"), None, None),
    ],
)
def test_what_is_limited_and_told(
    found: EventSources, limit: int | None, caution: str | None
) -> None:
    assert found.timeout_limit == limit
    assert len(found.cautions) == (caution is not None)
    if caution:
        assert re.search(caution, found.cautions[0])


def test_several_sources_have_the_least_limit_and_all_cautions() -> None:
    both = sources("msk", Topics=["clicks"]).with_mapping({"EventSourceArn": ARNS["queue"]}, "", 30)
    assert both.timeout_limit == 30
    assert len(both.cautions) == 2


@pytest.mark.parametrize("qualifier", ["", "live"])
def test_what_names_an_alias_does_not_call_latest(qualifier: str) -> None:
    assert sources("stream", qualifier).call_latest is (qualifier == "")


@pytest.mark.parametrize(
    ("services", "cautions"),
    [
        ({"cognito-idp.amazonaws.com"}, ["Cognito waits 5 s"]),
        ({"s3.amazonaws.com"}, ["S3 calls it asynchronously"]),
        ({"sns.amazonaws.com", "events.amazonaws.com"}, ["EventBridge, SNS call it asynch"]),
        ({"apigateway.amazonaws.com"}, []),
        (set(), []),
    ],
)
def test_who_calls_by_a_policy(services: set[str], cautions: list[str]) -> None:
    told = [*list_caller_cautions(services)]
    assert len(told) == len(cautions)
    for text, beginning in zip(told, cautions, strict=True):
        assert text.startswith(beginning)


def test_services_of_a_policy() -> None:
    def statement(principal: object, effect: str = "Allow") -> dict[str, object]:
        return {"Effect": effect, "Principal": principal}

    statements = [
        statement({"Service": "s3.amazonaws.com"}),
        statement({"Service": ["sns.amazonaws.com", "events.amazonaws.com"]}),
        statement({"AWS": "arn:aws:iam::1:root"}),
        statement("*"),
        statement({"Service": "iot.amazonaws.com"}, "Deny"),
        {},
    ]
    assert Callers.from_policy({"Statement": statements}).services == {
        "s3.amazonaws.com",
        "sns.amazonaws.com",
        "events.amazonaws.com",
    }


def test_services_of_the_partition_in_china_are_known_as_well() -> None:
    statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com.cn"}}
    services = Callers.from_policy({"Statement": [statement]}).services
    assert [*list_caller_cautions(services)] != []


def test_statements_of_an_alias_are_not_those_of_the_function() -> None:
    def statement(service: str, resource: str) -> dict[str, Any]:
        return {"Effect": "Allow", "Principal": {"Service": service}, "Resource": resource}

    arn = "arn:aws:lambda:us-east-1:123456789012:function:greeter"
    policy = {
        "Statement": [
            statement("sns.amazonaws.com", f"{arn}:live"),
            statement("s3.amazonaws.com", f"{arn}:next"),
        ]
    }
    assert not Callers.from_policy(policy).are_any
    assert Callers.from_policy(policy, "live").services == {"sns.amazonaws.com"}
    policy["Statement"].append(statement("events.amazonaws.com", arn))
    assert Callers.from_policy(policy).services == {"events.amazonaws.com"}


@pytest.mark.parametrize(
    "name", ["SQS", "Kinesis", "DynamoDB", "MSK", "MQ", "DocumentDB", "Cognito"]
)
def test_each_is_in_the_docs_with_a_source(name: str) -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("|") and name in line]
    assert any("https://docs.aws.amazon.com/" in row for row in rows)
