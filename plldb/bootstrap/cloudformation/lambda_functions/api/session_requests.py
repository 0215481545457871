"""What the operations on sessions share: the session that is meant, pages of them, and a view.

A session is named by its whole id, or by the beginning that a view shows and its stack. Below
``/stacks/{stackName}`` there are the same operations for one stack. A session's whole id is told to
whoever creates it, and to nobody else. There is no ``nextToken`` on the last page.
"""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any

from ..sessions.session import Session, is_prefix_of_id, is_session_id
from ..sessions.store import Page, Position, SessionStore
from ..shared.ids import shortened
from ..shared.log import LambdaEvent, Record
from .rest import BadRequestError, RefusedRequestError, caller, path_parameter, query_parameter

MAX_LIMIT = 100
_DEFAULT_LIMIT = 50
# CloudFormation's own rule for stack names:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
_STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
_NO_STACK_NAME = "stackName must be a letter, followed by letters, digits and hyphens, 128 at most."
OTHER_STACK = "The request names another stack than its path."
_DIGEST = re.compile(r"[0-9a-f]{32}")
_RANKS = range(-(2**40), 1)


def check_stack_name(name: Any) -> str:
    """Gives the name back. Raises BadRequestError if no stack can be called so."""
    if not isinstance(name, str) or not _STACK_NAME.fullmatch(name):
        raise BadRequestError(_NO_STACK_NAME)
    return name


def stack_name_of(event: LambdaEvent) -> str | None:
    """The stack that a request names, in its path or its query, if it names one.

    IAM has judged the path: the query can't say otherwise. Raises BadRequestError.
    """
    of_path, of_query = stack_of_path(event), query_parameter(event, "stackName")
    name = of_path if of_path is not None else of_query
    if of_query not in (None, name):
        raise BadRequestError(OTHER_STACK)
    return None if name is None else check_stack_name(name)


def stack_of_path(event: LambdaEvent) -> str | None:
    """The stack below whose path the request was made, if it was below one."""
    return path_parameter(event, "stackName") or None


def find_named(event: LambdaEvent, record: Record, store: SessionStore, now: float) -> Session:
    """The session that a request's path names.

    Raises BadRequestError for what names none, and RefusedRequestError: 404 if the caller may see
    no such session, 409 if the ids of several begin so.
    """
    name, stack_name = path_parameter(event, "sessionId"), stack_name_of(event)
    record["sessionId"] = shortened(name)
    found: list[Session] = []
    if is_session_id(name):
        session = store.get(name)
        if session is not None and stack_name in (None, session.stack_name):
            found = [session]
    elif stack_name is not None and is_prefix_of_id(name):
        found = store.find(stack_name, name)
    else:
        raise BadRequestError(
            "A session is named by its whole id, or by 8 characters of it or more and a stackName."
        )
    visible = [session for session in found if session.is_visible_to(caller(event), now)]
    if not visible:
        raise RefusedRequestError(404, "There is no such session.")
    if len(visible) > 1:
        raise RefusedRequestError(409, f"{len(visible)} sessions begin so; give more of the id.")
    record["stackName"] = visible[0].stack_name
    return visible[0]


def view(session: Session) -> dict[str, Any]:
    """What may be told of a session."""
    return {
        "session": shortened(session.session_id),
        "stackName": session.stack_name,
        "status": session.status,
        "owner": session.owner,
        "createdAt": session.created_at,
        "expiresAt": datetime.fromtimestamp(session.ttl, UTC).isoformat(),
        # As functions that are instrumented for it say themselves whose they are.
        "holds": sorted(session.holds),
    }


def limit_of(event: LambdaEvent) -> int:
    """How many sessions a page may have. Raises BadRequestError."""
    text = query_parameter(event, "limit")
    if text is None:
        return _DEFAULT_LIMIT
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise BadRequestError(f"limit must be a number from 1 to {MAX_LIMIT}.")
    return int(text)


def position_of(event: LambdaEvent) -> Position | None:
    """Where the page starts after, as ``next_token`` said. Raises BadRequestError."""
    token = query_parameter(event, "nextToken")
    if token is None:
        return None
    try:
        place = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        place = None
    match place:
        case [int(rank), str(digest)] if rank in _RANKS and _DIGEST.fullmatch(digest):
            return Position(rank, digest)
    raise BadRequestError("nextToken is none that a former answer gave.")


def next_token(page: Page) -> dict[str, str]:
    """The part of an answer that says how to ask for the next page; empty on the last one."""
    if page.next is None:
        return {}
    place = json.dumps([page.next.rank, page.next.digest], separators=(",", ":"))
    return {"nextToken": base64.urlsafe_b64encode(place.encode()).decode()}
