"""Instruments and restores the functions of a stack, and tells the debugger of each.

Runs as PLLDBManagerRole, which has no right on the sessions: whether the session still lives is
asked of the broker. Both operations are idempotent, since Lambda repeats a failed one that was
asked for by a session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from . import configuration as redirection
from . import messages
from .configuration import MAX_TIMEOUT, Configuration, Hold, Layer
from .connections import Connections
from .functions import STACK_TYPE, Functions, GoneError, RefusedError, UnseenUpdateError
from .instrumentation_request import INSTRUMENT
from .log import Event, Record

# The variable that tells a function of any helper stack which one it is of: see template.yaml.
_HELPER_STACK = "PLLDB_HELPER_STACK"
_THREADS = 16
# How often a function is looked at again because somebody else changed it in between.
_ATTEMPTS = 5
_CHANGING = "somebody else keeps changing it"
_UNSEEN = "Lambda took the change, but it is not known whether it is through"
_LOST_ORIGINAL = "it runs plldb's shim, but its own handler is not known any more; deploy it again"

Message = dict[str, Any]


class NotRestoredError(Exception):
    """Some functions were not restored; Lambda is to try again."""


@dataclass(frozen=True)
class Manager:
    """What the operations act on.

    ``connection_of`` takes a session's token, and gives the id of the connection that holds it now;
    None if nobody is attached any more.
    """

    functions: Functions
    connections: Connections
    layer: Layer
    broker_url: str
    connection_of: Callable[[str], str | None]


@dataclass(frozen=True)
class Target:
    """One function of the stack."""

    logical_id: str
    name: str


class Teller:
    """Posts to the debugger's connection, if there is one, and follows it where it moves.

    ``find`` gives the id of the connection that holds the session now, or None. Once nobody is
    there, nothing is posted any more.
    """

    def __init__(
        self,
        connections: Connections,
        connection_id: str | None,
        find: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._connections = connections
        self._connection_id = connection_id
        self._find = find

    def __call__(self, message: Message) -> None:
        connection_id = self._connection_id
        while connection_id is not None and not self._connections.post(connection_id, message):
            found = self._find()
            # Where it still is what it was, the session only does not know yet.
            connection_id = None if found == connection_id else found
            self._connection_id = connection_id


def handle(event: Event, record: Record, manager: Manager) -> Any:
    """One request of instrumentation_request.py."""
    record |= {"stackName": event["stackName"], "sessionId": event["sessionRef"]}
    record["route"] = event["operation"]
    if event["operation"] == INSTRUMENT:
        return instrument(event, record, manager)
    return restore(event, record, manager)


def instrument(request: dict[str, Any], record: Record, manager: Manager) -> dict[str, Any]:
    """Redirects the chosen functions; if the session ends meanwhile, restores them at once."""
    tell = Teller(
        manager.connections,
        request["connectionId"],
        lambda: manager.connection_of(request["token"]),
    )
    try:
        return _instrument(request, record, manager, tell)
    except Exception as error:
        reason = f"instrumenting failed: {type(error).__name__}; see the helper stack's log group"
        with suppress(Exception):  # the first error is the one to report
            tell(messages.warning(request["stackName"], reason))
        raise


def _instrument(
    request: dict[str, Any], record: Record, manager: Manager, tell: Teller
) -> dict[str, Any]:
    own = request | {"connectionId": None}
    # A late or repeated request must not take functions from a newer session.
    if manager.connection_of(request["token"]) is None:
        return restore(own, record, manager)
    targets = _chosen(request, manager, tell)
    limits = manager.functions.timeout_limits({target.name for target in targets.chosen})

    def take(target: Target) -> bool:
        told = _taken(target, request, limits.get(target.name, MAX_TIMEOUT), manager)
        for message in told:
            tell(message)
        is_instrumented: bool = told[0]["type"] == messages.MessageType.INSTRUMENTED
        if is_instrumented:
            _warn_of_bypasses(target, manager, tell)
        return is_instrumented

    taken = _in_parallel(take, targets.chosen)
    # Asked after the last change: a session that ended before is restored here, one that ends
    # later has its own restoring, which sees all changes. That a connection is gone says nothing:
    # the session may have moved to another.
    if manager.connection_of(request["token"]) is None:
        return restore(own, record, manager)
    _give_back_rest_of_former(request, record, manager, tell)
    record |= {"outcome": "ready", "instrumented": sum(taken)}
    skipped = len(taken) - sum(taken) + targets.unmatched
    tell(messages.ready(sum(taken), skipped))
    return {"instrumented": sum(taken), "skipped": skipped}


def _give_back_rest_of_former(
    request: dict[str, Any], record: Record, manager: Manager, tell: Teller
) -> None:
    """What the replaced session held and this one did not take."""
    if request["replaces"] is None:
        return
    former = request | {"sessionRef": request["replaces"], "replaces": None, "connectionId": None}
    try:
        restore(former, {}, manager)
    except NotRestoredError as error:
        # Each is restored with its next invocation, at the latest.
        record["level"] = "ERROR"
        reason = f"not restored after the former session: {error}"
        tell(messages.warning(request["stackName"], reason))


def restore(request: dict[str, Any], record: Record, manager: Manager) -> dict[str, Any]:
    """``{"restored": [logical ids], "failed": {logical id: reason}}``.

    Of a session, and of the one that it replaces; or all that is instrumented. Nobody sees the
    answer where a session's functions are restored: raises NotRestoredError then.
    """
    holders = {request["sessionRef"], request.get("replaces")} - {None}
    tell = Teller(manager.connections, request["connectionId"])
    targets = [
        Target(logical_id, name)
        for logical_id, name, kind in manager.functions.of_stack(request["stackName"])
        if kind != STACK_TYPE
    ]
    restored: list[str] = []
    failed: dict[str, str] = {}

    def give_back(target: Target) -> None:
        try:
            if _given_back(target, holders, manager):
                restored.append(target.logical_id)
                tell(messages.restored(target.logical_id))
        except RefusedError as error:
            failed[target.logical_id] = str(error)
            tell(messages.warning(target.logical_id, f"not restored: {error}"))

    _in_parallel(give_back, targets)
    tell(messages.closed())
    record |= {"outcome": "restored", "restored": len(restored), "failed": len(failed)}
    if failed:
        record["level"] = "ERROR"
        if request["sessionRef"] is not None:
            raise NotRestoredError(", ".join(sorted(failed)))
    return {"restored": sorted(restored), "failed": failed}


@dataclass(frozen=True)
class _Choice:
    chosen: list[Target]
    unmatched: int


def _chosen(request: dict[str, Any], manager: Manager, tell: Teller) -> _Choice:
    """The functions that the patterns name; tells of nested stacks and of idle patterns."""
    patterns: list[str] = request["functions"]
    chosen: list[Target] = []
    idle = set(patterns)
    for logical_id, name, kind in manager.functions.of_stack(request["stackName"]):
        matching = {p for p in patterns if fnmatchcase(logical_id, p) or fnmatchcase(name, p)}
        if kind == STACK_TYPE:
            nested = name.rpartition(":stack/")[2].partition("/")[0]
            tell(
                messages.warning(
                    logical_id, f"a nested stack: attach to {nested} to debug its functions"
                )
            )
        elif matching or not patterns:
            idle -= matching
            chosen.append(Target(logical_id, name))
    for pattern in sorted(idle):
        tell(messages.skipped(pattern, "no function of the stack has such a name"))
    return _Choice(chosen, len(idle))


def _taken(
    target: Target, request: dict[str, Any], timeout_limit: int, manager: Manager
) -> list[Message]:
    """Redirects one function, and gives what tells of it: what became of it, then any warning."""
    try:
        for _ in range(_ATTEMPTS):
            told = _try_to_take(target, request, timeout_limit, manager)
            if told:
                return told
    except GoneError:
        return [messages.skipped(target.logical_id, "it was deleted")]
    except RefusedError as error:
        return [messages.skipped(target.logical_id, str(error))]
    return [messages.skipped(target.logical_id, _CHANGING)]


def _try_to_take(
    target: Target, request: dict[str, Any], timeout_limit: int, manager: Manager
) -> list[Message]:
    """As above; nothing, if somebody else changed the function in between."""
    found = manager.functions.get(target.name)
    current = Configuration.from_lambda(found)
    undone = redirection.original(current, manager.layer)
    holder = redirection.holder(current)
    if reason := redirection.obstacle(found) or _guard(current):
        return [messages.skipped(target.logical_id, reason)]
    rival = _rival(current, request, manager)
    if rival is not None and not request["takeOver"]:
        reason = f"held by {redirection.owner(current)}, session {holder}"
        return [messages.skipped(target.logical_id, reason)]
    if undone.handler == redirection.SHIM_HANDLER:
        return [messages.skipped(target.logical_id, _LOST_ORIGINAL)]
    hold = _hold(request, manager)
    if holder == hold.session:
        # Its own token still opens the session: nothing to change.
        hold = replace(hold, token=current.variables.get(redirection.TOKEN, hold.token))
    wanted = redirection.redirected(undone, target.logical_id, hold, manager.layer, timeout_limit)
    if reason := redirection.lack_of_room(wanted):
        return [messages.skipped(target.logical_id, reason)]
    warnings = _redirect(target, found, current.changes(wanted), manager)
    if warnings is None:
        return []
    if rival is not None:
        # Whether that one is still there to hear it makes no difference.
        manager.connections.post(
            rival["connectionId"], messages.taken(target.logical_id, request["owner"])
        )
    return [_instrumented(target, found, undone), *warnings]


def _redirect(
    target: Target, found: dict[str, Any], changes: dict[str, Any], manager: Manager
) -> list[Message] | None:
    """Warnings, mostly none. None, and no change, if it is not any more what was found."""
    if not changes:
        return []
    try:
        updated = manager.functions.update(target.name, found["RevisionId"], changes)
    except UnseenUpdateError as error:
        # Its invocations come here, now or in a while: a debugger that was told of no such function
        # would leave them waiting.
        return [messages.warning(target.logical_id, f"{_UNSEEN}: {error}")]
    return None if updated is None else []


def _guard(current: Configuration) -> str | None:
    """Why a function is not to be had, though it could be redirected; None if it is.

    One of a helper stack, ours or another, sees everybody's sessions, and has rights of its own.
    """
    helper_stack = current.variables.get(_HELPER_STACK)
    if helper_stack is None:
        return None
    return f"it belongs to plldb itself: its helper stack is {helper_stack}"


def _instrumented(target: Target, found: dict[str, Any], undone: Configuration) -> Message:
    """``found`` is as before the change; ``undone`` as the user deployed it."""
    return messages.instrumented(
        target.logical_id,
        function_name=target.name,
        function_arn=found["FunctionArn"],
        handler=undone.handler,
        runtime=found["Runtime"],
        timeout=undone.timeout,
        memory_size=found.get("MemorySize", 128),
        variables=undone.variables,
    )


def _rival(
    current: Configuration, request: dict[str, Any], manager: Manager
) -> dict[str, str] | None:
    """The other session that holds the function: its ``owner`` and ``connectionId``.

    None if there is none, or if it is over and left its hold behind: that is simply taken.
    """
    holder = redirection.holder(current)
    if holder in (None, request["sessionRef"], request["replaces"]):
        return None
    if holder in request["activeSessions"]:
        known: dict[str, str] = request["activeSessions"][holder]
        return known
    # It may have come since the request was made: its own token tells.
    token = current.variables.get(redirection.TOKEN)
    connection_id = manager.connection_of(token) if token else None
    if connection_id is None:
        return None
    return {"owner": redirection.owner(current), "connectionId": connection_id}


def _hold(request: dict[str, Any], manager: Manager) -> Hold:
    return Hold(
        session=request["sessionRef"],
        owner=request["owner"],
        token=request["token"],
        broker_url=manager.broker_url,
        when_absent=request["whenAbsent"],
    )


def _warn_of_bypasses(target: Target, manager: Manager, tell: Teller) -> None:
    try:
        for bypass in manager.functions.bypasses(target.name):
            tell(messages.warning(target.logical_id, f"{bypass}, which is not debugged"))
    except (GoneError, RefusedError) as error:
        reason = str(error) or "the function was deleted"
        tell(messages.warning(target.logical_id, f"its aliases can't be read: {reason}"))


def _given_back(target: Target, holders: set[str], manager: Manager) -> bool:
    """Restores one function, if it is held by one of these, or by anybody if none is named.

    False if there was nothing to restore. Raises RefusedError.
    """
    try:
        for _ in range(_ATTEMPTS):
            found = manager.functions.get(target.name)
            current = Configuration.from_lambda(found)
            undone = redirection.original(current, manager.layer)
            is_lost = undone.handler == redirection.SHIM_HANDLER
            holder = redirection.holder(current)
            # One that lost its variables may be anybody's.
            if holders and holder not in holders and not (is_lost and holder is None):
                return False
            if is_lost:
                raise RefusedError(_LOST_ORIGINAL)
            changes = current.changes(undone)
            if not changes:
                return False
            if manager.functions.update(target.name, found["RevisionId"], changes) is not None:
                return True
    except GoneError:
        return False
    raise RefusedError(_CHANGING)


def _in_parallel(act: Callable[[Target], Any], targets: Iterable[Target]) -> list[Any]:
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(act, targets))
