"""LocalStack's server, of which the extension leaves out what nobody needs."""

import socket
from urllib.parse import urlsplit

import pytest
import requests

from .cloud import Cloud
from .code import bucket_with

SIZES = [0, 1, 100_000, 20_000_000]


@pytest.mark.parametrize("size", SIZES)
def test_a_body_is_whole_whatever_its_size(cloud: Cloud, size: int) -> None:
    s3, body = cloud.client("s3"), bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with bucket_with(cloud, {"key": body}) as bucket:
        for _ in range(2):
            assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == body
        assert s3.head_object(Bucket=bucket, Key="key")["ContentLength"] == size


def test_a_client_that_leaves_before_the_answer_disturbs_nobody(cloud: Cloud) -> None:
    where = urlsplit(cloud.endpoint)
    for _ in range(20):
        with socket.create_connection((where.hostname or "", where.port or 80)) as client:
            client.sendall(b"GET /_localstack/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert requests.get(f"{cloud.endpoint}/_localstack/health", timeout=30).ok


def test_a_form_is_for_the_service_to_read(cloud: Cloud) -> None:
    form = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
    signed_by = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sts/aws4_request"
    headers = {"Authorization": f"{signed_by}, SignedHeaders=host, Signature=0"}
    answer = requests.post(cloud.endpoint, form, headers=headers, timeout=30)
    assert "<Account>000000000000</Account>" in answer.text
