"""Who calls, by JSON web tokens: signed with a key that whoever issues them has as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import jwt

Role = Literal["speaker", "listener"]

AUDIENCE = "audio-broadcast"
_ROLES = ("speaker", "listener")
_ALGORITHM = "HS256"


@dataclass(frozen=True)
class Identity:
    user_id: str
    role: Role


def read_token(token: str, key: str) -> Identity:
    """Raises jwt.InvalidTokenError if the token is expired, for another audience, or forged."""
    claims = jwt.decode(
        token,
        key,
        algorithms=[_ALGORITHM],
        audience=AUDIENCE,
        options={"require": ["exp", "sub", "role"]},
    )
    if claims["role"] not in _ROLES:
        raise jwt.InvalidTokenError(f"there is no role {claims['role']!r}")
    return Identity(claims["sub"], cast("Role", claims["role"]))


def issue_token(identity: Identity, key: str, expires_at: int) -> str:
    """As an identity provider would: for the client and the tests. ``expires_at`` is in epoch
    seconds.
    """
    claims = {"aud": AUDIENCE, "exp": expires_at, "sub": identity.user_id, "role": identity.role}
    return jwt.encode(claims, key, algorithm=_ALGORITHM)
