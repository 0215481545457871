"""Signatures of tokens, checked by the keys that their issuer publishes."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from .jwt_claims import ALGORITHMS, InvalidTokenError, key_id_of

# API Gateway may keep an issuer's keys for two hours.
KEPT_SECONDS = 7200.0
Document = Mapping[str, Any]


class IssuerUnreachableError(Exception):
    pass


class SigningKeys:
    """``read`` fetches a JSON document by its URL, or raises IssuerUnreachableError.

    Keys are asked for again after two hours, and for a key id that is not among them.
    """

    def __init__(
        self, read: Callable[[str], Document], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._keys: dict[str, tuple[float, dict[str, Document]]] = {}
        self._lock = threading.Lock()

    def verified_claims(self, token: str, issuer: str) -> dict[str, Any]:
        """The claims of a token that one of the issuer's keys signed, else InvalidTokenError."""
        key_id = key_id_of(token)
        try:
            key = RSAKey.import_key(dict(self._find(issuer, key_id)))
            claims: dict[str, Any] = jwt.decode(token, key, algorithms=list(ALGORITHMS)).claims
        except (JoseError, ValueError, TypeError) as error:
            raise InvalidTokenError("token signature is invalid") from error
        return claims

    def _find(self, issuer: str, key_id: str) -> Document:
        with self._lock:
            read_at, keys = self._keys.get(issuer, (0.0, {}))
        if key_id not in keys or self._clock() - read_at > KEPT_SECONDS:
            keys = self._read_keys(issuer)
            with self._lock:
                self._keys[issuer] = (self._clock(), keys)
        if key_id not in keys:
            raise InvalidTokenError("unable to find a signing key for the token's kid")
        return keys[key_id]

    def _read_keys(self, issuer: str) -> dict[str, Document]:
        try:
            metadata = self._read(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            keys = self._read(str(metadata["jwks_uri"]))["keys"]
            return {key["kid"]: key for key in keys if key.get("kty") == "RSA" and "kid" in key}
        except (IssuerUnreachableError, KeyError, TypeError, AttributeError) as error:
            raise InvalidTokenError("OIDC discovery endpoint communication error") from error
