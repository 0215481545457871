"""Whose events there are samples of, in the folder ``samples``."""

from __future__ import annotations

SAMPLE_KINDS = (
    "apigw",
    "http",
    "sqs",
    "sns",
    "s3",
    "dynamodb",
    "kinesis",
    "eventbridge",
    "schedule",
    "cognito",
    "websocket",
    "alb",
)
