"""Clients are made when they are needed, and once."""

from __future__ import annotations

import importlib
import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.exceptions import ParamValidationError
from lambda_functions.shared import clients


def test_many_threads_share_one_client_which_is_made_once() -> None:
    client = object()
    made: list[bool] = []
    second = threading.Barrier(2)

    def make() -> object:
        try:
            second.wait(timeout=0.1)
            made.append(True)
        except threading.BrokenBarrierError:
            made.append(False)
        return client

    lazy = clients.lazily(make)
    assert made == [], "nobody has needed it yet"
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: lazy(), range(8)))
    assert given == [client] * 8
    assert made == [False], "nobody else was making one"


@pytest.mark.parametrize(
    "name",
    ["AWAITED", "PROBING", "PRESIGNING", "CONTROL_PLANE", "LAMBDA_CONTROL_PLANE", "SCHEDULED"],
)
def test_on_an_emulator_calls_are_held_against_the_models_of_aws(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An emulator may take what AWS would refuse; on AWS, each call would cost time."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    try:
        config = getattr(importlib.reload(clients), name)
        with pytest.raises(ParamValidationError, match="TableName"):
            clients.dynamodb(config).get_item(Key={})
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        assert getattr(importlib.reload(clients), name).parameter_validation is False
    finally:
        monkeypatch.undo()
        importlib.reload(clients)


def test_so_are_the_calls_past_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("PLLDB_CONNECTIONS_URL", "http://127.0.0.1:9/plldb")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    try:
        strict = importlib.reload(clients)
        with pytest.raises(ParamValidationError, match="TableName"):
            strict.direct_dynamodb().put_item(Item={})
        with pytest.raises(ParamValidationError, match="Data"):
            strict.direct_connections()().post_to_connection(
                ConnectionId="c",
                Data=memoryview(b"no blob of botocore's"),
            )
    finally:
        monkeypatch.undo()
        importlib.reload(clients)
