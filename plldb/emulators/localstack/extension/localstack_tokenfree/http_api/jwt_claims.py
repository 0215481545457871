"""What HTTP APIs ask of a JSON Web Token besides its signature, and what they tell of it.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

ALGORITHMS = ("RS256", "RS384", "RS512")
Claims = Mapping[str, Any]


class InvalidTokenError(Exception):
    """The client gets 401, and this message in ``www-authenticate``."""


class InsufficientScopeError(Exception):
    """The client gets 403."""


def token_of(identity: str) -> str:
    """An identity source holds the token alone, or with ``Bearer`` in front."""
    return re.sub(r"^\s*bearer\s+", "", identity, flags=re.IGNORECASE).strip()


def key_id_of(token: str) -> str:
    """The ``kid`` of a token that claims to be signed by RSA. Raises InvalidTokenError."""
    parts = token.split(".")
    if len(parts) != 3:
        raise InvalidTokenError("invalid number of segments")
    header = _decoded(parts[0])
    if header.get("alg") not in ALGORITHMS:
        raise InvalidTokenError(f"signing method {header.get('alg')} is invalid")
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not key_id:
        raise InvalidTokenError("kid header not found")
    return key_id


def check_claims(claims: Claims, issuer: str, audiences: Sequence[str], now: float) -> None:
    """``client_id`` counts as audience only without ``aud``. Raises InvalidTokenError."""
    if claims.get("iss") != issuer:
        raise InvalidTokenError("the token is not issued by a valid issuer")
    claimed = claims["aud"] if "aud" in claims else claims.get("client_id")
    if not any(one in audiences for one in _listed(claimed)):
        raise InvalidTokenError("the token does not have a valid audience")
    if _moment(claims, "exp") is None:
        raise InvalidTokenError("the token has no exp claim")
    if (_moment(claims, "exp") or 0) <= now:
        raise InvalidTokenError("the token has expired")
    if (_moment(claims, "nbf") or 0) > now:
        raise InvalidTokenError("the token is not valid yet")
    if (_moment(claims, "iat") or 0) > now:
        raise InvalidTokenError("the token was issued in the future")


def granted_scopes(claims: Claims, wanted: Sequence[str]) -> list[str] | None:
    """Those of the route's scopes that the token has: one is enough. None if none are wanted.

    Raises InsufficientScopeError.
    """
    if not wanted:
        return None
    held = {
        scope
        for name in ("scope", "scp")
        for value in _listed(claims.get(name))
        for scope in str(value).split()
    }
    granted = [scope for scope in wanted if scope in held]
    if not granted:
        raise InsufficientScopeError
    return granted


def as_strings(claims: Claims) -> dict[str, str]:
    """Claims as events carry them: lists in brackets, without commas, and objects as Go writes its
    maps: https://github.com/aws/aws-lambda-go/issues/570
    """
    return {name: _as_string(value) for name, value in claims.items()}


def _as_string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{' '.join(_as_string(item) for item in value)}]"
    if isinstance(value, Mapping):
        pairs = (f"{name}:{_as_string(content)}" for name, content in sorted(value.items()))
        return f"map[{' '.join(pairs)}]"
    return json.dumps(value, separators=(",", ":"))


def _decoded(segment: str) -> Claims:
    try:
        padded = segment + "=" * (-len(segment) % 4)
        value = json.loads(base64.b64decode(padded.translate(str.maketrans("-_", "+/"))))
    except (binascii.Error, ValueError) as error:
        raise InvalidTokenError("the token is malformed") from error
    if not isinstance(value, Mapping):
        raise InvalidTokenError("the token is malformed")
    return value


def _moment(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidTokenError(f"the {name} claim is no number")
    return float(value)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
