"""The rules of a session's life."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.sessions.session import (
    Session,
    Status,
    is_same_principal,
    is_session_id,
    new_session,
)
from lambda_functions.shared.ids import shortened


@given(now=st.floats(0, 4e9))
def test_a_new_one_is_pending_for_an_hour(now: float) -> None:
    session = new_session("app", "me", now)
    assert is_session_id(session.session_id)
    assert session.status is Status.PENDING
    assert session.ttl == int(now) + 3600
    assert session.may_connect(now)
    assert session.may_connect(session.ttl - 0.001)
    assert not session.may_connect(session.ttl)
    assert not session.may_connect(session.ttl + 0.001)


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.CLOSED])
def test_one_that_was_used_never_connects_again(status: Status) -> None:
    assert not replace(new_session("app", "me", 0), status=status).may_connect(0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0" * 36,
        "00000000-0000-0000-0000-00000000000",
        "00000000-0000-0000-0000-0000000000000",
        "0000000g-0000-0000-0000-000000000000",
        "00000000-0000-0000-0000-00000000000A",
        "00000000-0000-0000-0000-000000000000\n",
        " 00000000-0000-0000-0000-000000000000",
        "\u0660" * 8 + "-0000-0000-0000-000000000000",
    ],
)
def test_what_is_no_id(text: str) -> None:
    assert not is_session_id(text)


@given(st.text())
def test_of_a_secret_at_most_8_characters_are_shown(secret: str) -> None:
    assert secret.startswith(shortened(secret))
    assert len(shortened(secret)) <= 8


ATTACHED = replace(new_session("app", "me", 0), status=Status.ACTIVE, ttl=150, connection_id="c")


@pytest.mark.parametrize(
    ("session", "is_attached", "may_be_resumed"),
    [
        (ATTACHED, True, True),
        (replace(ATTACHED, ttl=100), False, False),
        (replace(ATTACHED, status=Status.CLOSED), False, True),
        (replace(ATTACHED, status=Status.CLOSED, ttl=100), False, False),
        (replace(ATTACHED, status=Status.CLOSED, restoring_since=99), False, False),
        (replace(ATTACHED, status=Status.CLOSED, heir="heir"), False, False),
        (replace(ATTACHED, status=Status.PENDING), False, False),
    ],
    ids=["attached", "expired", "lost", "for too long", "closed", "replaced", "never connected"],
)
def test_who_is_there_and_who_may_come_back(
    session: Session, is_attached: bool, may_be_resumed: bool
) -> None:
    assert session.is_attached(100) is is_attached
    assert session.may_be_resumed(100) is may_be_resumed


STS = "arn:aws:sts::123456789012:assumed-role"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (f"{STS}/dev/ada", f"{STS}/dev/ada", True),
        (f"{STS}/dev/botocore-session-1", f"{STS}/dev/botocore-session-2", True),
        (f"{STS}/dev/ada", f"{STS}/ops/ada", False),
        (f"{STS}/dev/ada", f"{STS.replace('123', '321')}/dev/ada", False),
        ("arn:aws:iam::1:user/ada", "arn:aws:iam::1:user/ada", True),
        ("arn:aws:iam::1:user/team/ada", "arn:aws:iam::1:user/team/bob", False),
        ("arn:aws:iam::1:root", f"{STS}/dev/ada", False),
    ],
)
def test_a_role_is_the_same_whatever_its_session_is_called(
    one: str, other: str, expected: bool
) -> None:
    """Tools that renew credentials choose another name each time."""
    assert is_same_principal(one, other) is expected
