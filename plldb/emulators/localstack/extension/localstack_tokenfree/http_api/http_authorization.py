"""Who may call a route of an HTTP API: JWT and Lambda authorizers, and IAM.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-access-control.html
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..apigatewayv2.store import StageView
from ..websocket import policy
from ..websocket.conditions import Keys, request_keys
from .answers import HttpAnswer, UnavailableError, message
from .http_expressions import evaluate
from .http_integrations import FunctionError, Functions, within
from .jwt_claims import (
    InsufficientScopeError,
    InvalidTokenError,
    as_strings,
    check_claims,
    granted_scopes,
    token_of,
)
from .payloads import Call, Caller, Record, authorizer_event
from .signing_keys import SigningKeys

LOG = logging.getLogger(__name__)


IdentityOf = Callable[[str, Keys], Mapping[str, str] | None]


class RefusedError(Exception):
    """The client gets this answer instead of the route's."""

    def __init__(self, answer: HttpAnswer) -> None:
        super().__init__(answer.status)
        self.answer = answer


# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
FUNCTION_SECONDS = 10.0
UNAUTHORIZED = message(401, "Unauthorized")
FORBIDDEN = message(403, "Forbidden")
FAILED = message(500, "Internal Server Error")


class AuthorizerCache:
    """Answers of authorizers by authorizer and identity, as long as the authorizer says."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: dict[tuple[str, ...], tuple[float, Any]] = {}
        self._lock = threading.Lock()

    def get(self, key: tuple[str, ...], ask: Callable[[], Any], seconds: int) -> Any:
        with self._lock:
            expires, answer = self._answers.get(key, (0.0, None))
        if self._clock() < expires:
            return answer
        answer = ask()
        with self._lock:
            now = self._clock()
            self._answers = {k: kept for k, kept in self._answers.items() if now < kept[0]}
            self._answers[key] = (now + seconds, answer)
        return answer

    def forget(self, *prefix: str) -> None:
        """Drop all answers whose key begins so."""
        with self._lock:
            self._answers = {
                key: kept for key, kept in self._answers.items() if key[: len(prefix)] != prefix
            }


class Authorization:
    """Asks what a route names, and remembers the answers of functions that may be remembered."""

    def __init__(self, functions: Functions, keys: SigningKeys) -> None:
        self._functions = functions
        self._keys = keys
        self._cache = AuthorizerCache()

    def forget(self, api_id: str, stage: str) -> None:
        """Ask the authorizers of a stage anew."""
        self._cache.forget(api_id, stage)

    def authorize(
        self,
        stage: StageView,
        route: Record,
        call: Call,
        identity_of: IdentityOf,
    ) -> Caller:
        """Raises RefusedError. What this emulator does not know is refused.

        ``identity_of`` tells who signed the request at hand, if IAM lets them call this ARN under
        these condition keys; else None.
        """
        kind = route.get("AuthorizationType") or "NONE"
        if kind == "NONE":
            return Caller()
        if kind == "AWS_IAM":
            identity = identity_of(call.route_arn, condition_keys(call))
            if identity is None:
                raise RefusedError(FORBIDDEN)
            return Caller(identity=identity)
        authorizer = stage.configuration.authorizers.get(route.get("AuthorizerId", ""))
        if authorizer is None:
            raise RefusedError(FAILED)
        if kind == "JWT":
            return self._check_token(authorizer, route, call)
        if kind == "CUSTOM":
            return self._ask_function(authorizer, call)
        LOG.warning("AuthorizationType %s of %s is not known", kind, call.route_key)
        raise RefusedError(FAILED)

    # tokens

    def _check_token(self, authorizer: Record, route: Record, call: Call) -> Caller:
        identity = _identity(authorizer, call)
        if identity is None:
            raise RefusedError(message(401, "Unauthorized", ("www-authenticate", "Bearer")))
        configuration = authorizer.get("JwtConfiguration") or {}
        issuer = str(configuration.get("Issuer", ""))
        wanted = route.get("AuthorizationScopes") or []
        try:
            claims = self._keys.verified_claims(token_of(identity[0]), issuer)
            check_claims(claims, issuer, configuration.get("Audience") or [], time.time())
            scopes = granted_scopes(claims, wanted)
        except InvalidTokenError as error:
            LOG.info("A token for %s of %s is refused: %s", call.route_key, call.api_id, error)
            refusal = _challenge(401, "Unauthorized", (), "invalid_token", str(error))
            raise RefusedError(refusal) from error
        except InsufficientScopeError as error:
            refusal = _challenge(403, "Forbidden", wanted, "insufficient_scope", "")
            raise RefusedError(refusal) from error
        return Caller(claims=as_strings(claims), scopes=scopes)

    # functions

    def _ask_function(self, authorizer: Record, call: Call) -> Caller:
        identity = _identity(authorizer, call)
        if identity is None:
            raise RefusedError(UNAUTHORIZED)
        version = authorizer.get("AuthorizerPayloadFormatVersion") or "1.0"
        uri = str(authorizer.get("AuthorizerUri", ""))

        def ask() -> Any:
            event = authorizer_event(call, version, identity)
            return within(FUNCTION_SECONDS, lambda: self._functions.call(uri, call, event))

        seconds = int(authorizer.get("AuthorizerResultTtlInSeconds") or 0)
        key = (call.api_id, call.stage, str(authorizer["AuthorizerId"]), *identity)
        try:
            cached = seconds > 0 and identity
            answer = self._cache.get(key, ask, seconds) if cached else ask()
            return _read_authorizer_answer(authorizer, call, answer)
        except (FunctionError, UnavailableError, policy.MalformedAnswerError) as error:
            if getattr(error, "message", "") == "Unauthorized":  # how a function asks for a 401
                raise RefusedError(UNAUTHORIZED) from error
            LOG.warning("The authorizer of %s failed: %s", call.api_id, error)
            raise RefusedError(FAILED) from error


def _read_authorizer_answer(authorizer: Record, call: Call, answer: Any) -> Caller:
    if not isinstance(answer, Mapping):
        raise policy.MalformedAnswerError("the answer is no object")
    context = answer.get("context") or {}
    if not isinstance(context, Mapping):
        raise policy.MalformedAnswerError("context is no object")
    if authorizer.get("EnableSimpleResponses"):
        allowed = answer.get("isAuthorized")
        if not isinstance(allowed, bool):
            raise policy.MalformedAnswerError("isAuthorized is no boolean")
        principal = None
    else:
        verdict = policy.evaluate(answer, call.route_arn, condition_keys(call))
        allowed = verdict is policy.Verdict.ALLOW
        principal = str(answer["principalId"])
    if not allowed:
        raise RefusedError(FORBIDDEN)
    return Caller(context=dict(context), principal_id=principal)


def condition_keys(call: Call) -> Keys:
    return request_keys(call.request.source_ip, call.request.header, call.at)


def _identity(authorizer: Record, call: Call) -> list[str] | None:
    """The values of all identity sources; None if one is missing or empty."""
    values = [evaluate(source, call) for source in authorizer.get("IdentitySource") or []]
    present = [value for value in values if value]
    return present if len(present) == len(values) else None


def _challenge(
    status: int, text: str, scopes: Sequence[str], error: str, description: str
) -> HttpAnswer:
    challenge = f'Bearer scope="{" ".join(scopes)}" error="{error}"'
    if description:
        # It may cite the token, and a header has no line breaks.
        quoted = " ".join(description.split()).replace("\\", "\\\\").replace('"', '\\"')
        challenge += f' error_description="{quoted}"'
    return message(status, text, ("www-authenticate", challenge))
