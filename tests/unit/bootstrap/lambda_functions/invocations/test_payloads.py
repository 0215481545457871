"""Presigned URLs for one prefix of the bucket, made without a call."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config
from lambda_functions.invocations.payloads import S3Payloads


def payloads(region: str = "eu-west-1", style: str = "virtual") -> S3Payloads:
    def make_client() -> Any:
        return boto3.client(
            "s3",
            region_name=region,
            aws_access_key_id="AKIA",
            aws_secret_access_key="secret",
            config=Config(signature_version="s3v4", s3={"addressing_style": style}),
        )

    return S3Payloads(make_client, "bucket", "payloads/plldb/")


def test_each_upload_has_a_key_of_its_own() -> None:
    ours = payloads()
    uploads = [ours.new_upload() for _ in range(3)]
    assert len({upload["key"] for upload in uploads}) == 3
    for upload in uploads:
        assert ours.is_key(upload["key"])
        assert upload["key"] in upload["url"]
        assert "secret" not in upload["url"]


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_on_aws_the_url_names_the_buckets_own_region(region: str) -> None:
    """Another region's endpoint answers with a redirect for hours after the bucket is made."""
    url = payloads(region).download_url("payloads/plldb/x")
    host = (
        "bucket.s3.amazonaws.com" if region == "us-east-1" else f"bucket.s3.{region}.amazonaws.com"
    )
    assert url.startswith(f"https://{host}/payloads/plldb/x?")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "payloads/plldb/",
        "payloads/plldb/x",
        "payloads/other/" + "0" * 32,
        "payloads/plldb/" + "0" * 33,
        "payloads/plldb/" + "0" * 32 + "\n",
        "payloads/plldb/../" + "0" * 32,
        "plldb/" + "0" * 32,
    ],
)
def test_what_is_no_key(text: str) -> None:
    assert not payloads().is_key(text)
