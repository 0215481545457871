"""Invocations and tokens in the PLLDBDebugger table. Each change, and each look-up, is one call.

Two where ``bury`` finds something in its way. ``stale`` and ``unsettled`` read GSI-Open, page by
page: an index of what the reaper may have to act on. An item is in it while it has the attribute
``Open``, as invocations have until they are over, and tokens until they are settled. What is over
lies in the table for hours, with its answer, and after that until DynamoDB finds the time: reading
that every few minutes would cost more than all the rest.

The names of the table's attributes are spelled here and in template.yaml (keys, TTL and what the
index holds), nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..shared.dynamodb import Change, begin_get, begin_put_if, names_in, sign_update, update_if
from ..shared.signed_request import SignedRequest
from .invocation import (
    OPEN,
    RETENTION,
    TOKEN_PREFIX,
    TOKEN_RETENTION,
    Answer,
    Grant,
    Invocation,
    InvocationId,
    InvocationState,
)
from .store import Recorded, Step

_NAMES = {
    "#request": "RequestId",
    "#state": "State",
    "#session": "SessionId",
    "#token": "Token",
    "#connection": "ConnectionId",
    "#deadline": "Deadline",
    "#started": "HasStarted",
    "#answer": "Answer",
    "#settled": "Settled",
    "#open": "Open",
    # A reserved word, as State, Token and TTL are.
    "#hold": "Hold",
    "#ttl": "TTL",
}
_INDEX = "GSI-Open"
# Whoever ends something takes it out of the index.
_LEAVES_INDEX = "REMOVE #open"
_OF_SESSION = "#session = :session AND #deadline = :deadline"
_OF_TOKEN = "#token = :token AND #deadline = :deadline"  # noqa: S105 # nosec B105 - no secret
_IS_OPEN = "#state IN (:waiting, :started)"
_CLAIM = "SET #state = :started, #started = :true"
_IS_CLAIMABLE = f"{_OF_SESSION} AND #deadline > :now AND {_IS_OPEN}"
# Nobody has, or will ask for, what is there: it is an earlier try of the same function, or its time
# is over. A question after an earlier try may come late: so deadlines are compared.
_IS_FREE = (
    "attribute_not_exists(#request)"
    " OR #token = :token AND #deadline < :deadline"
    " OR #token <> :token AND #deadline <= :now"
)
# Or it has ended, and is not the very same: timeouts are lowered, and functions change hands.
_IS_ANOTHER_ONES_END = (
    "#token <> :token AND #state <> :waiting AND #state <> :started"
    " OR #deadline <> :deadline AND #state <> :waiting AND #state <> :started"
)


class DynamoDbInvocationStore:
    """``client`` is a boto3 DynamoDB client."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    # --- Tokens -------------------------------------------------------------------------------

    def add_token(self, token_key: str, grant: Grant, now: float) -> None:
        self._client.put_item(
            TableName=self._table,
            Item={
                "RequestId": {"S": token_key},
                "SessionId": {"S": grant.session_id},
                "StackName": {"S": grant.stack_name},
                "Hold": {"S": grant.hold},
                "Open": {"S": grant.hold},
                "TTL": _token_ttl(now),
            },
        )

    def grant_of(self, token_key: str) -> Grant | None:
        item = self._get(token_key)
        return _grant(item) if item and "Hold" in item else None

    def grant_to(self, token_key: str, session_id: str, now: float) -> None:
        self._update(
            token_key,
            "SET #session = :session, #ttl = :ttl",
            "attribute_exists(#request)",
            {":session": {"S": session_id}, ":ttl": _token_ttl(now)},
        )

    def unsettled(self) -> Iterator[tuple[str, Grant]]:
        condition = "begins_with(#request, :token)"
        items = self._read_index(condition, {":token": {"S": TOKEN_PREFIX}})
        return ((item["RequestId"]["S"], _grant(item)) for item in items)

    def settle(self, token_key: str) -> None:
        self._update(
            token_key,
            f"SET #settled = :true {_LEAVES_INDEX}",
            "attribute_exists(#request)",
            {":true": {"BOOL": True}},
        )

    # --- Invocations --------------------------------------------------------------------------

    def record(self, invocation: Invocation) -> Recorded:
        return self.begin_record(invocation)()

    def begin_record(self, invocation: Invocation) -> Callable[[], Recorded]:
        put = self._begin_put(invocation, f"{_IS_FREE} OR {_IS_ANOTHER_ONES_END}", _open_values())
        return lambda: self._recorded(invocation, put())

    def _recorded(self, invocation: Invocation, put: Change) -> Recorded:
        if put.is_applied:
            return Recorded.NEW
        found = _invocation(put.item)
        is_same = found is not None and found.is_same_as(invocation)
        return Recorded.REPEATED if is_same else Recorded.REFUSED

    def bury(self, invocation: Invocation) -> Step:
        buried = replace(invocation, state=InvocationState.ABANDONED)
        put = self._begin_put(buried, _IS_FREE, {})()
        found = _invocation(put.item)
        if put.is_applied or found is None or not found.is_same_as(invocation):
            return Step(put.is_applied, found)
        return self.abandon(invocation.id, invocation.token_key)

    def get(self, request_id: str) -> Invocation | None:
        return _invocation(self._get(request_id))

    def claim(self, id: InvocationId, session_id: str, now: float) -> Step:
        return self._step(id, _CLAIM, _IS_CLAIMABLE, _claim_values(session_id, now))

    def answer(self, id: InvocationId, session_id: str, answer: Answer, now: float) -> Step:
        return self._step(
            id,
            f"SET #state = :answered, #answer = :answer {_LEAVES_INDEX}",
            f"{_OF_SESSION} AND #deadline > :now AND #state = :started",
            {
                ":session": {"S": session_id},
                ":now": _number(now),
                ":started": {"S": InvocationState.STARTED},
                ":answered": {"S": InvocationState.ANSWERED},
                ":answer": {"M": _answer_item(answer)},
            },
        )

    def decline(self, id: InvocationId, session_id: str) -> Step:
        return self._abandon(
            id, _OF_SESSION, {":session": {"S": session_id}}, [InvocationState.WAITING]
        )

    def abandon(self, id: InvocationId, token_key: str) -> Step:
        return self._abandon(id, _OF_TOKEN, {":token": {"S": token_key}}, [InvocationState.WAITING])

    def lose(self, id: InvocationId, token_key: str) -> Step:
        return self._abandon(id, _OF_TOKEN, {":token": {"S": token_key}}, OPEN)

    def readdress(self, id: InvocationId, token_key: str, session_id: str) -> Step:
        return self._step(
            id,
            "SET #session = :session",
            f"{_OF_TOKEN} AND #state = :waiting",
            {
                ":session": {"S": session_id},
                ":token": {"S": token_key},
                ":waiting": {"S": InvocationState.WAITING},
            },
        )

    def follow(self, id: InvocationId, token_key: str, connection_id: str) -> Step:
        return self._step(
            id,
            "SET #connection = :connection",
            f"{_OF_TOKEN} AND {_IS_OPEN}",
            _open_values() | {":token": {"S": token_key}, ":connection": {"S": connection_id}},
        )

    def stale(self, now: float) -> Iterator[str]:
        items = self._read_index("#deadline <= :now", {":now": _number(now)})
        return (str(item["RequestId"]["S"]) for item in items)

    def expire(self, request_id: str, now: float) -> bool:
        return self._update(
            request_id,
            f"SET #state = :expired {_LEAVES_INDEX}",
            f"{_IS_OPEN} AND #deadline <= :now",
            _open_values() | {":expired": {"S": InvocationState.EXPIRED}, ":now": _number(now)},
        )

    def _abandon(
        self,
        id: InvocationId,
        owner: str,
        values: dict[str, Any],
        states: Iterable[InvocationState],
    ) -> Step:
        known = {f":{state.lower()}": {"S": state} for state in states}
        return self._step(
            id,
            f"SET #state = :abandoned {_LEAVES_INDEX}",
            f"{owner} AND #state IN ({', '.join(known)})",
            values | known | {":abandoned": {"S": InvocationState.ABANDONED}},
        )

    def _read_index(self, condition: str, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What it holds may be a moment behind: each change is conditional."""
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table,
            IndexName=_INDEX,
            FilterExpression=condition,
            ExpressionAttributeNames=names_in(condition, _NAMES),
            ExpressionAttributeValues=values,
        )
        return (item for page in pages for item in page["Items"])

    def _step(
        self, id: InvocationId, expression: str, condition: str, values: dict[str, Any]
    ) -> Step:
        key, values = _key(id.request_id), values | _of(id)
        updated = update_if(self._client, self._table, key, expression, condition, _NAMES, values)
        return Step(updated.is_applied, _invocation(updated.item))

    def _update(self, key: str, expression: str, condition: str, values: dict[str, Any]) -> bool:
        return update_if(
            self._client, self._table, _key(key), expression, condition, _NAMES, values
        ).is_applied

    def _begin_put(
        self, invocation: Invocation, condition: str, values: dict[str, Any]
    ) -> Callable[[], Change]:
        item = _item(invocation)
        values = values | {
            ":token": item["Token"],
            ":deadline": item["Deadline"],
            ":now": item["CreatedAt"],
        }
        return begin_put_if(self._client, self._table, item, condition, _NAMES, values)

    def _get(self, key: str) -> dict[str, Any] | None:
        return begin_get(self._client, self._table, _key(key))()


class DynamoDbClaims:
    """``client`` is a boto3 DynamoDB client; ``credentials`` gives what it signs with, now."""

    def __init__(self, client: Any, table: str, credentials: Callable[[], Any]) -> None:
        self._client = client
        self._table = table
        self._credentials = credentials

    def sign(self, id: InvocationId, session_id: str, now: float) -> SignedRequest:
        return sign_update(
            self._client,
            self._credentials(),
            self._table,
            _key(id.request_id),
            _CLAIM,
            _IS_CLAIMABLE,
            _NAMES,
            _claim_values(session_id, now) | _of(id),
        )


def _claim_values(session_id: str, now: float) -> dict[str, Any]:
    values = {":session": {"S": session_id}, ":now": _number(now), ":true": {"BOOL": True}}
    return _open_values() | values


def _of(id: InvocationId) -> dict[str, Any]:
    return {":deadline": _number(id.deadline)}


def _open_values() -> dict[str, Any]:
    return {f":{state.lower()}": {"S": state} for state in OPEN}


def _number(seconds: float) -> dict[str, str]:
    return {"N": str(round(seconds, 3))}


def _token_ttl(now: float) -> dict[str, str]:
    return {"N": str(int(now) + TOKEN_RETENTION)}


def _grant(item: dict[str, Any]) -> Grant:
    return Grant(
        session_id=item["SessionId"]["S"],
        stack_name=item["StackName"]["S"],
        hold=item["Hold"]["S"],
        is_settled="Settled" in item,
    )


def _key(request_id: str) -> dict[str, Any]:
    return {"RequestId": {"S": request_id}}


def _item(invocation: Invocation) -> dict[str, Any]:
    item = _key(invocation.id.request_id) | {
        "SessionId": {"S": invocation.session_id},
        "Token": {"S": invocation.token_key},
        "Function": {"S": invocation.function},
        "State": {"S": invocation.state},
        "CreatedAt": _number(invocation.created_at),
        "Deadline": _number(invocation.id.deadline),
        "ConnectionId": {"S": invocation.connection_id},
        "TTL": {"N": str(int(invocation.created_at) + RETENTION)},
    }
    if invocation.state in OPEN:
        item["Open"] = {"S": invocation.session_id}
    if invocation.has_started:
        item["HasStarted"] = {"BOOL": True}
    if invocation.answer is not None:
        item["Answer"] = {"M": _answer_item(invocation.answer)}
    return item


def _invocation(item: dict[str, Any] | None) -> Invocation | None:
    """Tokens lie in the same table, and are no invocations; nor is what another version left."""
    if item is None or "Token" not in item:
        return None
    return Invocation(
        id=InvocationId(item["RequestId"]["S"], float(item["Deadline"]["N"])),
        session_id=item["SessionId"]["S"],
        token_key=item["Token"]["S"],
        function=item["Function"]["S"],
        created_at=float(item["CreatedAt"]["N"]),
        connection_id=item["ConnectionId"]["S"],
        state=InvocationState(item["State"]["S"]),
        has_started=item.get("HasStarted", {}).get("BOOL", False),
        answer=_answer(item["Answer"]["M"]) if "Answer" in item else None,
    )


def _answer_item(answer: Answer) -> dict[str, Any]:
    if answer.body_key is not None:
        return {"BodyKey": {"S": answer.body_key}}
    return {"Body": {"S": answer.body or ""}}


def _answer(item: dict[str, Any]) -> Answer:
    return Answer(item.get("Body", {}).get("S"), item.get("BodyKey", {}).get("S"))
