"""Lends children the credentials of functions' roles, each for the one invocation that brings them.

A child has a token of its own, and under it what the invocation has that it runs just then: before,
between and after invocations there is nothing. So an SDK is told of an early end, and asks again at
each call: a client that a module keeps would sign with those of the invocation before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from plldb.credentials import Credentials
from plldb.debugger.children.credential_server import CredentialServer, NotLentError

# From 10 minutes before their end, botocore asks for others at each call; and no SDK takes such for
# ended already. How long they last in truth nobody says: longer than the function may run.
_TOLD_SECONDS = 120.0
_NONE = (
    "With --as-function, there are the credentials of the function's role while an invocation runs,"
    " and none before or after it."
)


def _ignore() -> None:
    pass


class RoleLender:
    def __init__(self, server: CredentialServer) -> None:
        self._server = server

    def open_loan(self) -> Loan:
        return Loan(self._server)


class Loan:
    """What one child may have.

    ``environment`` are the variables by which it asks. ``on_refusal`` is called, in any thread,
    when it has asked and there are none.
    """

    def __init__(self, server: CredentialServer) -> None:
        self.on_refusal: Callable[[], object] = _ignore
        self._lent: Credentials | None = None
        self._server = server
        self._grant = server.grant(self._provide)
        self.environment = self._grant.environment

    def lend(self, credentials: Credentials | None) -> None:
        self._lent = credentials

    def take_back(self) -> None:
        self._lent = None

    def close(self) -> None:
        """For good: the token opens nothing any more."""
        self._lent = None
        self._server.revoke(self._grant)

    def _provide(self) -> Credentials:
        lent = self._lent
        if lent is None:
            self.on_refusal()
            raise NotLentError(_NONE)
        return replace(lent, expires_at=time.time() + _TOLD_SECONDS)
