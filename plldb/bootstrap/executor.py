"""Carries out a plan, one step after the other. Each step is safe to repeat after a crash."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from plldb.aws import Target, aws_errors, error_code
from plldb.bootstrap import planner
from plldb.bootstrap.cloudformation.lambda_functions.shared.constants import FUNCTION_LISTS_PREFIX
from plldb.bootstrap.observer import (
    list_required_protections,
    make_foreign_bucket_error,
    make_payloads_rule,
    make_tls_only_policy,
)
from plldb.bootstrap.planner import BucketProtection, Plan, Step
from plldb.bootstrap.release import Release
from plldb.bootstrap.stack_operation import ResourceEvent, StackOperation
from plldb.errors import AwsError, BootstrapError, DeploymentError
from plldb.stacks import StackState, find_stack, restore_functions

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import TagTypeDef

logger = logging.getLogger(__name__)

# DeleteObjects takes this many at once:
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
_DELETE_BATCH = 1000
# A table of another status is not the stack's own: it may have made the creation fail by being
# there already.
_PRESENT = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_FAILED"}


class Executor:
    """Carries out plans at one target.

    ``on_step`` hears of each step before it is taken, ``on_resource`` of each stack event.
    ``failure`` is raised if CloudFormation fails.
    ``role`` is the ARN of a role as which CloudFormation acts; None leaves it to the caller's own
    rights, or to the role that the stack was deployed with last.
    """

    def __init__(
        self,
        target: Target,
        on_step: Callable[[Step], None],
        on_resource: Callable[[ResourceEvent], None],
        failure: type[DeploymentError] = BootstrapError,
        role: str | None = None,
    ) -> None:
        self._target = target
        self._failure = failure
        self._role: dict[str, Any] = {} if role is None else {"RoleARN": role}
        self._on_step = on_step
        self._on_resource = on_resource
        self._s3: S3Client = target.client("s3")
        self._cloudformation: CloudFormationClient = target.client("cloudformation")

    def execute(self, plan: Plan) -> bool:
        """Takes every step in turn, and returns whether any of them changed something.

        Raises BootstrapError or AwsError for the first step that fails; none is taken after it.
        """
        changed = False
        for step in plan:
            logger.info("step: %s", step)
            self._on_step(step)
            with aws_errors(str(step)):
                changed |= self._execute(step)
        return changed

    def _execute(self, step: Step) -> bool:
        match step:
            case planner.CreateBucket(bucket):
                self._create_bucket(bucket)
            case planner.ProtectBucket(bucket, protection):
                self._protect_bucket(bucket, protection)
            case planner.TagBucket(bucket, tags):
                self._s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": _make_tag_list(tags)})
            case planner.UploadArtifact(bucket, artifact):
                # Its name can be guessed: code goes into nobody else's bucket of that name.
                self._s3.put_object(
                    Bucket=bucket,
                    Key=artifact.key,
                    Body=artifact.body,
                    ExpectedBucketOwner=self._target.account_id,
                )
            case planner.DeleteObjects(bucket, prefix, keys):
                self._delete_objects(bucket, prefix, keys)
            case planner.DeleteBucket(bucket):
                self._delete_bucket(bucket)
            case _:
                return self._execute_on_stack(step)
        return True

    def _execute_on_stack(self, step: Step) -> bool:
        match step:
            case planner.AwaitStack(stack_name):
                self._await_stack(stack_name)
            case planner.ContinueRollback(stack_name):
                self._continue_rollback(stack_name)
            case planner.RestoreStacks(stack_name):
                return self._restore_stacks(stack_name)
            case planner.DeleteStack(stack_name):
                self._delete_stack(stack_name)
            case planner.CreateStack(release):
                self._create_stack(release)
            case planner.UpdateStack(release):
                return self._update_stack(release)
            case planner.SetTerminationProtection(stack_name, enabled):
                self._set_termination_protection(stack_name, enabled)
            case planner.UnprotectTables(stack_name):
                self._unprotect_tables(stack_name)
        return True

    # --- Bucket ---------------------------------------------------------------------------------

    def _create_bucket(self, bucket: str) -> None:
        try:
            if self._target.region == "us-east-1":
                # The one region that S3 refuses as a location constraint.
                self._s3.create_bucket(Bucket=bucket)
            else:
                location = {"LocationConstraint": self._target.region}
                self._s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=location)  # type: ignore[arg-type]
        except ClientError as error:
            if error_code(error) == "BucketAlreadyExists":
                raise make_foreign_bucket_error(bucket) from error
            if error_code(error) != "BucketAlreadyOwnedByYou":
                raise
        for protection in list_required_protections(self._target):
            self._protect_bucket(bucket, protection)

    def _protect_bucket(self, bucket: str, protection: BucketProtection) -> None:
        match protection:
            case BucketProtection.NO_PUBLIC_ACCESS:
                self._s3.put_public_access_block(
                    Bucket=bucket,
                    PublicAccessBlockConfiguration={
                        "BlockPublicAcls": True,
                        "IgnorePublicAcls": True,
                        "BlockPublicPolicy": True,
                        "RestrictPublicBuckets": True,
                    },
                )
            case BucketProtection.ENCRYPTION:
                self._s3.put_bucket_encryption(
                    Bucket=bucket,
                    ServerSideEncryptionConfiguration={
                        "Rules": [
                            {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
                        ]
                    },
                )
            case BucketProtection.TLS_ONLY:
                policy = make_tls_only_policy(bucket, self._target.partition)
                self._s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
            case BucketProtection.PAYLOADS_EXPIRE:
                self._s3.put_bucket_lifecycle_configuration(
                    Bucket=bucket,
                    LifecycleConfiguration={"Rules": [make_payloads_rule()]},  # type: ignore[list-item]
                )

    def _delete_objects(self, bucket: str, prefix: str, keys: frozenset[str] | None) -> None:
        pages = self._s3.get_paginator("list_object_versions").paginate(
            Bucket=bucket, Prefix=prefix
        )
        versions = [
            {"Key": entry["Key"], "VersionId": entry["VersionId"]}
            for page in pages
            for entry in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
            if keys is None or entry["Key"] in keys
        ]
        for start in range(0, len(versions), _DELETE_BATCH):
            batch = versions[start : start + _DELETE_BATCH]
            answer = self._s3.delete_objects(
                Bucket=bucket,
                Delete={"Objects": batch, "Quiet": True},  # type: ignore[typeddict-item]
            )
            for refused in answer.get("Errors", []):
                raise AwsError(
                    f"Could not delete {refused['Key']} in bucket {bucket}: {refused.get('Code')}",
                    code=refused.get("Code", ""),
                )

    def _delete_bucket(self, bucket: str) -> None:
        try:
            self._s3.delete_bucket(Bucket=bucket)
        except ClientError as error:
            if error_code(error) != "NoSuchBucket":
                raise

    # --- Stack ----------------------------------------------------------------------------------

    def _create_stack(self, release: Release) -> None:
        created = self._cloudformation.create_stack(
            **_make_stack_arguments(release),  # type: ignore[arg-type]
            EnableTerminationProtection=release.is_protected,
            **self._role,
        )
        operation = StackOperation(self._target, release.stack_name)
        stack = operation.follow(self._on_resource, stack_id=created["StackId"])
        # LocalStack overlooks it at creation.
        if stack is not None and stack.has_termination_protection != release.is_protected:
            self._set_termination_protection(release.stack_name, release.is_protected)

    def _update_stack(self, release: Release) -> bool:
        """Returns False if CloudFormation finds nothing to do, as after a rollback."""
        operation = self._make_operation(release.stack_name)
        try:
            self._cloudformation.update_stack(**_make_stack_arguments(release), **self._role)  # type: ignore[arg-type]
        except ClientError as error:
            if "No updates are to be performed" in str(error):
                logger.info("CloudFormation found nothing to update in %s", release.stack_name)
                return False
            raise
        operation.follow(self._on_resource)
        return True

    def _delete_stack(self, stack_name: str) -> None:
        """Deletes twice if need be: a resource that was in use goes with the second deletion."""
        try:
            self._delete_stack_once(stack_name)
        except DeploymentError as error:
            if find_stack(self._target, stack_name) is not None:
                logger.info("deleting stack %s again: %s", stack_name, error.message)
                self._delete_stack_once(stack_name)

    def _delete_stack_once(self, stack_name: str) -> None:
        operation = self._make_operation(stack_name)
        self._cloudformation.delete_stack(StackName=stack_name, **self._role)
        operation.follow(self._on_resource)

    def _set_termination_protection(self, stack_name: str, enabled: bool) -> None:
        self._cloudformation.update_termination_protection(
            StackName=stack_name, EnableTerminationProtection=enabled
        )

    def _unprotect_tables(self, stack_name: str) -> None:
        dynamodb: DynamoDBClient = self._target.client("dynamodb")
        resources = self._cloudformation.describe_stack_resources(StackName=stack_name)
        for resource in resources["StackResources"]:
            table = resource.get("PhysicalResourceId")
            is_table = resource["ResourceType"] == "AWS::DynamoDB::Table"
            if not table or not is_table or resource["ResourceStatus"] not in _PRESENT:
                continue
            try:
                dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
            except ClientError as error:
                # Somebody was faster.
                if error_code(error) != "ResourceNotFoundException":
                    raise

    def _continue_rollback(self, stack_name: str) -> None:
        operation = self._make_operation(stack_name)
        self._cloudformation.continue_update_rollback(StackName=stack_name, **self._role)
        operation.await_end(self._on_resource)

    def _await_stack(self, stack_name: str) -> None:
        if find_stack(self._target, stack_name) is not None:
            self._make_operation(stack_name).await_end(self._on_resource)

    # --- The stacks that were debugged ----------------------------------------------------------

    def _restore_stacks(self, stack_name: str) -> bool:
        """Restores every stack that had a session; returns False if there is nothing to restore.

        Raises BootstrapError, which names the functions, if any of them could not be restored.
        """
        stack = find_stack(self._target, stack_name)
        if stack is None:
            return False
        table = _get_output(stack, "SessionsTableName")
        function = _get_output(stack, "InstrumentationFunctionName")
        failures: list[str] = []
        try:
            debugged = self._find_debugged_stacks(table)
            for name in debugged:
                failures += self._restore_stack(function, name)
        except ClientError as error:
            # Somebody deleted the table or the function by hand: deleting the rest can't wait
            # for what will never come back.
            if error_code(error) == "ResourceNotFoundException":
                logger.info("nothing is restored: %s", error)
                return False
            raise
        if failures:
            raise BootstrapError(
                f"Not all functions could be restored: {'; '.join(failures)}.",
                "Without the helper stack they could not be restored any more, so it was kept. "
                "Mend the cause or run 'plldb restore', then destroy again.",
            )
        return bool(debugged)

    def _find_debugged_stacks(self, table: str) -> list[str]:
        dynamodb: DynamoDBClient = self._target.client("dynamodb")
        pages = dynamodb.get_paginator("scan").paginate(
            TableName=table,
            ProjectionExpression="SessionId, #stack",
            ExpressionAttributeNames={"#stack": "StackName"},
            ConsistentRead=True,
        )
        return sorted({_get_stack_name(item) for page in pages for item in page["Items"]})

    def _restore_stack(self, function: str, stack_name: str) -> list[str]:
        """Restores one stack, and returns what went wrong, by function; a stack may be gone."""
        restoration = restore_functions(self._target, function, stack_name)
        logger.info(
            "stack %s: %d functions restored, %d failed",
            stack_name,
            len(restoration.restored),
            len(restoration.failed),
        )
        if restoration.error is not None:
            return [f"those of stack {stack_name} ({restoration.error})"]
        return [
            f"{logical_id} of stack {stack_name} ({reason})"
            for logical_id, reason in sorted(restoration.failed.items())
        ]

    def _make_operation(self, stack_name: str) -> StackOperation:
        stack = find_stack(self._target, stack_name)
        stack_id = stack.stack_id if stack else None
        return StackOperation(self._target, stack_name, stack_id, failure=self._failure)


def _get_stack_name(item: Mapping[str, Any]) -> str:
    """Of a session, or of a list of functions, whose key tells it."""
    name: str = item.get("StackName", item["SessionId"])["S"]
    return name.removeprefix(FUNCTION_LISTS_PREFIX)


def _get_output(stack: StackState, name: str) -> str:
    """An output that every version of plldb has; not more, so that each can destroy the others."""
    try:
        return stack.outputs[name]
    except KeyError:
        raise BootstrapError(
            f"Stack {stack.name!r} has no output {name}, without which nothing can be restored.",
            "Run 'plldb bootstrap' to repair it, then destroy it again.",
        ) from None


def _make_stack_arguments(release: Release) -> dict[str, object]:
    return {
        "StackName": release.stack_name,
        "TemplateBody": release.template,
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in release.parameters.items()
        ],
        "Capabilities": ["CAPABILITY_IAM"],
        "Tags": _make_tag_list(release.tags),
    }


def _make_tag_list(tags: Mapping[str, str]) -> list[TagTypeDef]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
