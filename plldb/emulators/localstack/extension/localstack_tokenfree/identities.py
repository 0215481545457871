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
    """A user, or a role in a session. ``policies`` are documents; None for a role that IAM does
    not have: functions may name any role in LocalStack."""

    secret: str
    is_active: bool
    policies: tuple[Mapping[str, Any], ...] | None


def find_identity(access_key: str) -> Identity | None:
    """Whom IAM gave ``access_key``, or None."""
    for account in list(iam_backends.values()):
        backend = account[PARTITION]
        key = backend.access_keys.get(access_key)
        if key is not None:
            owner = _owner(backend, key)
            policies = None if owner is None else tuple(_policies(owner, backend))
            return Identity(key.secret_access_key, key.status == "Active", policies)
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
