"""What the instrumentation function is asked to do, and how it is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

INSTRUMENT = "instrument"
RESTORE = "restore"
WATCH = "watch"
WAKE = "wake"


def instrument_request(
    *,
    stack_name: str,
    session: str,
    owner: str,
    connection_id: str,
    token: str,
    functions: list[str],
    when_absent: str,
    take_over: bool,
    open_sessions: dict[str, dict[str, str]],
    as_function: bool = False,
    aliases: bool = False,
    members: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Redirects functions of a stack to a session.

    ``session`` is the beginning of its id. ``open_sessions`` are the stack's others, by the names
    under which they hold functions, each with its ``owner`` and ``connectionId``.
    ``aliases``: theirs are redirected, too, whoever else calls the functions. ``members`` are the
    functions of a stack that is a mere list, as in ``wire``.
    """
    return {
        "operation": INSTRUMENT,
        "stackName": stack_name,
        "session": session,
        "owner": owner,
        "connectionId": connection_id,
        "token": token,
        "functions": functions,
        "whenAbsent": when_absent,
        "takeOver": take_over,
        "asFunction": as_function,
        "aliases": aliases,
        "openSessions": open_sessions,
        "members": members,
    }


def restore_request(
    stack_name: str,
    holds: Iterable[str] | None = None,
    connection_id: str | None = None,
    members: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Restores a stack's functions: those that are held under one of these names, or all.

    ``connection_id`` hears of each, and of the end. ``members`` are functions of a mere list, as in
    ``wire``, besides those that the helper stack knows by itself.
    """
    return {
        "operation": RESTORE,
        "stackName": stack_name,
        "holds": None if holds is None else sorted(holds),
        "connectionId": connection_id,
    } | ({} if members is None else {"members": dict(members)})


def watch_request(
    stack_name: str, session: str, connection_id: str, stack: str, functions: dict[str, str]
) -> dict[str, Any]:
    """Tells the connection if the stack or a function is not any more as it was: see ``wire``."""
    return {
        "operation": WATCH,
        "stackName": stack_name,
        "session": session,
        "connectionId": connection_id,
        "stack": stack,
        "functions": functions,
    }


def wake_request() -> dict[str, Any]:
    """Does nothing, but an environment is there for the next request."""
    return {"operation": WAKE}


class Instrumentation(Protocol):
    def start(self, request: dict[str, Any]) -> None:
        """Hands the request over; what comes of it is told over the connection that it names."""
        ...


class UnfinishedError(Exception):
    """It was handed over, but is not done, or that is not known."""


class LambdaInstrumentation:
    """``client`` gives a boto3 Lambda client."""

    def __init__(self, client: Callable[[], Any], function_name: str) -> None:
        self._client = client
        self._function_name = function_name

    def start(self, request: dict[str, Any]) -> None:
        self._client().invoke(
            FunctionName=self._function_name,
            InvocationType="Event",
            Payload=json.dumps(request).encode(),
        )
