"""Users and roles by their access keys, as far as the emulator's IAM knows them.

Keys that IAM has not given out, like ``test``, act as the account's root, as everywhere in
LocalStack: there is no secret to hold a signature against, and no policy.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.iam.models import IAMBackend, iam_backends

PARTITION = "aws"


@dataclass(frozen=True)
class Identity:
    """The key of a user, or of a role in a session."""

    secret: str
    is_active: bool


def find_identity(access_key: str) -> Identity | None:
    """Whom IAM gave ``access_key``, or None."""
    found = _find_key(access_key)
    if found is None:
        return None
    _, key = found
    return Identity(key.secret_access_key, key.status == "Active")


def find_policies(access_key: str) -> list[Mapping[str, Any]] | None:
    """The documents that say what the key's user or role may do; None where nothing limits it: a
    key that IAM has not given out, or a role that it does not have. Functions may name any role in
    LocalStack."""
    found = _find_key(access_key)
    if found is None:
        return None
    backend, key = found
    owner = _owner(backend, key)
    return None if owner is None else list(_policies(owner, backend))


def _find_key(access_key: str) -> tuple[IAMBackend, Any] | None:
    """The backend of the account that has the key, and its record of it."""
    for account in list(iam_backends.values()):
        backend = account[PARTITION]
        key = backend.access_keys.get(access_key)
        if key is not None:
            return backend, key
    return None


def _owner(backend: IAMBackend, key: Any) -> Any:
    if key.role_arn:
        roles = (role for role in backend.get_roles() if role.arn == key.role_arn)
        return next(roles, None)
    return backend.users.get(key.user_name)


def _policies(owner: Any, backend: IAMBackend) -> Iterable[Mapping[str, Any]]:
    """Inline ones and attached ones, of the user's groups, too."""
    groups = [group for group in backend.groups.values() if owner in group.users]
    for holder in (owner, *groups):
        for document in holder.policies.values():
            yield _decoded(document)
        for policy in holder.managed_policies.values():
            yield _decoded(_default_version(policy).document)


def _default_version(policy: Any) -> Any:
    return next(version for version in policy.versions if version.is_default)


def _decoded(document: Any) -> Mapping[str, Any]:
    decoded: Mapping[str, Any] = json.loads(document) if isinstance(document, str) else document
    return decoded
