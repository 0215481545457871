"""Calls made as a role, by a function that runs as it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from plldb.aws import Target

from .support import poll, random_name

# Runs as the role under test: makes the calls and answers with their error codes, or "allowed".
# What execute-api invokes is no operation of an SDK, and is signed by hand.
_PROBE = """
import functools
import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

session = boto3.Session()
config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})

@functools.cache
def client(service, endpoint):
    return session.client(service, endpoint_url=endpoint or None, config=config)

def invoke(method, url):
    request = AWSRequest(method, url)
    SigV4Auth(session.get_credentials(), "execute-api", session.region_name).add_auth(request)
    status = URLLib3Session().send(request.prepare()).status_code
    return "AccessDeniedException" if status == 403 else "allowed"

def outcome(call):
    if call["service"] == "execute-api":
        return invoke(call["operation"], call["endpoint"])
    try:
        getattr(client(call["service"], call["endpoint"]), call["operation"])(**call["parameters"])
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "allowed"

def handler(event, context):
    print("probing", len(event))
    return [outcome(call) for call in event]
"""
# As many calls as a probe makes within the time that an SDK waits for it.
_BATCH = 40


@contextmanager
def probing(target: Target, role_arn: str) -> Iterator[Any]:
    """Makes calls as that role: ``probe(calls)`` gives the error code of each, or "allowed"."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("probe.py", _PROBE)
    functions = target.client("lambda")
    name = random_name("probe")
    functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="probe.handler",
        Role=role_arn,
        Timeout=50,
        MemorySize=512,
        Code={"ZipFile": archive.getvalue()},
    )

    def probe(calls: list[dict[str, Any]]) -> list[str]:
        outcomes: list[str] = []
        for start in range(0, len(calls), _BATCH):
            payload = json.dumps(calls[start : start + _BATCH])
            answer = functions.invoke(FunctionName=name, Payload=payload)
            answered = json.load(answer["Payload"])
            assert "FunctionError" not in answer, answered
            outcomes += answered
        return outcomes

    try:
        poll(
            lambda: functions.get_function_configuration(FunctionName=name)["State"] == "Active",
            "probe is active",
        )
        yield probe
    finally:
        functions.delete_function(FunctionName=name)
