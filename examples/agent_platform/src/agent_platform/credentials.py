"""What callers prove themselves by: users by the token of a session, services by a key.

The stores never have a token: a session goes by its hash, which can be listed and logged, and
whoever reads the table can't be anybody else by it. A token is too random to be guessed from that.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

_TOKEN_BYTES = 32


def make_token() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


def name_session(token: str) -> str:
    """The id of the session whose token that is."""
    return hashlib.sha256(token.encode()).hexdigest()


def are_same(given: str, key: str) -> bool:
    """In a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode(), key.encode())
