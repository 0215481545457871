"""The HTTP API calls the code here, whose sessions lie in the table.

Needs no AWS account: `plldb_stack` deploys to an emulator, and starts one if none runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from httpx2 import Client

from plldb.pytest_plugin.fixtures import (
    AttachTo,
    DeployStack,
    PlldbAttached,
    PlldbInvocation,
    PlldbStack,
)

SESSION_SECONDS = 3600


class Table:
    def __init__(self, stack: PlldbStack) -> None:
        self._client = stack.client("dynamodb")
        self._name = stack.outputs["SessionsTable"]

    def get(self, session_id: str) -> dict[str, Any] | None:
        found = self._client.get_item(
            TableName=self._name, Key={"session_id": {"S": session_id}}, ConsistentRead=True
        )
        item: dict[str, Any] | None = found.get("Item")
        return item

    def end(self, session_id: str, in_seconds: int) -> None:
        self._client.update_item(
            TableName=self._name,
            Key={"session_id": {"S": session_id}},
            UpdateExpression="SET #ttl = :ttl",
            ExpressionAttributeNames={"#ttl": "ttl"},
            ExpressionAttributeValues={":ttl": {"N": str(int(time.time()) + in_seconds)}},
        )


@pytest.fixture
def stack(plldb_stack: DeployStack) -> PlldbStack:
    return plldb_stack(parameters={"SecureCookies": "false"})


@pytest.fixture
def table(stack: PlldbStack) -> Table:
    return Table(stack)


@pytest.fixture
def attached(plldb_attached: AttachTo, stack: PlldbStack) -> PlldbAttached:
    return plldb_attached(stack)


@pytest.fixture
def browser(stack: PlldbStack) -> Iterator[Client]:
    with Client(base_url=stack.outputs["Url"], timeout=60) as client:
        yield client


@pytest.fixture
def ada(attached: PlldbAttached, browser: Client) -> Client:
    assert browser.post("/login", json={"name": "Ada"}).is_success
    return browser


def of(path: str) -> Callable[[PlldbInvocation], bool]:
    return lambda invocation: bool(invocation.event["rawPath"].endswith(path))


def test_a_session_goes_from_request_to_request(
    attached: PlldbAttached, ada: Client, table: Table
) -> None:
    ada.post("/duels", json={"left": "gold", "right": "tin"}).raise_for_status()
    ada.post("/duels/vote", json={"winner": "right"}).raise_for_status()
    ranks = [{"model": "tin", "rating": 1016}, {"model": "gold", "rating": 984}]
    assert ada.get("/ratings").json() == ranks

    vote = attached.wait_for_invocation("Arena", where=of("/duels/vote"))
    assert json.loads(vote.answer["body"]) == ranks
    item = table.get(ada.cookies["session_id"])
    assert item is not None
    assert json.loads(item["user_data"]["S"]) == {
        "visitor": "Ada",
        "ratings": {"tin": 1016, "gold": 984},
    }


def test_the_cookie_has_the_id_alone(attached: PlldbAttached, browser: Client) -> None:
    answer = browser.post("/login", json={"name": "Ada"})
    [cookie] = answer.headers.get_list("set-cookie")
    assert cookie.startswith(f"session_id={browser.cookies['session_id']}; ")
    assert "HttpOnly" in cookie
    assert "Ada" not in cookie


@pytest.mark.parametrize("path", ["/health", "/me"])
def test_whoever_keeps_coming_keeps_the_session(ada: Client, table: Table, path: str) -> None:
    session_id = ada.cookies["session_id"]
    table.end(session_id, in_seconds=60)
    before = time.time()
    ada.get(path).raise_for_status()
    item = table.get(session_id)
    assert item is not None
    assert int(item["ttl"]["N"]) >= int(before) + SESSION_SECONDS


def test_an_expired_session_is_none(ada: Client, table: Table) -> None:
    table.end(ada.cookies["session_id"], in_seconds=-1)
    assert ada.get("/me").status_code == 401


def test_a_logout_leaves_nothing(ada: Client, table: Table) -> None:
    session_id = ada.cookies["session_id"]
    assert ada.post("/logout").status_code == 204
    assert table.get(session_id) is None
    assert not ada.cookies
    assert ada.get("/me").status_code == 401


def test_without_its_table_it_goes_on_in_memory(
    plldb_attached: AttachTo, stack: PlldbStack, browser: Client, table: Table
) -> None:
    plldb_attached(stack, env={"SESSION_TABLE_NAME": "no-such-table"})
    browser.post("/login", json={"name": "Ada"}).raise_for_status()
    assert browser.get("/me").json() == {"name": "Ada"}
    assert table.get(browser.cookies["session_id"]) is None
