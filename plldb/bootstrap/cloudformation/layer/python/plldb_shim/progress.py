"""How far an invocation is that was sent, as the helper stack says; and what is due when.

No clock and no connection in here: times are whatever ``now`` counts, in seconds.
"""

from __future__ import annotations

# When the helper stack has to have recorded an invocation; how long a message is on its way.
ACCEPT_SECONDS = 2.0
ON_THE_WAY_SECONDS = 0.25
# When a debugger that is there has begun.
START_SECONDS = 5.0
# How often the helper stack is asked, for a debugger that may have gone, and when it has to answer.
AWAIT_SECONDS = 30.0
REPLY_SECONDS = 10.0

# What the helper stack says of an invocation.
WORDS = ("accepted", "absent", "answer", "gone", "started")

_NEVER = float("inf")


class Progress:
    def __init__(self, accept_by: float, patience: float = 0.0) -> None:
        """``patience`` is for how long at least a debugger that is there may take to begin."""
        self._patience = patience
        self.is_accepted = False
        self.is_started = False
        # When to ask what has become of it, and when there has to be a word.
        self.ask_at = accept_by + ON_THE_WAY_SECONDS
        self.hear_by = accept_by + 2 * ON_THE_WAY_SECONDS
        # Whether the connection has held, so that whatever was said has come.
        self._has_held = True
        # Whether to ask at once, whatever is heard first.
        self._is_urgent = False

    @property
    def question(self) -> str:
        """The action that asks. ``abandon`` is the one that no debugger begins after."""
        return "await" if self.is_started else "abandon"

    @property
    def is_refused_by_silence(self) -> bool:
        """What silence until ``hear_by`` means. Otherwise, it means that the connection is dead."""
        return self._has_held and not (self.is_accepted or self.is_started)

    @property
    def is_word_due(self) -> bool:
        return self.hear_by < _NEVER

    def hear(self, word: str, now: float) -> None:
        self.hear_by = _NEVER
        if word in ("started", "answer"):
            self.is_started = True
            self._ask_later(now + AWAIT_SECONDS)
        elif word == "accepted" and not (self.is_accepted or self.is_started):
            self.is_accepted = True
            self._ask_later(now + max(START_SECONDS, self._patience))

    def asked(self, action: str, now: float) -> None:
        if action == self.question:
            self._is_urgent = False
            self._ask_later(now + (AWAIT_SECONDS if self.is_started else REPLY_SECONDS))
        self.hear_by = min(self.hear_by, now + REPLY_SECONDS)

    def lost_connection(self) -> None:
        """Who has the next one asks over it, and only then is a word due."""
        self._has_held = False
        self.hear_by = _NEVER

    def ask_now(self) -> None:
        self._is_urgent = True
        self.ask_at = 0.0

    def _ask_later(self, at: float) -> None:
        if not self._is_urgent:
            self.ask_at = at
