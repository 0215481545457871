"""What a run of ``tools.aws_acceptance`` has left in an account: found by the run's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from plldb.bootstrap.release import make_bucket_name
from plldb.errors import PlldbError

_STACK_SECONDS = 1800
_REFUSALS = (BotoCoreError, ClientError, PlldbError)


@dataclass(frozen=True)
class _Kind:
    """``names`` is what is searched for in the pages of a ``listing``, as JMESPath.

    ``delete`` takes the client, a name, and the ``arguments`` of the listing.
    """

    name: str
    service: str
    listing: str
    names: str
    delete: Callable[..., object]
    arguments: Callable[[Any], Mapping[str, str]] = lambda _: {}


@dataclass(frozen=True)
class Leftover:
    """Something that has the run's name in its own. ``delete`` raises what botocore raises."""

    kind: str
    name: str
    delete: Callable[[], object]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Cleaning:
    """What was ``deleted``, what is ``left``, and what could not be looked for."""

    deleted: tuple[str, ...]
    left: tuple[str, ...]
    unknown: tuple[str, ...]


def clean(target: Any, run: str, destroy: Callable[[str], object]) -> Cleaning:
    """Deletes all of a run. ``target`` makes clients; ``destroy`` deletes a helper stack.

    What is refused holds up nothing else.
    """
    deleted = []
    for leftover in _find(target, run, destroy, []):
        with suppress(*_REFUSALS):  # it is found again
            leftover.delete()
            deleted.append(str(leftover))
    unknown: list[str] = []
    left = tuple(map(str, _find(target, run, destroy, unknown)))
    return Cleaning(tuple(one for one in deleted if one not in left), left, tuple(unknown))


def find_leftovers(target: Any, run: str) -> list[str]:
    return [str(leftover) for leftover in _find(target, run, lambda _: None, [])]


def delete_objects(target: Any, run: str) -> None:
    """Those in the bucket of artifacts, which is not deleted as long as there are any."""
    for leftover in _find(target, run, lambda _: None, [], _KINDS[:1]):
        leftover.delete()


def _find(
    target: Any,
    run: str,
    destroy: Callable[[str], object],
    unknown: list[str],
    kinds: Iterable[_Kind] | None = None,
) -> Iterator[Leftover]:
    """In the order in which they are to be deleted; what can't be listed goes to ``unknown``."""
    for kind in _KINDS if kinds is None else kinds:
        client = target.client(kind.service)
        try:
            arguments = kind.arguments(target)
            pages = client.get_paginator(kind.listing).paginate(**arguments)
            names = [name for name in pages.search(kind.names) if name and run in name]
        except _REFUSALS as error:
            if "NoSuchBucket" not in str(error):
                unknown.append(f"{kind.name}s: {error}")
            continue
        for name in names:
            if kind.name == "stack" and name.startswith("plldb-"):
                yield Leftover("helper stack", name, partial(destroy, name))
            else:
                yield Leftover(kind.name, name, partial(kind.delete, client, name, **arguments))


def _delete_stack(cloudformation: Any, name: str) -> None:
    cloudformation.delete_stack(StackName=name)
    waiter = cloudformation.get_waiter("stack_delete_complete")
    waiter.wait(StackName=name, WaiterConfig={"Delay": 2, "MaxAttempts": _STACK_SECONDS // 2})


def _delete_bucket(s3: Any, name: str) -> None:
    for key in s3.get_paginator("list_objects_v2").paginate(Bucket=name).search("Contents[].Key"):
        if key:
            s3.delete_object(Bucket=name, Key=key)
    s3.delete_bucket(Bucket=name)


def _delete_user(iam: Any, name: str) -> None:
    for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
        iam.delete_user_policy(UserName=name, PolicyName=policy)
    for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)


def _delete_role(iam: Any, name: str) -> None:
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
    iam.delete_role(RoleName=name)


def _delete_layer(lambda_: Any, name: str) -> None:
    for version in lambda_.list_layer_versions(LayerName=name)["LayerVersions"]:
        lambda_.delete_layer_version(LayerName=name, VersionNumber=version["Version"])


def _find_artifacts(target: Any) -> Mapping[str, str]:
    return {"Bucket": make_bucket_name(target.region, target.account_id)}


# First what keeps a bucket from being deleted with the helper stack; then stacks: with them goes
# most of the rest. Lambda makes a log group for each function that runs, and nobody deletes it.
_KINDS = (
    _Kind(
        "object",
        "s3",
        "list_objects_v2",
        "Contents[].Key",
        lambda client, name, Bucket: client.delete_object(Bucket=Bucket, Key=name),  # noqa: N803
        _find_artifacts,
    ),
    # Those that are nested in others go with them.
    _Kind(
        "stack",
        "cloudformation",
        "describe_stacks",
        "Stacks[?!ParentId].StackName",
        _delete_stack,
    ),
    _Kind("bucket", "s3", "list_buckets", "Buckets[].Name", _delete_bucket),
    _Kind(
        "table",
        "dynamodb",
        "list_tables",
        "TableNames[]",
        lambda client, name: client.delete_table(TableName=name),
    ),
    _Kind("user", "iam", "list_users", "Users[].UserName", _delete_user),
    _Kind(
        "function",
        "lambda",
        "list_functions",
        "Functions[].FunctionName",
        lambda client, name: client.delete_function(FunctionName=name),
    ),
    _Kind("layer", "lambda", "list_layers", "Layers[].LayerName", _delete_layer),
    _Kind("role", "iam", "list_roles", "Roles[].RoleName", _delete_role),
    _Kind(
        "log group",
        "logs",
        "describe_log_groups",
        "logGroups[].logGroupName",
        lambda client, name: client.delete_log_group(logGroupName=name),
    ),
)
# Calls of the tests that make something of these kinds.
MADE_BY = {
    "object": "put_object",
    "stack": "create_stack",
    "bucket": "create_bucket",
    "table": "create_table",
    "user": "create_user",
    "function": "create_function",
    "layer": "publish_layer_version",
    "role": "create_role",
}
