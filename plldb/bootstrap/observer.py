"""Looks at what is there: the artifacts bucket and the helper stack."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from plldb.aws import Target, aws_errors, error_code
from plldb.bootstrap.planner import BucketProtection, BucketState, Observation
from plldb.bootstrap.release import PAYLOADS_FOLDER
from plldb.errors import BootstrapError
from plldb.stacks import find_stack

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)


def observe(target: Target, *, bucket: str, prefix: str, stack_name: str) -> Observation:
    """Looks at the bucket and the stack; ``prefix`` is where this helper stack's artifacts lie.

    Raises BootstrapError for a bucket that belongs to somebody else.
    """
    # The stack comes first: CloudFormation says why it refuses, a HEAD on a bucket can't.
    stack = find_stack(target, stack_name)
    logger.debug("stack %s: %s", stack_name, stack.status if stack else "does not exist")
    found = _observe_bucket(target, bucket, prefix)
    logger.debug("bucket %s: %s", bucket, found or "does not exist")
    return Observation(bucket=found, stack=stack)


def make_foreign_bucket_error(bucket: str) -> BootstrapError:
    """For a bucket that has the name of ours and is not."""
    return BootstrapError(
        f"Bucket {bucket!r} exists but belongs to another account, or is closed to you.",
        "Bucket names are global: check that --profile and --region name the right account, and "
        "that s3:ListBucket is allowed.",
    )


def _observe_bucket(target: Target, bucket: str, prefix: str) -> BucketState | None:
    s3: S3Client = target.client("s3")
    owner = target.account_id
    with aws_errors(f"look at bucket {bucket!r}"):
        try:
            s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=owner)
        except ClientError as error:
            # A HEAD answer has no body: its code is the HTTP status.
            match error_code(error):
                case "404" | "NoSuchBucket":
                    return None
                case "403" | "AccessDenied":
                    raise make_foreign_bucket_error(bucket) from error
            raise
        keys = _list_keys(s3, bucket)
        ours = frozenset(key for key in keys if key.startswith(prefix))
        payloads = [key for key in keys if key.startswith(PAYLOADS_FOLDER + prefix)]
        return BucketState(
            missing_protections=frozenset(
                protection
                for protection in list_required_protections(target)
                if not _is_protected(s3, bucket, protection, target.partition)
            ),
            keys=ours,
            has_payloads=bool(payloads),
            is_shared=len(ours) + len(payloads) < len(keys),
            tags=_read_tags(s3, bucket),
        )


def _read_tags(s3: S3Client, bucket: str) -> dict[str, str] | None:
    """None if they may not be read: whoever wants none on it need not have the right."""
    try:
        found = _get_or_empty(lambda: s3.get_bucket_tagging(Bucket=bucket))
    except ClientError as error:
        if error_code(error) == "AccessDenied":
            return None
        raise
    return {tag["Key"]: tag["Value"] for tag in found.get("TagSet", [])}


def list_required_protections(target: Target) -> list[BucketProtection]:
    """All protections; but an emulator on plain HTTP would lock everybody out with TLS_ONLY."""
    return [p for p in BucketProtection if target.uses_tls or p is not BucketProtection.TLS_ONLY]


def _list_keys(s3: S3Client, bucket: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def _is_protected(s3: S3Client, bucket: str, protection: BucketProtection, partition: str) -> bool:
    match protection:
        case BucketProtection.NO_PUBLIC_ACCESS:
            found = _get_or_empty(lambda: s3.get_public_access_block(Bucket=bucket))
            blocks = found.get("PublicAccessBlockConfiguration", {})
            return len(blocks) == 4 and all(blocks.values())
        case BucketProtection.ENCRYPTION:
            found = _get_or_empty(lambda: s3.get_bucket_encryption(Bucket=bucket))
            return bool(found.get("ServerSideEncryptionConfiguration", {}).get("Rules"))
        case BucketProtection.TLS_ONLY:
            found = _get_or_empty(lambda: s3.get_bucket_policy(Bucket=bucket))
            return bool(
                json.loads(found.get("Policy", "null")) == make_tls_only_policy(bucket, partition)
            )
        case BucketProtection.PAYLOADS_EXPIRE:
            found = _get_or_empty(lambda: s3.get_bucket_lifecycle_configuration(Bucket=bucket))
            return any(_expires_payloads(rule) for rule in found.get("Rules", []))


def make_payloads_rule() -> dict[str, Any]:
    """The lifecycle rule that deletes payloads, whichever helper stack they are of."""
    return {
        "ID": "plldb-payloads",
        "Status": "Enabled",
        "Filter": {"Prefix": PAYLOADS_FOLDER},
        "Expiration": {"Days": 1},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }


def _expires_payloads(rule: Mapping[str, Any]) -> bool:
    """Whether the rule does what plldb's rule does; engines differ in how they give it back."""
    return (
        rule.get("Status") == "Enabled"
        and (rule.get("Filter") or rule).get("Prefix") == PAYLOADS_FOLDER
        and rule.get("Expiration", {}).get("Days") == 1
    )


def make_tls_only_policy(bucket: str, partition: str) -> dict[str, Any]:
    """The bucket policy that refuses every request without TLS."""
    arn = f"arn:{partition}:s3:::{bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [arn, f"{arn}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }


def _get_or_empty(call: Callable[[], Any]) -> dict[str, Any]:
    """The configuration that the call answers; empty where S3 answers that there is none."""
    try:
        return dict(call())
    except ClientError as error:
        if error_code(error) in {
            "NoSuchPublicAccessBlockConfiguration",
            "ServerSideEncryptionConfigurationNotFoundError",
            "NoSuchBucketPolicy",
            "NoSuchLifecycleConfiguration",
            "NoSuchTagSet",
        }:
            return {}
        raise
