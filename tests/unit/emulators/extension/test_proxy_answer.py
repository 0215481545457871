"""Answers of functions behind WebSocket APIs.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-output-format
"""

from typing import Any

import pytest
from localstack_tokenfree.websocket.proxy_answer import MalformedAnswerError, read_answer


@pytest.mark.parametrize("is_connect", [True, False])
@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": 200},
        {"statusCode": "500", "body": "no"},
        {"statusCode": 200, "body": None, "headers": {}, "multiValueHeaders": {}},
        {"statusCode": 200, "body": "", "isBase64Encoded": False},
        {"statusCode": 200, "cookies": None},
    ],
)
def test_answers(answer: dict[str, Any], is_connect: bool) -> None:
    assert read_answer(answer, is_connect) == answer


@pytest.mark.parametrize("is_connect", [True, False])
@pytest.mark.parametrize(
    "answer",
    [
        "hello",
        [],
        {"statusCode": 99},
        {"statusCode": 200, "body": {"a": 1}},
        {"ConnectionId": "ZmDx-dJ4FiACFkQ=", "Data": '"Hello"', "statusCode": 200},
    ],
)
def test_malformed_answers(answer: Any, is_connect: bool) -> None:
    with pytest.raises(MalformedAnswerError):
        read_answer(answer, is_connect)


@pytest.mark.parametrize("answer", [None, {}, {"body": "hello"}])
def test_whoever_connects_needs_a_status_and_a_message_does_not(answer: Any) -> None:
    with pytest.raises(MalformedAnswerError):
        read_answer(answer, is_connect=True)
    assert read_answer(answer, is_connect=False) == (answer or {})
