"""Users and roles by their access keys, as far as the emulator's IAM knows them.

Keys that IAM has not given out, like ``test``, act as the account's root, as everywhere in
LocalStack: there is no secret to hold a signature against, and no policy.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from moto.iam.models import IAMBackend, iam_backends
from moto.sts.models import sts_backends

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


@dataclass(frozen=True)
class Rights:
    """What limits a key: ``policies`` say what its user or role may do; each of ``limits`` (the
    role's permissions boundary, the session's own policy) must allow it, too. ``keys`` are the
    condition keys of the principal, with names in lower case.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
    """

    policies: Sequence[Mapping[str, Any]]
    limits: Sequence[Sequence[Mapping[str, Any]]]
    keys: Mapping[str, str]


def find_rights(access_key: str) -> Rights | None:
    """None where nothing limits the key: one that IAM has not given out, or of a role that it does
    not have. Functions may name any role in LocalStack."""
    found = _find_key(access_key)
    if found is None:
        return None
    backend, key = found
    owner = _owner(backend, key)
    if owner is None:
        return None
    policies = list(_policies(owner, backend))
    if not key.role_arn:
        return Rights(policies, (), _user_keys(owner, backend))
    session = _session(backend, access_key)
    return Rights(
        policies,
        [*_boundary(owner, backend), *_session_policy(session)],
        _role_keys(owner, key, session),
    )


# principals, as condition keys:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html


def _user_keys(user: Any, backend: IAMBackend) -> dict[str, str]:
    return {
        "aws:username": user.name,
        "aws:userid": user.id,
        "aws:principalarn": user.arn,
        "aws:principalaccount": backend.account_id,
        "aws:principaltype": "User",
        **_tag_keys(backend.tagger.list_tags_for_resource(user.arn)["Tags"]),
    }


def _role_keys(role: Any, key: Any, session: Any) -> dict[str, str]:
    """A role has no ``aws:username``."""
    return {
        "aws:userid": session.user_id if session else role.id,
        "aws:principalarn": role.arn,
        "aws:principalaccount": role.account_id,
        "aws:principaltype": "AssumedRole",
        "aws:tokenissuetime": key.create_date.strftime("%Y-%m-%dT%H:%M:%SZ"),
        **_tag_keys(role.tags),
    }


def _tag_keys(tags: Any) -> dict[str, str]:
    """moto keeps tags as a list, or by their names."""
    listed = tags.values() if isinstance(tags, Mapping) else tags or ()
    return {f"aws:principaltag/{tag['Key'].lower()}": tag["Value"] for tag in listed}


# roles


def _session(backend: IAMBackend, access_key: str) -> Any:
    sessions = sts_backends[backend.account_id][PARTITION]
    return sessions.get_assumed_role_from_access_key(access_key)


def _boundary(role: Any, backend: IAMBackend) -> Iterable[Sequence[Mapping[str, Any]]]:
    """A boundary that is gone allows nothing."""
    if role.permissions_boundary_arn:
        policy = backend.managed_policies.get(role.permissions_boundary_arn)
        yield [_decoded(_default_version(policy).document)] if policy else []


def _session_policy(session: Any) -> Iterable[Sequence[Mapping[str, Any]]]:
    if session and session.policy:
        yield [_decoded(session.policy)]


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
    decoded: Mapping[str, Any] = _parsed(document) if isinstance(document, str) else document
    return decoded


@lru_cache(maxsize=1024)
def _parsed(document: str) -> Any:
    """The same one each time: nobody changes it."""
    return json.loads(document)
