"""Whose credentials a child has: the developer's, or those of its function's role.

The latter come with an invocation. A child has a token of its own, and under it what the invocation
has brought that it runs just then: before, between and after invocations there is nothing. So an
SDK is told of an early end, and asks again at each call: a client that a module keeps would sign
with those of a former invocation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from plldb.errors import NotLentError

if TYPE_CHECKING:
    from plldb.credentials import Credentials
    from plldb.debugger.children.credential_server import CredentialServer

# From 10 minutes before their end, botocore asks for others at each call; and no SDK takes such for
# ended already. How long they last in truth nobody says: longer than the function may run.
_TOLD_SECONDS = 120.0
_NONE = (
    "With --as-function, there are the credentials of the function's role while an invocation runs,"
    " and none before or after it."
)


def _ignore() -> None:
    pass


class Identity:
    """Whose credentials one child has; of this one, at any time.

    ``environment`` are the variables by which an SDK in the child finds them.
    """

    comes_with_invocations = False
    # Whether the child has asked for credentials when no invocation had brought any yet: what has
    # become of its modules then is not what would become of them on Lambda.
    was_missed = False

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        # Called, in any thread, when the child has asked and there are none.
        self.on_refusal: Callable[[], object] = _ignore

    def lend(self, credentials: Credentials | None) -> None:
        """The child runs an invocation that has brought these."""

    def take_back(self) -> None:
        """The invocation has ended."""

    def close(self) -> None:
        """The child is of no use any more."""


class RoleLender:
    """``environment`` are the variables by which an SDK reaches the target."""

    def __init__(self, server: CredentialServer, environment: Mapping[str, str]) -> None:
        self._server = server
        self._environment = environment

    def lend_role(self) -> LentRole:
        return LentRole(self._server, self._environment)


class LentRole(Identity):
    """One child's: the role of its function."""

    comes_with_invocations = True

    def __init__(self, server: CredentialServer, environment: Mapping[str, str]) -> None:
        self._lent: Credentials | None = None
        self._was_lent = False
        self._server = server
        self._grant = server.grant(self._provide)
        super().__init__({**environment, **self._grant.environment})

    def lend(self, credentials: Credentials | None) -> None:
        self._lent = credentials
        self._was_lent = True

    def take_back(self) -> None:
        self._lent = None

    def close(self) -> None:
        """For good: the token opens nothing any more."""
        self._lent = None
        self._server.revoke(self._grant)

    def _provide(self) -> Credentials:
        lent = self._lent
        if lent is None:
            self.was_missed = self.was_missed or not self._was_lent
            self.on_refusal()
            raise NotLentError(_NONE)
        return replace(lent, expires_at=time.time() + _TOLD_SECONDS)
