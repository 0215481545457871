"""Whether IAM lets somebody do something, for what LocalStack itself does not ask IAM about."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .identities import find_identity, find_rights
from .rest_iam import caller_identity
from .settings import SETTINGS
from .signatures import is_genuine, signature_of
from .websocket.policy import Verdict, decide


class SignatureError(Exception):
    """The request is not signed, or not by whom it says. The text is API Gateway's."""


def check_signature(request: Any) -> str:
    """The access key that signed ``request``. Raises SignatureError.

    A signature is held against the secret if IAM knows the key; other keys act as root.
    """
    signature = signature_of(request)
    if signature is None:
        raise SignatureError("Missing Authentication Token")
    if signature.has_expired(datetime.now(UTC)):
        raise SignatureError("Signature expired")
    identity = find_identity(signature.access_key) if SETTINGS.iam else None
    if identity is None:
        return signature.access_key
    if not identity.is_active:
        raise SignatureError("The security token included in the request is invalid.")
    if not is_genuine(signature, request, identity.secret):
        raise SignatureError(
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. "
            "Consult the service documentation for details."
        )
    return signature.access_key


def objection(access_key: str, action: str, resource: str, keys: Mapping[str, str]) -> str | None:
    """What IAM says against it to the client; None if it is allowed. ``resource`` is an ARN."""
    if is_allowed(access_key, action, resource, keys):
        return None
    caller = caller_identity(access_key, resource.split(":")[3])["userArn"]
    return f"User: {caller} is not authorized to perform: {action} on resource: {resource}"


def is_allowed(access_key: str, action: str, resource: str, keys: Mapping[str, str]) -> bool:
    """Whether the policies of the key's user or role allow it, and what limits them does. Root may
    do everything, and so may a role that IAM does not have."""
    rights = find_rights(access_key) if SETTINGS.iam else None
    if rights is None:
        return True
    keys = {**keys, **rights.keys}
    return all(
        decide(policies, action, resource, keys) is Verdict.ALLOW
        for policies in (rights.policies, *rights.limits)
    )
