"""What sessions hold of a "stack" that is a mere list of functions, not known to CloudFormation.

A list lives with the debugger that attaches to it. What is to be restored once the debugger is gone
has to be known here, so it is kept from before the first function is changed until all are
restored. One item has all functions of a list, in entries that each belong to one hold: whoever
restores a session's functions forgets its entries, and touches no other session's.

While functions are being instrumented, a session may end and be restored beside that. So its
entries are kept as long as such work is under way. Work that died is not under way any more once
its time is over: then its entries are forgotten as soon as somebody restores them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import ClientError

from ..shared.constants import FUNCTION_LISTS_PREFIX
from ..shared.dynamodb import begin_get

# Seconds after which work is over that began last, whatever became of it: what a Lambda function
# has, and some for clocks. Lambda's own repetition of it begins anew.
WORK_SECONDS = 960
# How often an item is read again because somebody else added to it in between.
_ATTEMPTS = 20


@dataclass(frozen=True)
class ListedFunction:
    """``hold`` is the name under which a session holds it, ``title`` what it is called there, and
    ``name`` what Lambda knows it by.
    """

    hold: str
    title: str
    name: str


class FunctionLists(Protocol):
    """Each change may be repeated. ``work`` names what is under way for a hold."""

    def add(self, stack_name: str, hold: str, functions: Mapping[str, str], work: str) -> None:
        """``functions``, names by titles, are about to be changed."""
        ...

    def end_work(self, stack_name: str, hold: str, work: str) -> None:
        """Nothing more will be changed by that."""
        ...

    def get(self, stack_name: str) -> list[ListedFunction]: ...

    def forget(self, stack_name: str, holds: Collection[str]) -> None:
        """What was restored of these holds, except for those with work under way.

        What died is under way no more: it began more than WORK_SECONDS ago, as the last of all.
        """
        ...


class DynamoDbFunctionLists:
    """In the table of sessions. ``client`` is a boto3 DynamoDB client."""

    def __init__(self, client: Any, table: str, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    def add(self, stack_name: str, hold: str, functions: Mapping[str, str], work: str) -> None:
        entries = [json.dumps([hold, title, name]) for title, name in functions.items()]
        sets = _sets(entries, [json.dumps([hold, work])])
        self._update(
            stack_name,
            f"SET #Began = :Began ADD {_actions(sets)}",
            {"#Began": "Began"} | _names(sets),
            {":Began": {"N": f"{self._clock():.6f}"}} | _values(sets),
        )

    def end_work(self, stack_name: str, hold: str, work: str) -> None:
        sets = _sets([], [json.dumps([hold, work])])
        self._update(stack_name, f"DELETE {_actions(sets)}", _names(sets), _values(sets))

    def get(self, stack_name: str) -> list[ListedFunction]:
        return [ListedFunction(*json.loads(text)) for text in _texts(self._read(stack_name))]

    def forget(self, stack_name: str, holds: Collection[str]) -> None:
        for _ in range(_ATTEMPTS):
            if self._try_to_forget(stack_name, holds):
                return

    def _try_to_forget(self, stack_name: str, holds: Collection[str]) -> bool:
        """False, and no change, if somebody has begun work since the item was read."""
        item = self._read(stack_name)
        functions, works = [*_texts(item)], [*_texts(item, "UnderWay")]
        # An item that says nothing of it was written by an earlier plldb.
        began = item.get("Began", {"N": "0"})
        is_dead = float(began["N"]) <= self._clock() - WORK_SECONDS
        over = {*holds} - (set() if is_dead else {_hold_of(text) for text in works})
        sets = _sets(
            *([one for one in texts if _hold_of(one) in over] for texts in (functions, works))
        )
        if not sets:
            return True
        try:
            self._update(
                stack_name,
                f"DELETE {_actions(sets)}",
                {"#Began": "Began"} | _names(sets),
                {":Began": began} | _values(sets),
                ConditionExpression="attribute_not_exists(#Began) OR #Began = :Began",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def _read(self, stack_name: str) -> dict[str, Any]:
        return begin_get(self._client, self._table, _key(stack_name))() or {}

    def _update(
        self,
        stack_name: str,
        expression: str,
        names: dict[str, str],
        values: dict[str, Any],
        **more: str,
    ) -> None:
        self._client.update_item(
            TableName=self._table,
            Key=_key(stack_name),
            UpdateExpression=expression,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
            **more,
        )


_Sets = dict[str, list[str]]


def _sets(functions: list[str], works: list[str]) -> _Sets:
    """By the names of their attributes. DynamoDB knows no empty set."""
    return {name: sorted(t) for name, t in (("Functions", functions), ("UnderWay", works)) if t}


def _actions(sets: _Sets) -> str:
    return ", ".join(f"#{name} :{name}" for name in sets)


def _names(sets: _Sets) -> dict[str, str]:
    return {f"#{name}": name for name in sets}


def _values(sets: _Sets) -> dict[str, Any]:
    return {f":{name}": {"SS": texts} for name, texts in sets.items()}


def _hold_of(text: str) -> str:
    return str(json.loads(text)[0])


def _texts(item: dict[str, Any], name: str = "Functions") -> Iterator[str]:
    yield from sorted(item.get(name, {}).get("SS", ()))


def _key(stack_name: str) -> dict[str, Any]:
    return {"SessionId": {"S": f"{FUNCTION_LISTS_PREFIX}{stack_name}"}}
