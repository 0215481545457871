"""The rules of a session's life."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.sessions.session import Status, is_session_id, new_session
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
