"""Instruments and restores the functions of a stack, and tells the debugger of each.

Runs as PLLDBManagerRole, which may read sessions and tokens, and change neither. All operations
are idempotent, since Lambda repeats a failed one that was asked for by a session.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from threading import Lock
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..invocations.invocation import token_key
from ..sessions.function_lists import FunctionLists, ListedFunction
from ..shared.log import LambdaEvent, Record
from ..websocket import wire
from ..websocket.connections import Connections
from .alias_redirection import (
    AliasWish,
    GivenBack,
    TakenAliases,
    give_aliases_back,
    take_aliases,
)
from .control_plane import (
    ChangeRefusedError,
    ControlPlane,
    DeniedError,
    Found,
    FunctionRef,
    GoneError,
    UnseenUpdateError,
    UnsignedError,
    is_settled,
)
from .event_sources import Callers, EventSources, list_caller_cautions
from .obstacles import find_hidden_variables, find_obstacle, list_cautions
from .redirect import (
    MAX_TIMEOUT,
    FunctionConfiguration,
    Hold,
    Layer,
    find_lack_of_room,
    redirect,
    undo,
)
from .request import INSTRUMENT, WAKE, WATCH, restore_request
from .scope import DebuggingScope
from .watching import compare

# Each waits for its turn and for the end of its update, rather than that it works. As many turns
# come within 4 seconds, in which a debugger that detaches should hear of something.
_MOST_THREADS = 60
_RESTORED = "restored"
# As many functions as a line of the log names.
_LOGGED = 50
# Of so many functions, callers of aliases come to the debugger before it is told that all is ready.
# Of more, that takes a while, since calls take turns.
_FEW = 10
_LATE_PAUSE = 0.3
# How often a function is looked at again because somebody else changed it in between.
_ATTEMPTS = 5
# For how long restoring waits for a deployment of the stack: 5 minutes.
_DEPLOYMENT_LOOKS, _DEPLOYMENT_PAUSE = 60, 5.0
_RESTORED_LATER = "the stack is being deployed; its functions are restored afterwards"
_CHANGING = "somebody else keeps changing it"
# What a debugger is told of a function, and plldb changes nothing of.
_TOLD = ("CodeSha256", "LoggingConfig", "MemorySize", "Runtime")
_THROTTLED = "nobody can call it: its reserved concurrency is 0"
_UNSEEN = "Lambda took the change, but it is not known whether it is through"
_UNSIGNED = (
    "it takes signed code only, and plldb's layer is not signed: to debug it, let its code signing "
    "configuration warn of that, rather than enforce it"
)
_NAME_OF_A_STACK = "its list has the name of a stack: call the list something else"
_LOST_ORIGINAL = "it runs plldb's shim, but its own handler is not known any more; deploy it again"

Message = dict[str, Any]


# What ``act`` gives for each of ``items``, so many of which are worked on at once.
InParallel = Callable[[Callable[[Any], Any], list[Any], int], list[Any]]
# Takes a function's name, and perhaps an alias.
FindCallers = Callable[..., Callers]


def _in_threads(act: Callable[[Any], Any], items: list[Any], most: int) -> list[Any]:
    with ThreadPoolExecutor(min(max(1, len(items)), most)) as pool:
        return list(pool.map(act, items))


class NotRestoredError(Exception):
    """Some functions were not restored; Lambda is to try again."""


@dataclass(frozen=True)
class Instrumenter:
    """What the operations act on.

    ``max_waiting`` is how many invocations may wait for a debugger. ``find_connection`` takes a
    session's token, and gives the id of the connection of the session, or of its latest heir; None
    if nobody is attached at the moment. ``is_over`` says of a token whether nobody will be, either.
    """

    control_plane: ControlPlane
    lists: FunctionLists
    connections: Connections
    layer: Layer
    websocket_url: str
    max_waiting: int
    find_connection: Callable[[str], str | None]
    is_over: Callable[[str], bool]
    sleep: Callable[[float], None] = time.sleep
    in_parallel: InParallel = _in_threads
    scope: DebuggingScope = field(default_factory=DebuggingScope)


class Notifier:
    """Posts to the debugger's connection, if there is one, and follows the session to its heir.

    ``find`` gives the id of the connection of the session, or of its latest heir, or None. Once
    nobody is there, nothing is posted any more. Threads post one after the other: fifty that post
    at once would hold up the calls whose turn has come meanwhile, which then come too close to the
    next ones.
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
        self._lock = Lock()

    def notify(self, message: Message) -> None:
        with self._lock:
            connection_id = self._connection_id
            while connection_id is not None and not self._connections.post(connection_id, message):
                found = self._find()
                # A session that is still where it was has only not heard of the end.
                connection_id = None if found == connection_id else found
                self._connection_id = connection_id


def handle(event: LambdaEvent, record: Record, instrumenter: Instrumenter) -> dict[str, Any]:
    """Carries out one request of request.py."""
    if event["operation"] == WAKE:
        record |= {"route": WAKE, "outcome": "awake"}
        return {}
    record |= {"stackName": event["stackName"], "route": event["operation"]}
    if event["operation"] == INSTRUMENT:
        return instrument(event, record, instrumenter)
    if event["operation"] == WATCH:
        return watch(event, record, instrumenter)
    return restore(event, record, instrumenter)


def instrument(
    request: dict[str, Any], record: Record, instrumenter: Instrumenter
) -> dict[str, Any]:
    """Redirects the chosen functions; if the session ends meanwhile, restores them at once.

    Gives ``{"instrumented": count, "skipped": count}``, or what ``restore`` gives.
    """
    notifier = Notifier(
        instrumenter.connections,
        request["connectionId"],
        lambda: instrumenter.find_connection(request["token"]),
    )
    try:
        return _instrument_kept(request, record, instrumenter, notifier)
    except Exception as error:
        reason = f"instrumenting failed: {type(error).__name__}; see the helper stack's log group"
        with suppress(Exception):  # the first error is the one to report
            notifier.notify(wire.warning(request["stackName"], reason))
        raise


def _instrument_kept(
    request: dict[str, Any], record: Record, instrumenter: Instrumenter, notifier: Notifier
) -> dict[str, Any]:
    """Instruments functions. What a mere list names is kept as long as they may be instrumented.

    It is so already, unless the request comes a second time, late. A failure leaves it as it is.
    """
    members: dict[str, str] | None = request["members"]
    if members is None:
        return _instrument(request, record, instrumenter, notifier)
    stack_name, hold, work = request["stackName"], request["session"], token_key(request["token"])
    instrumenter.lists.add(stack_name, hold, members, work)
    done = _instrument(request, record, instrumenter, notifier)
    instrumenter.lists.end_work(stack_name, hold, work)
    if record["outcome"] == _RESTORED:
        instrumenter.lists.forget(stack_name, [hold])
    return done


def _instrument(
    request: dict[str, Any], record: Record, instrumenter: Instrumenter, notifier: Notifier
) -> dict[str, Any]:
    record["sessionId"] = request["session"]
    own_holds = restore_request(request["stackName"], [request["session"]])
    # A late or repeated request must not take functions from a newer session.
    if instrumenter.is_over(request["token"]):
        return restore(own_holds, record, instrumenter)
    deployment = instrumenter.control_plane.deployment(request["stackName"])
    if deployment.is_under_way:
        # A function that is changed at the same time can make the deployment fail. The debugger
        # asks again afterwards.
        record |= {"outcome": "deploying", "instrumented": 0}
        notifier.notify(wire.changed(deployment.stamp, True))
        notifier.notify(wire.ready(0, 0, instrumenter.max_waiting, deployment.stamp))
        return {"instrumented": 0, "skipped": 0}
    selection = _select(request, instrumenter, notifier)
    if request["members"] is not None and deployment.stamp:
        return _refuse_list(selection, deployment.stamp, record, instrumenter, notifier)
    names = {one.name for one in selection.functions}
    sources = instrumenter.control_plane.event_sources(names)
    known = instrumenter.control_plane.list_known(names)
    has_few = len(selection.functions) <= _FEW
    aliases: dict[str, list[str]] = {}
    alias_work = _AliasWork(request, instrumenter, cache(instrumenter.control_plane.callers))

    def take(function: FunctionRef) -> bool:
        own = sources.get(function.name, EventSources())
        limit = MAX_TIMEOUT if own.timeout_limit is None else own.timeout_limit
        messages = _take(function, request, limit, known.get(function.name), instrumenter)
        is_taken = bool(messages[0]["type"] == wire.MessageType.INSTRUMENTED)
        if is_taken:
            messages += [wire.warning(function.logical_id, text) for text in own.cautions]
        if is_taken and has_few:
            messages += alias_work.take(function, messages[0], own)
            aliases[function.name] = messages[0]["aliases"]
        for message in messages:
            notifier.notify(message)
        return is_taken

    taken = instrumenter.in_parallel(take, selection.functions, _MOST_THREADS)
    alias_work.end_publishing()
    # Asked after the last change: a session that ended before is restored here, one that ends
    # later has its own restoring, which sees all changes. That a connection is gone says nothing:
    # an heir may have taken over, or may be about to.
    if instrumenter.is_over(request["token"]):
        return restore(own_holds, record, instrumenter)
    record |= {"outcome": "ready", "instrumented": sum(taken)}
    skipped = len(taken) - sum(taken) + selection.idle_patterns
    notifier.notify(wire.ready(sum(taken), skipped, instrumenter.max_waiting, deployment.stamp))
    # These cost a few calls for each function: nobody is to wait for them.
    for function, is_taken in zip(selection.functions, taken, strict=True):
        if not has_few and instrumenter.is_over(request["token"]):
            break  # restoring needs the calls
        if is_taken:
            if not has_few:
                # Two calls or more, in their turns: the debugger's own questions need some, too.
                instrumenter.sleep(_LATE_PAUSE)
                own = sources.get(function.name, EventSources())
                aliases[function.name] = alias_work.take_late(function, own, notifier)
            _warn_of_throttling(function, instrumenter, notifier)
            alias_work.warn_of_callers(function, aliases[function.name], notifier)
    # A session that ended meanwhile has its own restoring, which may have come before a version was
    # published. Of all else, it sees everything: two that restore the same would only be in each
    # other's way.
    is_late = bool(alias_work.published_for) and not has_few
    alias_work.end_publishing()
    if is_late and instrumenter.is_over(request["token"]):
        return restore(own_holds, record, instrumenter)
    return {"instrumented": sum(taken), "skipped": skipped}


def _refuse_list(
    selection: _Selection,
    stamp: str,
    record: Record,
    instrumenter: Instrumenter,
    notifier: Notifier,
) -> dict[str, Any]:
    """A session of a stack is for the stack's functions: a list of others would go beyond that."""
    for function in selection.functions:
        notifier.notify(wire.skipped(function.logical_id, _NAME_OF_A_STACK))
    skipped = len(selection.functions) + selection.idle_patterns
    record |= {"level": "WARNING", "outcome": "refused", "instrumented": 0}
    notifier.notify(wire.ready(0, skipped, instrumenter.max_waiting, stamp))
    return {"instrumented": 0, "skipped": skipped}


def watch(request: dict[str, Any], record: Record, instrumenter: Instrumenter) -> dict[str, Any]:
    """Tells the debugger what is not any more as it knows it: ``{"changed": count}``.

    While the stack is being deployed, functions come and go: they are looked at afterwards. What
    AWS refuses is asked for again soon. What is held, but has left the stack, is restored here: at
    the end of the session, nobody would look for it.
    """
    record |= {"sessionId": request["session"], "outcome": "unchanged"}
    try:
        deployment = instrumenter.control_plane.deployment(request["stackName"])
        known: dict[str, str] = {} if deployment.is_under_way else request["functions"]
        found = instrumenter.control_plane.find(known)
        if known and deployment.stamp != request["stack"]:
            _give_back_what_left(request, found, record, instrumenter)
    except (BotoCoreError, ClientError, ChangeRefusedError) as error:
        record |= {"level": "WARNING", "outcome": "unknown", "error": type(error).__name__}
        return {"changed": 0}
    differences = compare(known, found)
    if differences or deployment.stamp != request["stack"]:
        record["outcome"] = "changed"
        Notifier(instrumenter.connections, request["connectionId"]).notify(
            wire.changed(
                deployment.stamp,
                deployment.is_under_way,
                differences.functions,
                differences.lost,
                differences.gone,
            )
        )
    return {"changed": len(differences.functions) + len(differences.gone)}


def _give_back_what_left(
    request: dict[str, Any], found: dict[str, Found], record: Record, instrumenter: Instrumenter
) -> None:
    """Functions that a deployment took out of the stack, and left there: by a DeletionPolicy, say.

    What is refused is told in the log.
    """
    in_stack = {one.name for one in instrumenter.control_plane.of_stack(request["stackName"])}
    failed: dict[str, str] = {}
    for name in sorted(found.keys() - in_stack):
        current = FunctionConfiguration.from_lambda(found[name])
        if current.token is None or current.holder is None:
            continue
        if instrumenter.find_connection(current.token) == request["connectionId"]:
            function, holds = FunctionRef(name, name), [current.holder]
            done = _give_all_back(function, holds, None, True, instrumenter)
            if done.failures:
                failed[name] = "; ".join(done.failures)
    if failed:
        record |= {"level": "ERROR", "notRestored": failed}


def restore(request: dict[str, Any], record: Record, instrumenter: Instrumenter) -> dict[str, Any]:
    """``{"restored": [functions], "failed": {function: reason}}``, and perhaps
    ``"left": {function: [what]}``: what was left as it is, though it has to do with plldb.

    Restores what is held under the names of the request; without any, all that is instrumented.
    Nobody sees the answer where a session's functions are restored: raises NotRestoredError then.
    """
    holds = request["holds"]
    record["holds"] = holds
    notifier = Notifier(instrumenter.connections, request["connectionId"])
    _wait_for_deployment(request["stackName"], instrumenter, notifier)
    kept = instrumenter.lists.get(request["stackName"])
    listed = {one.name for one in kept}
    functions = _list_held(request["stackName"], kept, request.get("members") or {}, instrumenter)
    known = instrumenter.control_plane.list_known({one.name for one in functions})
    restored: list[str] = []
    failed: dict[str, str] = {}
    left: dict[str, list[str]] = {}

    def give_back(function: FunctionRef) -> None:
        has_versions = holds is None or function.name in listed
        was_held = known.get(function.name)
        if was_held is not None and not _is_held(was_held, holds):
            was_held = None
        done = _give_all_back(function, holds, was_held, has_versions, instrumenter)
        if done.is_restored:
            restored.append(function.logical_id)
            notifier.notify(wire.restored(function.logical_id))
        if done.warnings:
            left[function.logical_id] = [*done.warnings]
        if done.failures:
            failed[function.logical_id] = "; ".join(done.failures)
        for text in (*done.warnings, *(f"not restored: {one}" for one in done.failures)):
            notifier.notify(wire.warning(function.logical_id, text))

    instrumenter.in_parallel(give_back, functions, _MOST_THREADS)
    notifier.notify(wire.closed())
    record |= {"outcome": _RESTORED, "restored": len(restored), "failed": len(failed)}
    if left:
        record["left"] = {name: "; ".join(texts) for name, texts in sorted(left.items())[:_LOGGED]}
    if failed:
        record |= {"level": "ERROR", "notRestored": dict(sorted(failed.items())[:_LOGGED])}
        if holds is not None:
            raise NotRestoredError(", ".join(sorted(failed)))
    else:
        over = {one.hold for one in kept} if holds is None else holds
        instrumenter.lists.forget(request["stackName"], over)
    return {"restored": sorted(restored), "failed": failed} | ({"left": left} if left else {})


def _wait_for_deployment(stack_name: str, instrumenter: Instrumenter, notifier: Notifier) -> None:
    """Not longer than some minutes: a deployment that hangs does not keep functions redirected."""
    for look in range(_DEPLOYMENT_LOOKS):
        try:
            if not instrumenter.control_plane.deployment(stack_name).is_under_way:
                return
        except (BotoCoreError, ClientError):
            return  # restoring matters more
        if look == 0:
            notifier.notify(wire.warning(stack_name, _RESTORED_LATER))
        instrumenter.sleep(_DEPLOYMENT_PAUSE)


def _list_functions(request: dict[str, Any], instrumenter: Instrumenter) -> list[FunctionRef]:
    """What there is to instrument: of a stack that is a mere list, what the debugger named."""
    members: dict[str, str] | None = request["members"]
    if members is None:
        return [*instrumenter.control_plane.of_stack(request["stackName"])]
    return [FunctionRef(title, name) for title, name in members.items()]


def _list_held(
    stack_name: str,
    kept: list[ListedFunction],
    members: dict[str, str],
    instrumenter: Instrumenter,
) -> list[FunctionRef]:
    """What may be instrumented of a stack, whether CloudFormation knows it or not."""
    functions = {one.name: one for one in instrumenter.control_plane.of_stack(stack_name)}
    for title, name in (*((one.title, one.name) for one in kept), *members.items()):
        functions.setdefault(name, FunctionRef(title, name))
    return [*functions.values()]


@dataclass(frozen=True)
class _Selection:
    """The functions to take, and how many patterns name none."""

    functions: list[FunctionRef]
    idle_patterns: int


def _select(request: dict[str, Any], instrumenter: Instrumenter, notifier: Notifier) -> _Selection:
    """The functions that the patterns name; tells of patterns that name none."""
    patterns: list[str] = request["functions"]
    functions: list[FunctionRef] = []
    idle = set(patterns)
    listed = _list_functions(request, instrumenter)
    # A name in the stack is meant as such: it may be that of another function in Lambda, too.
    by_logical_id = {one.logical_id for one in listed} & idle
    for one in listed:
        matching = {
            pattern
            for pattern in patterns
            if fnmatchcase(one.logical_id, pattern)
            or (pattern not in by_logical_id and fnmatchcase(one.name, pattern))
        }
        if matching or not patterns:
            idle -= matching
            functions.append(one)
    for pattern in sorted(idle):
        notifier.notify(wire.skipped(pattern, "no function of the stack has such a name"))
    return _Selection(functions, len(idle))


def _take(
    function: FunctionRef,
    request: dict[str, Any],
    timeout_limit: int,
    known: Found | None,
    instrumenter: Instrumenter,
) -> list[Message]:
    """Redirects one function; the messages say what became of it, and then any warning.

    ``known`` is what was known of it a moment ago, if anything.
    """
    # A function that nobody holds is changed only if it is still what it was then.
    is_usable = known is not None and is_settled(known) and not _is_touched(known)
    try:
        for found in _look(function, known if is_usable else None, instrumenter):
            messages = _try_to_take(function, request, timeout_limit, found, instrumenter)
            if messages:
                return messages
    except GoneError:
        return [wire.skipped(function.logical_id, "it was deleted")]
    except DeniedError as error:
        return [wire.skipped(function.logical_id, instrumenter.scope.explain(str(error)))]
    except UnsignedError:
        return [wire.skipped(function.logical_id, _UNSIGNED)]
    except ChangeRefusedError as error:
        return [wire.skipped(function.logical_id, str(error))]
    return [wire.skipped(function.logical_id, _CHANGING)]


def _look(
    function: FunctionRef, known: Found | None, instrumenter: Instrumenter
) -> Iterator[Found]:
    """What there is of a function, again as often as somebody else has changed it meanwhile.

    At first it is what is ``known``, if that is given.
    """
    if known is not None:
        yield known
    for _ in range(_ATTEMPTS):
        yield instrumenter.control_plane.get(function.name)


def _is_held(found: Found, holds: list[str] | None) -> bool:
    """Whether the function is at rest, and held under one of these names; by anybody for None."""
    holder = FunctionConfiguration.from_lambda(found).holder
    return is_settled(found) and holder is not None and (holds is None or holder in holds)


def _is_touched(found: Found) -> bool:
    """Whether a session holds the function, or has left anything of plldb's in it."""
    configuration = FunctionConfiguration.from_lambda(found)
    return configuration.runs_shim or configuration.holder is not None


def _try_to_take(
    function: FunctionRef,
    request: dict[str, Any],
    timeout_limit: int,
    found: Found,
    instrumenter: Instrumenter,
) -> list[Message]:
    """As ``_take``; no messages, if somebody else changed the function since it was found so."""
    revision = found["RevisionId"]
    current = FunctionConfiguration.from_lambda(found)
    original = undo(current, instrumenter.layer)
    out_of_scope = instrumenter.scope.find_obstacle(found.get("FunctionName", function.name))
    if reason := out_of_scope or find_obstacle(found) or _guard(current):
        return [wire.skipped(function.logical_id, reason, revision)]
    is_own = _is_own(current, request, instrumenter)
    rival = None if is_own else _find_rival(current, request, instrumenter)
    if rival is not None and not request["takeOver"]:
        reason = f"held by {current.owner}, session {current.holder}"
        return [wire.skipped(function.logical_id, reason, revision)]
    if original.runs_shim:
        return [wire.skipped(function.logical_id, _LOST_ORIGINAL, revision)]
    hold = _make_hold(request, current if is_own else None, instrumenter)
    wanted = redirect(original, function.logical_id, hold, instrumenter.layer, timeout_limit)
    if reason := find_lack_of_room(wanted):
        return [wire.skipped(function.logical_id, reason, revision)]
    updated, warnings = _update(function, found, current.changes(wanted), instrumenter)
    # An emulator may let two pass that change it at once, and the later one has it. Of what is made
    # of it since then, the debugger would know the revision and nothing else.
    if updated is None or (updated and not _is_taken(found, updated, hold, instrumenter)):
        return []
    revision = updated.get("RevisionId", "")
    if rival is not None:
        # Whether that one is still there to hear it makes no difference.
        instrumenter.connections.post(
            rival["connectionId"], wire.taken(function.logical_id, request["owner"])
        )
    cautions = [wire.warning(function.logical_id, text) for text in list_cautions(found)]
    return [_instrumented_message(function, found, original, revision), *warnings, *cautions]


def _update(
    function: FunctionRef,
    found: dict[str, Any],
    changes: dict[str, Any],
    instrumenter: Instrumenter,
) -> tuple[Found | None, list[Message]]:
    """What the function is after the change, empty if that is not known, and warnings, mostly none.

    It is None, and nothing was changed, if it is not any more what was found.
    """
    if not changes:
        return found, []
    try:
        updated = instrumenter.control_plane.update(function.name, found["RevisionId"], changes)
    except UnseenUpdateError as error:
        # Its invocations come here, now or in a while: a debugger that was told of no such function
        # would leave them waiting.
        return {}, [wire.warning(function.logical_id, f"{_UNSEEN}: {error}")]
    return updated, []


def _is_taken(before: Found, after: Found, hold: Hold, instrumenter: Instrumenter) -> bool:
    """Whether a function is held so, and is what it was but for what plldb makes of it."""
    if not _is_held(after, [hold.session]):
        return False
    mine, other = (
        undo(FunctionConfiguration.from_lambda(found), instrumenter.layer)
        for found in (before, after)
    )
    if mine.image is not None:
        # Its own command may stand in the image alone.
        mine, other = (replace(one, handler="", image=None) for one in (mine, other))
    told = [name for name in _TOLD if name in before and name in after]
    return mine == other and all(before[name] == after[name] for name in told)


def _guard(current: FunctionConfiguration) -> str | None:
    """Why a function is not to be had, though it could be redirected; None if it is.

    One of a helper stack, ours or another, sees everybody's sessions, and has rights of its own.
    """
    if current.helper_stack is None:
        return None
    return f"it belongs to plldb itself: its helper stack is {current.helper_stack}"


def _instrumented_message(
    function: FunctionRef, found: dict[str, Any], original: FunctionConfiguration, revision: str
) -> Message:
    """``found`` is as before the change, ``original`` as the user deployed it; ``revision`` is the
    one after the change, or empty where it is not known.
    """
    return wire.instrumented(
        function.logical_id,
        function_name=function.name,
        function_arn=found["FunctionArn"],
        handler=original.handler,
        runtime=found.get("Runtime") or "",
        timeout=original.timeout,
        memory_size=found.get("MemorySize", 128),
        variables=original.variables,
        layers=original.layers,
        logging=found.get("LoggingConfig"),
        revision=revision,
    )


def _find_rival(
    current: FunctionConfiguration, request: dict[str, Any], instrumenter: Instrumenter
) -> dict[str, str] | None:
    """The other session that holds the function: its ``owner`` and ``connectionId``.

    None if there is none, or if it is over and left its hold behind: that is simply taken.
    """
    if current.holder is None:
        return None
    if current.holder in request["openSessions"]:
        known: dict[str, str] = request["openSessions"][current.holder]
        return known
    # The rival may have come since the request was made: its own token tells.
    connection_id = instrumenter.find_connection(current.token) if current.token else None
    if connection_id is None:
        return None
    return {"owner": current.owner, "connectionId": connection_id}


def _is_own(
    current: FunctionConfiguration, request: dict[str, Any], instrumenter: Instrumenter
) -> bool:
    """Whether the function is held for the session, or for one that it replaced."""
    if current.holder is None or current.token is None:
        return False
    if current.holder == request["session"]:
        return True
    connection_id = instrumenter.find_connection(current.token)
    return connection_id is not None and connection_id == instrumenter.find_connection(
        request["token"]
    )


def _make_hold(
    request: dict[str, Any], own: FunctionConfiguration | None, instrumenter: Instrumenter
) -> Hold:
    """The session's hold on a function; one that it has already (``own``) stays as it is."""
    hold = Hold(
        stack=request["stackName"],
        session=request["session"],
        owner=request["owner"],
        token=request["token"],
        websocket_url=instrumenter.websocket_url,
        when_absent=request["whenAbsent"],
        as_function=request.get("asFunction", False),
    )
    if own is not None and own.holder is not None and own.token is not None:
        return replace(hold, session=own.holder, owner=own.owner, token=own.token)
    return hold


@dataclass(frozen=True)
class _AliasWork:
    """What a request has done about aliases of its functions.

    ``find_callers`` asks once about each function and alias. ``published_for`` has the holds for
    which versions are published, until ``end_publishing``.
    """

    request: dict[str, Any]
    instrumenter: Instrumenter
    find_callers: FindCallers
    published_for: set[str] = field(default_factory=set)

    def take(self, function: FunctionRef, told: Message, sources: EventSources) -> list[Message]:
        """Warnings; what is to be ``told`` of the function says then which aliases come here."""
        wish = AliasWish(
            # An earlier plldb says nothing of it.
            always=self.request.get("aliases", False),
            is_direct=lambda: sources.call_latest or self.find_callers(function.name).are_any,
            is_own=lambda configuration: _is_own(configuration, self.request, self.instrumenter),
            find_holder=self._find_holder,
            announce=lambda hold: self._announce(hold, function),
        )
        try:
            taken = take_aliases(function.name, wish, self.instrumenter.control_plane)
        except (GoneError, ChangeRefusedError) as error:
            reason = str(error) or "the function was deleted"
            warning = f"its aliases are not debugged: {reason}"
            # How far that came is not known.
            taken = TakenAliases(warnings=(warning,), is_marked=True)
        told["aliases"] = [*taken.names]
        if taken.is_marked:
            told["revision"] = self._find_revision_of(function, told) or told["revision"]
        return [wire.warning(function.logical_id, text) for text in taken.warnings]

    def take_late(
        self, function: FunctionRef, sources: EventSources, notifier: Notifier
    ) -> list[str]:
        """The aliases that come here now.

        The debugger was told of the function already: it hears of it again, if that is changed.
        """
        try:
            found = self.instrumenter.control_plane.get(function.name)
        except (GoneError, ChangeRefusedError):
            return []  # the debugger will notice
        current = FunctionConfiguration.from_lambda(found)
        if not _is_own(current, self.request, self.instrumenter):
            return []
        original = undo(current, self.instrumenter.layer)
        told = _instrumented_message(function, found, original, found["RevisionId"])
        warnings = self.take(function, told, sources)
        is_news = bool(told["aliases"]) or told["revision"] != found["RevisionId"]
        for message in (*([told] if is_news else []), *warnings):
            notifier.notify(message)
        return [*told["aliases"]]

    def warn_of_callers(
        self, function: FunctionRef, aliases: list[str], notifier: Notifier
    ) -> None:
        """Of services that call the function, or one of its aliases that come here."""
        services = {*self.find_callers(function.name).services}
        for alias in aliases:
            services |= self.find_callers(function.name, alias).services
        for text in list_caller_cautions(services):
            notifier.notify(wire.warning(function.logical_id, text))

    def end_publishing(self) -> None:
        """Who restores the session's functions may forget of which versions were published."""
        while self.published_for:
            hold = self.published_for.pop()
            work = token_key(self.request["token"])
            self.instrumenter.lists.end_work(self.request["stackName"], hold, work)

    def _find_revision_of(self, function: FunctionRef, told: Message) -> str | None:
        """The function's revision, if the function is what the debugger is told of it.

        Of anything else, the debugger must not know the revision: it would not hear of the change.
        """
        with suppress(GoneError, ChangeRefusedError):
            found = self.instrumenter.control_plane.get(function.name)
            current = FunctionConfiguration.from_lambda(found)
            if _is_own(current, self.request, self.instrumenter):
                original, revision = undo(current, self.instrumenter.layer), found["RevisionId"]
                now = _instrumented_message(function, found, original, revision)
                if now == told | {"revision": revision, "aliases": now["aliases"]}:
                    return str(revision)
        return None

    def _find_holder(self, configuration: FunctionConfiguration) -> str | None:
        rival = _find_rival(configuration, self.request, self.instrumenter)
        return None if rival is None or self.request["takeOver"] else configuration.owner

    def _announce(self, hold: str, function: FunctionRef) -> None:
        self.published_for.add(hold)
        named = {function.logical_id: function.name}
        work = token_key(self.request["token"])
        self.instrumenter.lists.add(self.request["stackName"], hold, named, work)


def _warn_of_throttling(
    function: FunctionRef, instrumenter: Instrumenter, notifier: Notifier
) -> None:
    with suppress(GoneError, ChangeRefusedError):
        if instrumenter.control_plane.is_throttled(function.name):
            notifier.notify(wire.warning(function.logical_id, _THROTTLED))


@dataclass(frozen=True)
class _Done:
    """What became of a function that was to be restored."""

    is_restored: bool = False
    warnings: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


def _give_all_back(
    function: FunctionRef,
    holds: list[str] | None,
    known: Found | None,
    has_versions: bool,
    instrumenter: Instrumenter,
) -> _Done:
    """Aliases first, whose callers are then served by the user's own version.

    One that is refused leaves the other as it is.
    """
    failures: list[str] = []
    aliases, done = GivenBack(), _Done()
    if has_versions:
        try:
            aliases = give_aliases_back(function.name, holds, instrumenter.control_plane)
        except ChangeRefusedError as error:
            failures.append(f"its aliases: {error}")
    try:
        done = _give_back(function, holds, known, instrumenter)
    except ChangeRefusedError as error:
        failures.append(str(error))
    is_restored = done.is_restored or aliases.is_restored
    return _Done(is_restored, (*aliases.warnings, *done.warnings), tuple(failures))


def _give_back(
    function: FunctionRef, holds: list[str] | None, known: Found | None, instrumenter: Instrumenter
) -> _Done:
    """Restores one function, if it is held under one of these names, or by anybody for None.

    ``known`` is what was known of it a moment ago, if it was to be restored then. Raises
    ChangeRefusedError.
    """
    tried = _Done()
    try:
        for found in _look(function, known, instrumenter):
            current = FunctionConfiguration.from_lambda(found)
            original = undo(current, instrumenter.layer)
            if tried.warnings and [*current.changes(original)] == ["Layers"]:
                # It has another revision since the change whose answer was lost.
                return replace(tried, is_restored=True)
            is_lost = original.runs_shim
            if is_lost and (reason := find_hidden_variables(found)):
                raise ChangeRefusedError(reason)
            # A function that lost its variables may be anybody's.
            is_meant = holds is None or current.holder in (*holds, *([None] if is_lost else []))
            if not is_meant:
                return _Done()
            if is_lost:
                raise ChangeRefusedError(_LOST_ORIGINAL)
            changes = current.changes(original)
            if not changes:
                return _Done()
            if holds is None:
                _tell_holder(function, current, instrumenter)
            tried = _undo_changes(function, found["RevisionId"], changes, instrumenter)
            if tried.is_restored:
                return tried
    except GoneError:
        return _Done()
    raise ChangeRefusedError(_CHANGING)


def _tell_holder(
    function: FunctionRef, current: FunctionConfiguration, instrumenter: Instrumenter
) -> None:
    """Whoever holds the function would take what is done to it for a deployment, and take it again.

    So that is said before: afterwards, the debugger may have seen it already.
    """
    connection_id = instrumenter.find_connection(current.token) if current.token else None
    if connection_id is not None:
        instrumenter.connections.post(connection_id, wire.restored(function.logical_id))


def _undo_changes(
    function: FunctionRef, revision: str, changes: dict[str, Any], instrumenter: Instrumenter
) -> _Done:
    """It is not restored if it has another revision by now. Raises GoneError, ChangeRefusedError.

    Lambda looks at all layers of an update, the user's as well. Where one of them is not to be had
    any more, plldb's layer stays, and everything else is restored.
    """
    try:
        updated = instrumenter.control_plane.update(function.name, revision, changes)
    except UnseenUpdateError:
        raise
    except ChangeRefusedError as error:
        others = {name: value for name, value in changes.items() if name != "Layers"}
        if others in ({}, changes) or "layer" not in str(error).lower():
            raise
        updated = instrumenter.control_plane.update(function.name, revision, others)
        return _Done(updated is not None, (f"plldb's layer stays on it: {error}",))
    return _Done(updated is not None)
