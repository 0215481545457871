"""A request is signed as botocore signs it."""

from __future__ import annotations

import pytest
import time_machine
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.shared.signing import sign_post

DYNAMODB = "https://dynamodb.eu-west-1.amazonaws.com/"
CONNECTION = "https://id.execute-api.eu-west-1.amazonaws.com/v1/@connections/Zm9v%2Fx%3D"
EMULATOR = "http://127.0.0.1:4566/_aws/execute-api/id/v1/@connections/a-b_c~d.e"
TOKENS = [None, "session+token/=="]
# What a header's value may be; spaces in it count as they stand there.
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)


def sign_by_botocore(
    credentials: ReadOnlyCredentials, service: str, url: str, headers: dict[str, str], body: bytes
) -> dict[str, str]:
    request = AWSRequest("POST", url, dict(headers), body)
    SigV4Auth(credentials, service, "eu-west-1").add_auth(request)
    return dict(request.headers.items())


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize(
    ("service", "url"),
    [("dynamodb", DYNAMODB), ("execute-api", CONNECTION), ("execute-api", EMULATOR)],
)
@given(headers=st.dictionaries(st.sampled_from(["X-A", "x-b", "Content-Type"]), VALUES))
@pytest.mark.parametrize("body", [b"", '{"ä": 1}'.encode()])
def test_the_signature_is_botocores(
    service: str, url: str, body: bytes, token: str | None, headers: dict[str, str]
) -> None:
    credentials = ReadOnlyCredentials("AKID", "s3cret/+", token)
    with time_machine.travel("2026-02-03T23:59:59Z", tick=False):
        ours = sign_post(credentials, service, "eu-west-1", url, headers, body)
        theirs = sign_by_botocore(credentials, service, url, headers, body)
    assert ours.items() - {("Host", ours["Host"])} == theirs.items()
    assert ours["Host"] == url.split("/")[2]


def test_each_day_has_a_key_of_its_own() -> None:
    credentials = ReadOnlyCredentials("AKID", "s3cret", None)
    for day in ("2026-02-03", "2026-02-04"):
        with time_machine.travel(f"{day}T00:00:00Z", tick=False):
            ours = sign_post(credentials, "dynamodb", "eu-west-1", DYNAMODB, {}, b"")
            theirs = sign_by_botocore(credentials, "dynamodb", DYNAMODB, {}, b"")
        assert ours["Authorization"] == theirs["Authorization"]
