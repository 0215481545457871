"""What is due when, of an invocation that was sent. It has to be accepted by 102."""

from __future__ import annotations

import pytest
from plldb_shim import progress
from plldb_shim.progress import Progress


@pytest.fixture
def sent() -> Progress:
    return Progress(accept_by=102)


def due(sent: Progress) -> tuple[str, float, float]:
    """(what to ask, when; by when there has to be a word)."""
    return sent.question, sent.ask_at, sent.hear_by


NEVER = float("inf")


def test_without_a_word_it_is_abandoned_and_then_refused(sent: Progress) -> None:
    assert due(sent) == ("abandon", 102.25, 102.5)
    sent.asked("abandon", 102.25)
    assert sent.hear_by == 102.5
    assert sent.is_refused_by_silence


def test_with_a_connection_that_broke_silence_proves_nothing(sent: Progress) -> None:
    sent.lost_connection()
    assert not sent.is_refused_by_silence
    sent.asked("await", 101)
    assert due(sent) == ("abandon", 102.25, 111)


def test_accepted(sent: Progress) -> None:
    sent.hear("accepted", 101)
    assert due(sent) == ("abandon", 106, NEVER)
    assert not sent.is_refused_by_silence
    sent.hear("accepted", 105)
    assert sent.ask_at == 106
    sent.asked("abandon", 106)
    assert due(sent) == ("abandon", 116, 116)


@pytest.mark.parametrize("word", ["started", "answer"])
def test_started(sent: Progress, word: str) -> None:
    sent.hear(word, 101)
    assert due(sent) == ("await", 131, NEVER)
    sent.hear("accepted", 102)
    assert due(sent) == ("await", 131, NEVER)
    sent.asked("await", 131)
    assert due(sent) == ("await", 161, 141)


@pytest.mark.parametrize("word", ["accepted", "started"])
def test_what_is_urgent_is_asked_whatever_is_heard_first(sent: Progress, word: str) -> None:
    """An environment that is being stopped has a second, and ``accepted`` may just have come."""
    sent.ask_now()
    sent.hear(word, 101)
    assert sent.ask_at <= 101
    sent.asked(sent.question, 101)
    assert sent.ask_at > 101


def test_a_question_over_a_new_connection_is_not_the_one_that_is_urgent(sent: Progress) -> None:
    sent.ask_now()
    sent.lost_connection()
    sent.asked("await", 101)
    assert sent.ask_at <= 101
    assert sent.question == "abandon"


def test_a_question_that_is_still_open_does_not_give_more_time(sent: Progress) -> None:
    sent.hear("started", 101)
    sent.asked("await", 131)
    sent.asked("await", 140)
    assert sent.hear_by == 141


def test_the_words_come_in_time_for_one_that_waits() -> None:
    """A question is answered, or its connection given up, before the next one."""
    assert progress.REPLY_SECONDS < progress.AWAIT_SECONDS


def test_a_patient_caller_leaves_the_debugger_longer_to_begin() -> None:
    sent = Progress(accept_by=160, patience=60)
    sent.hear("accepted", 101)
    assert due(sent) == ("abandon", 161, NEVER)
