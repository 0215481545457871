"""Looks what is there: the artifacts bucket and the helper stack."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from plldb.aws import Target, aws_errors, error_code
from plldb.bootstrap.planner import BucketState, Observed, Protection
from plldb.bootstrap.release import PAYLOADS
from plldb.errors import BootstrapError
from plldb.stacks import find_stack

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def observe(target: Target, *, bucket: str, prefix: str, stack_name: str) -> Observed:
    """The state of both. Raises BootstrapError for a bucket that belongs to somebody else."""
    # The stack first: CloudFormation says why it refuses, a HEAD on a bucket can't.
    stack = find_stack(target, stack_name)
    return Observed(bucket=_bucket_state(target, bucket, prefix), stack=stack)


def foreign_bucket(bucket: str) -> BootstrapError:
    return BootstrapError(
        f"Bucket {bucket!r} exists but belongs to another account, or is closed to you.",
        "Bucket names are global: check that --profile and --region name the right account, and "
        "that s3:ListBucket is allowed.",
    )


def _bucket_state(target: Target, bucket: str, prefix: str) -> BucketState | None:
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
                    raise foreign_bucket(bucket) from error
            raise
        keys = _all_keys(s3, bucket)
        ours = frozenset(key for key in keys if key.startswith(prefix))
        payloads = [key for key in keys if key.startswith(PAYLOADS + prefix)]
        return BucketState(
            missing_protections=frozenset(
                protection
                for protection in required_protections(target)
                if not _is_protected(s3, bucket, protection, target.partition)
            ),
            keys=ours,
            has_payloads=bool(payloads),
            is_shared=len(ours) + len(payloads) < len(keys),
        )


def required_protections(target: Target) -> list[Protection]:
    """All of them; but an emulator on plain HTTP would lock everybody out with TLS_ONLY."""
    return [p for p in Protection if target.uses_tls or p is not Protection.TLS_ONLY]


def _all_keys(s3: S3Client, bucket: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def _is_protected(s3: S3Client, bucket: str, protection: Protection, partition: str) -> bool:
    match protection:
        case Protection.NO_PUBLIC_ACCESS:
            found = _get(lambda: s3.get_public_access_block(Bucket=bucket))
            blocks = found.get("PublicAccessBlockConfiguration", {})
            return len(blocks) == 4 and all(blocks.values())
        case Protection.ENCRYPTION:
            found = _get(lambda: s3.get_bucket_encryption(Bucket=bucket))
            return bool(found.get("ServerSideEncryptionConfiguration", {}).get("Rules"))
        case Protection.TLS_ONLY:
            found = _get(lambda: s3.get_bucket_policy(Bucket=bucket))
            return bool(
                json.loads(found.get("Policy", "null")) == tls_only_policy(bucket, partition)
            )
        case Protection.PAYLOADS_EXPIRE:
            found = _get(lambda: s3.get_bucket_lifecycle_configuration(Bucket=bucket))
            return any(_expires_payloads(rule) for rule in found.get("Rules", []))


def payloads_rule() -> dict[str, Any]:
    """The lifecycle rule that deletes payloads, whichever helper stack they are of."""
    return {
        "ID": "plldb-payloads",
        "Status": "Enabled",
        "Filter": {"Prefix": PAYLOADS},
        "Expiration": {"Days": 1},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }


def _expires_payloads(rule: Mapping[str, Any]) -> bool:
    """What plldb's rule does counts; engines differ in how they give it back."""
    return (
        rule.get("Status") == "Enabled"
        and (rule.get("Filter") or rule).get("Prefix") == PAYLOADS
        and rule.get("Expiration", {}).get("Days") == 1
    )


def tls_only_policy(bucket: str, partition: str) -> dict[str, Any]:
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


def _get(call: Callable[[], Any]) -> dict[str, Any]:
    """The configuration; empty where S3 answers that there is none."""
    try:
        return dict(call())
    except ClientError as error:
        if error_code(error) in {
            "NoSuchPublicAccessBlockConfiguration",
            "ServerSideEncryptionConfigurationNotFoundError",
            "NoSuchBucketPolicy",
            "NoSuchLifecycleConfiguration",
        }:
            return {}
        raise
