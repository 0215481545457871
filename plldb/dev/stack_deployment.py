"""Deploys a packaged template: uploads, a change set, its execution, event by event."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from plldb.aws import Target, aws_errors, error_code
from plldb.bootstrap.executor import Executor
from plldb.bootstrap.observer import observe
from plldb.bootstrap.planner import AwaitStack, DeleteStack, Step, UploadArtifact, plan_bucket
from plldb.bootstrap.release import DEPLOYMENTS_FOLDER, make_bucket_name
from plldb.bootstrap.stack_operation import (
    ResourceEvent,
    StackOperation,
    choose_poll_seconds,
)
from plldb.config import VERSION_TAG, suggest
from plldb.dev.code_zip import Upload, upload_text
from plldb.dev.template_package import PackagedTemplate, Storage, render
from plldb.errors import DeploymentError, StackError, UsageError
from plldb.stacks import StackState, find_stack
from plldb.templates import as_dict

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

logger = logging.getLogger(__name__)

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
_LONGEST_BODY_BYTES = 51_200
_PATIENCE_SECONDS = 600
# What came to nothing: it holds nothing, and can't be updated.
_DEAD = frozenset(
    {"CREATE_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"}
)
# https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-call-api.html
# LocalStack names APIs by http and ws, and its own port.
_EXECUTE_API = re.compile(
    r"(?:https?|wss?)://([a-z0-9]+)\.execute-api\.[\w.-]+(?::\d+)?(?:/[^\s\"',]*)?"
)

# https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
# LocalStack gives functions names below its own.
_FUNCTION_URL = re.compile(r"https://([a-z0-9]+)\.lambda-url\.[\w-]+\.on\.aws(?:/[^\s\"',]*)?")


@dataclass(frozen=True)
class Change:
    """What a change set does to a resource. ``action``: Add, Modify, Remove, …; ``is_replaced``
    if it will be another one afterwards.
    """

    action: str
    logical_id: str
    kind: str
    is_replaced: bool = False


@dataclass(frozen=True)
class Deployment:
    """``outputs`` have URLs as they are reached from here. ``has_changed``: something was done."""

    stack_name: str
    status: str
    has_changed: bool
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reporter:
    """Hears of each step before it is taken, and of each event of a stack."""

    step: Callable[[str], None]
    resource: Callable[[ResourceEvent], None]


# Whether the changes to a stack shall be made; it is asked before they are.
Agree = Callable[[str, Sequence[Change]], bool]


def make_storage(target: Target) -> Storage:
    """Where this target's packages lie: in plldb's own bucket of the account and region."""
    bucket = make_bucket_name(target.region, target.account_id)
    return Storage(bucket, DEPLOYMENTS_FOLDER, lambda key: target.object_url(bucket, key))


def check_parameters(packages: Sequence[PackagedTemplate], given: Mapping[str, str]) -> None:
    """Raises UsageError for a value of a parameter that none of the templates has."""
    known = {str(name) for one in packages for name in as_dict(one.body.get("Parameters"))}
    for name in given:
        if name not in known:
            hint = suggest(name, sorted(known)) if known else "It has none at all."
            raise UsageError(f"The template has no parameter {name!r}.", hint)


class StackParameters(Mapping[str, str]):
    """What a stack is deployed with: the parameters that are ``given``, those that it keeps, and
    CloudFormation's own. It is looked at only if somebody asks.
    """

    def __init__(self, target: Target, stack_name: str, given: Mapping[str, str]) -> None:
        self._target = target
        self._stack_name = stack_name
        self._given = given

    @cached_property
    def _all(self) -> Mapping[str, str]:
        stack = find_stack(self._target, self._stack_name)
        kept = stack.parameters if stack is not None and stack.status not in _DEAD else {}
        own = {
            "AWS::AccountId": self._target.account_id,
            "AWS::Region": self._target.region,
            "AWS::StackName": self._stack_name,
        }
        return {**own, **kept, **self._given}

    def __getitem__(self, name: str) -> str:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def read_outputs(target: Target, stack: StackState) -> dict[str, str]:
    """A stack's outputs, in which URLs of APIs and functions are as they are reached from here."""

    def put_in(value: str) -> str:
        value = _EXECUTE_API.sub(lambda found: target.execute_api_url(found[1], found[0]), value)
        return _FUNCTION_URL.sub(lambda found: target.function_url(found[1], found[0]), value)

    return {name: put_in(value) for name, value in stack.outputs.items()}


class Deployer:
    """Deploys stacks to one target, one after the other."""

    def __init__(self, target: Target, storage: Storage, report: Reporter, agree: Agree) -> None:
        self._target = target
        self._storage = storage
        self._report = report
        self._agree = agree
        self._cloudformation: CloudFormationClient = target.client("cloudformation")
        self._executor = Executor(target, self._report_step, report.resource, DeploymentError)

    def upload(self, stack_name: str, uploads: Sequence[Upload]) -> None:
        """What is not there yet. Raises DeploymentError or AwsError."""
        observation = observe(
            self._target,
            bucket=self._storage.bucket,
            prefix=self._storage.prefix,
            stack_name=stack_name,
        )
        self._executor.execute(tuple(plan_bucket(self._storage.bucket, observation.bucket)))
        present = observation.bucket.keys if observation.bucket is not None else frozenset[str]()
        missing = {one.key: one for one in uploads if one.key not in present}
        for upload in missing.values():
            self._executor.execute((UploadArtifact(self._storage.bucket, upload.make()),))

    def deploy(
        self,
        stack_name: str,
        package: PackagedTemplate,
        parameters: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> Deployment:
        """Makes a stack what the template says, whatever state it is in.

        Raises UsageError if it was not agreed to; StackError, DeploymentError or AwsError if it
        fails, with the first resource that failed.
        """
        stack = self._prepare(stack_name)
        body, more = self._make_body(stack_name, package)
        self.upload(stack_name, (*package.uploads, *more))
        change_set = self._create_change_set(stack_name, stack, body, package, parameters, tags)
        if change_set is None:
            assert stack is not None
            return Deployment(stack_name, stack.status, False, read_outputs(self._target, stack))
        changes = self._list_changes(change_set)
        if not self._agree(stack_name, changes):
            self._discard(stack_name, change_set, is_new=stack is None)
            raise UsageError("Nothing was deployed.", "Agree when asked, or give --yes.")
        return self._execute(stack_name, change_set)

    # --- The stack as it is ---------------------------------------------------------------------

    def _prepare(self, stack_name: str) -> StackState | None:
        """The stack, ready for a change set; None if there is none, or none any more."""
        stack = find_stack(self._target, stack_name)
        if stack is not None and VERSION_TAG in stack.tags:
            raise StackError(
                f"Stack {stack_name!r} is a helper stack of plldb itself.",
                "Name another one with --stack-name; 'plldb bootstrap' deploys this one.",
            )
        if (
            stack is not None
            and stack.status.endswith("_IN_PROGRESS")
            and stack.status not in _DEAD
        ):
            self._executor.execute((AwaitStack(stack_name, stack.status),))
            stack = find_stack(self._target, stack_name)
        if stack is not None and stack.status in _DEAD:
            self._executor.execute((DeleteStack(stack_name, stack.status),))
            stack = None
        return stack

    def _make_body(
        self, stack_name: str, package: PackagedTemplate
    ) -> tuple[dict[str, str], tuple[Upload, ...]]:
        """How the template is given, and what has to be uploaded for it."""
        text = render(package.body)
        if len(text.encode()) <= _LONGEST_BODY_BYTES:
            return {"TemplateBody": text}, ()
        upload = upload_text(text.encode(), stack_name, ".json", self._storage.prefix)
        return {"TemplateURL": self._storage.url_of(upload.key)}, (upload,)

    # --- Change sets ----------------------------------------------------------------------------

    def _create_change_set(
        self,
        stack_name: str,
        stack: StackState | None,
        body: Mapping[str, str],
        package: PackagedTemplate,
        parameters: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> str | None:
        """The ARN of the change set; None if there is nothing to change."""
        self._report_text(f"plan the changes of stack {stack_name}")
        before = stack.parameters if stack is not None else {}
        request: dict[str, Any] = {
            "StackName": stack_name,
            "ChangeSetName": f"plldb-{uuid.uuid4().hex}",
            "ChangeSetType": "CREATE" if stack is None else "UPDATE",
            "Capabilities": list(package.capabilities),
            "Parameters": _list_parameters(package.body, parameters, before),
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            **body,
        }
        with aws_errors(f"plan the changes of stack {stack_name!r}"):
            created = self._cloudformation.create_change_set(**request)
            change_set = created["Id"]
            state = self._await_change_set(change_set)
        if state["Status"] != "FAILED":
            return change_set
        reason = state.get("StatusReason", "CloudFormation gave no reason")
        self._discard(stack_name, change_set, is_new=stack is None)
        if "didn't contain changes" in reason or "No updates are to be performed" in reason:
            return None
        raise StackError(
            f"The changes of stack {stack_name!r} can't be made: {reason}",
            "Mend the template, then deploy it again.",
        )

    def _await_change_set(self, change_set: str) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            found = dict(self._cloudformation.describe_change_set(ChangeSetName=change_set))
            if not str(found["Status"]).endswith(("_PENDING", "_IN_PROGRESS")):
                return found
            if time.monotonic() > deadline:
                raise StackError(
                    f"CloudFormation has planned for {_PATIENCE_SECONDS} seconds.",
                    "Look at the change set in its console, then deploy again.",
                )
            time.sleep(choose_poll_seconds(self._target))

    def _list_changes(self, change_set: str) -> list[Change]:
        with aws_errors("read the planned changes"):
            pages = self._cloudformation.get_paginator("describe_change_set").paginate(
                ChangeSetName=change_set
            )
            return [
                Change(
                    found.get("Action", ""),
                    found.get("LogicalResourceId", ""),
                    found.get("ResourceType", ""),
                    found.get("Replacement") == "True",
                )
                for page in pages
                for found in (one.get("ResourceChange", {}) for one in page.get("Changes", []))
            ]

    def _discard(self, stack_name: str, change_set: str, is_new: bool) -> None:
        """With the stack that only waits for it, if there was none before."""
        with aws_errors(f"discard the planned changes of stack {stack_name!r}"):
            try:
                self._cloudformation.delete_change_set(ChangeSetName=change_set)
                if is_new:
                    self._cloudformation.delete_stack(StackName=stack_name)
            except ClientError as error:
                if error_code(error) != "ChangeSetNotFound":
                    raise

    def _execute(self, stack_name: str, change_set: str) -> Deployment:
        self._report_text(f"deploy stack {stack_name}")
        stack = find_stack(self._target, stack_name)
        stack_id = stack.stack_id if stack else None
        operation = StackOperation(self._target, stack_name, stack_id, failure=DeploymentError)
        with aws_errors(f"deploy stack {stack_name!r}"):
            self._cloudformation.execute_change_set(ChangeSetName=change_set)
        stack = operation.follow(self._report.resource)
        if stack is None:
            raise StackError(f"Stack {stack_name!r} is gone.", "Somebody deleted it meanwhile.")
        return Deployment(stack_name, stack.status, True, read_outputs(self._target, stack))

    # --- What is said ---------------------------------------------------------------------------

    def _report_step(self, step: Step) -> None:
        self._report_text(str(step))

    def _report_text(self, text: str) -> None:
        logger.info("step: %s", text)
        self._report.step(text)


def _list_parameters(
    body: Mapping[str, Any], given: Mapping[str, str], before: Mapping[str, str]
) -> list[dict[str, Any]]:
    """What is not given stays as it was deployed, and is the template's default otherwise."""
    listed: list[dict[str, Any]] = []
    for name in as_dict(body.get("Parameters")):
        if name in given:
            listed.append({"ParameterKey": name, "ParameterValue": given[name]})
        elif name in before:
            listed.append({"ParameterKey": name, "UsePreviousValue": True})
    return listed
