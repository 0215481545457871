"""Sessions in the PLLDBSessions table. Each change, and each ``get``, is one DynamoDB call.

The names of the table's attributes are spelled here and in template.yaml (keys and TTL), nowhere
else. Every attribute name is aliased in expressions: Status and TTL are reserved words.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, takewhile
from typing import Any

from ..shared.dynamodb import OverloadedError, begin_get, begin_put_if, names_in, update_if
from ..shared.ids import shortened
from .session import GRACE, LEASE, RESTORING_SECONDS, Session, Status
from .store import Page, Position, page_by_ttl

_NAMES = {
    "#status": "Status",
    "#stack": "StackName",
    "#owner": "Owner",
    "#session": "SessionId",
    "#ttl": "TTL",
    "#connection": "ConnectionId",
    "#connected_at": "ConnectedAt",
    "#holds": "Holds",
    "#tokens": "Tokens",
    "#heir": "Heir",
    "#silent": "Silent",
    "#restoring": "RestoringSince",
    "#reason": "Reason",
}
_BY_STACK = "GSI-StackName"
_BY_CONNECTION = "GSI-ConnectionId"
_END_OF_TIME = 2**40
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
_BATCH = 100
_BATCH_ATTEMPTS = 8
_FIRST_PAUSE = 0.05
_QUERY_SIZE = 250
_QUERY_GROWTH = 4
# A page has 1 MB at most, which are fewer items; and DynamoDB takes no number over 32 bits.
_MAX_QUERY_SIZE = 16_000


class DynamoDbSessionStore:
    """``client`` is a boto3 DynamoDB client (the low-level one: typed values, least overhead)."""

    def __init__(
        self, client: Any, table: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._table = table
        self._sleep = sleep

    def create(self, session: Session) -> None:
        item, condition = _item(session), "attribute_not_exists(#session)"
        put = begin_put_if(self._client, self._table, item, condition, _NAMES, {})
        if not put().is_applied:
            raise ValueError("there is a session with this id already")

    def get(self, session_id: str) -> Session | None:
        """Reads consistently: an id may be used the moment after it was created."""
        return self.begin_get(session_id)()

    def begin_get(self, session_id: str) -> Callable[[], Session | None]:
        item = begin_get(self._client, self._table, _key(session_id))
        return lambda: _session_or_none(item())

    def activate(self, session_id: str, connection_id: str, now: float) -> bool:
        activated = self._update(
            session_id,
            "SET #status = :active, #connection = :connection, #connected_at = :now, #ttl = :ttl",
            "#status = :pending AND #ttl > :now",
            {
                ":active": {"S": Status.ACTIVE},
                ":pending": {"S": Status.PENDING},
                ":connection": {"S": connection_id},
                ":now": _seconds(now),
                ":ttl": _seconds(now, LEASE),
            },
        )
        return activated is not None

    def extend(self, session_id: str, connection_id: str, now: float) -> int | None:
        # One that is expired stays so: its functions may have been restored already.
        extended = self._update(
            session_id,
            "SET #ttl = :ttl REMOVE #silent",
            "#connection = :connection AND #ttl > :now",
            {
                ":ttl": _seconds(now, LEASE),
                ":connection": {"S": connection_id},
                ":now": _seconds(now),
            },
        )
        return extended.ttl if extended else None

    def mark_instrumenting(
        self, session_id: str, connection_id: str, token_key: str
    ) -> Session | None:
        return self._update_held(
            session_id,
            connection_id,
            "ADD #holds :holds, #tokens :tokens",
            {":holds": {"SS": [shortened(session_id)]}, ":tokens": {"SS": [token_key]}},
        )

    def mark_silent(self, session_id: str) -> None:
        self._update(
            session_id,
            "SET #silent = :true",
            "attribute_exists(#connection)",
            {":true": {"BOOL": True}},
        )

    def appoint_heir(self, session_id: str, heir: str) -> Session | None:
        return self._update(
            session_id,
            "SET #status = :closed, #heir = :heir REMOVE #connection",
            "#status IN (:active, :closed) AND attribute_not_exists(#restoring)"
            " AND (attribute_not_exists(#heir) OR #heir = :heir)",
            {
                ":active": {"S": Status.ACTIVE},
                ":closed": {"S": Status.CLOSED},
                ":heir": {"S": heir},
            },
        )

    def inherit(
        self, session_id: str, connection_id: str, holds: Iterable[str], tokens: Iterable[str]
    ) -> Session | None:
        sets = {"holds": sorted(holds), "tokens": sorted(tokens)}
        # DynamoDB knows no empty set.
        clauses = [f"#{name} :{name}" for name, values in sets.items() if values]
        return self._update_held(
            session_id,
            connection_id,
            f"ADD {', '.join(clauses)}" if clauses else "",
            {f":{name}": {"SS": values} for name, values in sets.items() if values},
        )

    def disconnect(self, session_id: str, connection_id: str, now: float) -> Session | None:
        return self._update_held(
            session_id,
            connection_id,
            "SET #status = :closed, #ttl = :ttl REMOVE #connection",
            {":closed": {"S": Status.CLOSED}, ":ttl": _seconds(now, GRACE)},
        )

    def close(
        self, session_id: str, connection_id: str, now: float, reason: str | None = None
    ) -> Session | None:
        return self._close(
            session_id,
            "#connection = :connection",
            {":connection": {"S": connection_id}},
            now,
            reason,
        )

    def close_expired(self, session_id: str, connection_id: str, now: float) -> Session | None:
        return self._close(
            session_id,
            "#connection = :connection AND #ttl <= :now",
            {":connection": {"S": connection_id}},
            now,
        )

    def cancel(self, session_id: str, now: float, reason: str) -> Session | None:
        return self._close(
            session_id, "#status = :pending", {":pending": {"S": Status.PENDING}}, now, reason
        )

    def begin_restoring(self, session_id: str, now: float, reason: str | None = None) -> bool:
        kept, values = _keep(reason)
        begun = self._update(
            session_id,
            f"SET #restoring = :now{kept}",
            "#status = :closed AND attribute_not_exists(#heir)"
            " AND (attribute_not_exists(#restoring) OR #restoring <= :again)",
            {
                ":closed": {"S": Status.CLOSED},
                ":now": _seconds(now),
                ":again": _seconds(now, -RESTORING_SECONDS),
                **values,
            },
        )
        return begun is not None

    def id_by_connection(self, connection_id: str) -> str | None:
        found = self._client.query(
            TableName=self._table,
            IndexName=_BY_CONNECTION,
            KeyConditionExpression="#connection = :connection",
            ExpressionAttributeNames={"#connection": _NAMES["#connection"]},
            ExpressionAttributeValues={":connection": {"S": connection_id}},
        )
        ids = [str(item["SessionId"]["S"]) for item in found["Items"]]
        return ids[0] if ids else None

    def open_sessions(self, stack_name: str, now: float) -> list[Session]:
        """Through GSI-StackName, which is eventually consistent, as the following are."""
        items = self._query(
            "#stack = :stack AND #ttl > :now",
            "#status <> :closed",
            {
                ":stack": {"S": stack_name},
                ":now": {"N": str(int(now))},
                ":closed": {"S": Status.CLOSED},
            },
        )
        return [_session(item) for item in items]

    def attached(self) -> list[Session]:
        """Only sessions with a connection are in GSI-ConnectionId, which has their keys alone."""
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table, IndexName=_BY_CONNECTION
        )
        ids = (item["SessionId"]["S"] for page in pages for item in page["Items"])
        found = (_session(item) for item in self._get_all(ids))
        return [session for session in found if session.connection_id is not None]

    def page(
        self,
        stack_name: str,
        viewer: str,
        now: float,
        *,
        limit: int,
        after: Position | None = None,
        open_only: bool = False,
    ) -> Page:
        values = {
            ":stack": {"S": stack_name},
            ":latest": {"N": str(-after.rank if after else _END_OF_TIME)},
            ":pending": {"S": Status.PENDING},
            ":viewer": {"S": viewer},
        }
        visible = "#status <> :pending OR #owner = :viewer"
        if open_only:
            visible = (
                "#status = :active OR #status = :pending AND #owner = :viewer"
                " OR #status = :closed AND attribute_not_exists(#restoring)"
                " AND attribute_not_exists(#heir)"
            )
            values |= {":active": {"S": Status.ACTIVE}, ":closed": {"S": Status.CLOSED}}
        items = self._query(
            "#stack = :stack AND #ttl <= :latest", visible, values, highest_ttl_first=True
        )
        sessions = takewhile(lambda session: session.ttl > now, map(_session, items))
        return page_by_ttl(sessions, limit, after)

    def find(self, stack_name: str, prefix: str) -> list[Session]:
        items = self._query(
            "#stack = :stack",
            "begins_with(#session, :prefix)",
            {":stack": {"S": stack_name}, ":prefix": {"S": prefix}},
        )
        return [_session(item) for item in items]

    def pending_ttls(self, stack_name: str, now: float, at_most: int) -> list[int]:
        items = self._query(
            "#stack = :stack AND #ttl > :now",
            "#status = :pending",
            {
                ":stack": {"S": stack_name},
                ":now": {"N": str(int(now))},
                ":pending": {"S": Status.PENDING},
            },
        )
        return [int(item["TTL"]["N"]) for item in islice(items, at_most)]

    def _query(
        self,
        key_condition: str,
        condition: str,
        values: dict[str, Any],
        *,
        highest_ttl_first: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Items of one stack in the order of their TTL; read page by page, as they are taken.

        Most need the first few only; where conditions leave many out, the pages grow.
        """
        request = {
            "TableName": self._table,
            "IndexName": _BY_STACK,
            "KeyConditionExpression": key_condition,
            "FilterExpression": condition,
            "ExpressionAttributeNames": names_in(f"{key_condition} {condition}", _NAMES),
            "ExpressionAttributeValues": values,
            "ScanIndexForward": not highest_ttl_first,
        }
        size = _QUERY_SIZE
        page = self._client.query(**request, Limit=size)
        yield from page["Items"]
        while "LastEvaluatedKey" in page:
            size = min(size * _QUERY_GROWTH, _MAX_QUERY_SIZE)
            page = self._client.query(
                **request, Limit=size, ExclusiveStartKey=page["LastEvaluatedKey"]
            )
            yield from page["Items"]

    def _get_all(self, session_ids: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The items that (still) are there, read consistently. Raises OverloadedError."""
        ids = iter(session_ids)
        while batch := [_key(session_id) for session_id in islice(ids, _BATCH)]:
            yield from self._get_batch(batch)

    def _get_batch(self, keys: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        pause = _FIRST_PAUSE
        for _ in range(_BATCH_ATTEMPTS):
            answer = self._client.batch_get_item(
                RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}}
            )
            yield from answer["Responses"].get(self._table, [])
            unread = answer.get("UnprocessedKeys", {}).get(self._table)
            if not unread:
                return
            keys = unread["Keys"]
            self._sleep(pause)
            pause *= 2
        raise OverloadedError(f"{len(keys)} items were not read")

    def _close(
        self,
        session_id: str,
        condition: str,
        values: dict[str, Any],
        now: float,
        reason: str | None = None,
    ) -> Session | None:
        kept, more = _keep(reason)
        # A key of an index can't be NULL: the connection's id is removed.
        return self._update(
            session_id,
            f"SET #status = :closed, #restoring = :now{kept} REMOVE #connection",
            condition,
            {**values, ":closed": {"S": Status.CLOSED}, ":now": _seconds(now), **more},
        )

    def _update_held(
        self, session_id: str, connection_id: str, expression: str, values: dict[str, Any]
    ) -> Session | None:
        return self._update(
            session_id,
            expression,
            "#connection = :connection",
            values | {":connection": {"S": connection_id}},
        )

    def _update(
        self, session_id: str, expression: str, condition: str, values: dict[str, Any]
    ) -> Session | None:
        """The session after the update; None if the condition does not hold."""
        updated = update_if(
            self._client, self._table, _key(session_id), expression, condition, _NAMES, values
        )
        return _session(updated.item) if updated.is_applied and updated.item else None


def _keep(reason: str | None) -> tuple[str, dict[str, Any]]:
    """What is added to an update's SET for it, and its value."""
    return ("", {}) if reason is None else (", #reason = :reason", {":reason": {"S": reason}})


def _seconds(now: float, more: float = 0) -> dict[str, str]:
    return {"N": str(int(now + more))}


def _key(session_id: str) -> dict[str, Any]:
    return {"SessionId": {"S": session_id}}


def _item(session: Session) -> dict[str, Any]:
    item = _key(session.session_id) | {
        "StackName": {"S": session.stack_name},
        "Status": {"S": session.status},
        "TTL": {"N": str(session.ttl)},
        "CreatedAt": {"S": session.created_at},
        "Owner": {"S": session.owner},
    }
    if session.connection_id is not None:
        item["ConnectionId"] = {"S": session.connection_id}
    if session.connected_at is not None:
        item["ConnectedAt"] = {"N": str(session.connected_at)}
    if session.holds:
        item["Holds"] = {"SS": sorted(session.holds)}
    if session.tokens:
        item["Tokens"] = {"SS": sorted(session.tokens)}
    if session.heir is not None:
        item["Heir"] = {"S": session.heir}
    if session.is_silent:
        item["Silent"] = {"BOOL": True}
    if session.restoring_since is not None:
        item["RestoringSince"] = {"N": str(session.restoring_since)}
    if session.reason is not None:
        item["Reason"] = {"S": session.reason}
    return item


def _session_or_none(item: dict[str, Any] | None) -> Session | None:
    return None if item is None else _session(item)


def _session(item: dict[str, Any]) -> Session:
    return Session(
        session_id=item["SessionId"]["S"],
        stack_name=item["StackName"]["S"],
        status=Status(item["Status"]["S"]),
        ttl=int(item["TTL"]["N"]),
        created_at=item["CreatedAt"]["S"],
        owner=item["Owner"]["S"],
        connection_id=item.get("ConnectionId", {}).get("S"),
        connected_at=_number(item, "ConnectedAt"),
        holds=frozenset(item.get("Holds", {}).get("SS", ())),
        tokens=frozenset(item.get("Tokens", {}).get("SS", ())),
        heir=item.get("Heir", {}).get("S"),
        is_silent=item.get("Silent", {}).get("BOOL", False),
        restoring_since=_number(item, "RestoringSince"),
        reason=item.get("Reason", {}).get("S"),
    )


def _number(item: dict[str, Any], name: str) -> int | None:
    return int(item[name]["N"]) if name in item else None
