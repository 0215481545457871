"""Requests to the management API are signed as AWS's own SDK signs them.

requests-aws4auth is held against botocore, for paths and queries of any kind: they are normalized
and encoded before they are signed, and each implementation does that by itself.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from plldb.aws import Target
from plldb.config import TargetSettings
from plldb.debugger.api_client import ApiClient
from tests.unit.fakes import Answer, Wire

KEY_ID, SECRET, TOKEN = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIbPxRfiCYEXAMPLEKEY", "tok/en+=="
REGION = "eu-west-1"
HOST = "https://api.execute-api.eu-west-1.amazonaws.com"
_AUTHORIZATION = re.compile(r"Credential=(\S+), ?SignedHeaders=(\S+), ?Signature=([0-9a-f]{64})")

# What surrogates would be in a URL, nobody says.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
odd = st.sampled_from(
    ["+", "%", "%2F", "a b", "~", "*", "é", "…", "=", "&", "#", "?", "@", ":", "$"]
)
values = st.one_of(texts, odd)
# A segment of dots is taken out of a path before it is sent.
segments = values.filter(lambda text: text.strip(".") != "")
queries = st.lists(st.tuples(values.filter(bool), values), max_size=4)
methods = st.sampled_from(["GET", "POST", "DELETE"])


@pytest.fixture(scope="module")
def target() -> Target:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": TOKEN,
        }.items():
            patch.setenv(name, value)
        target = Target(TargetSettings("aws", REGION))
        target.load_credentials()
    return target


def botocores_signature(method: str, url: str, headers: dict[str, str], body: bytes) -> str:
    request = AWSRequest(method, url, headers, body)
    request.context["timestamp"] = headers["x-amz-date"]
    auth = SigV4Auth(Credentials(KEY_ID, SECRET, TOKEN), "execute-api", REGION)
    signature: str = auth.signature(
        auth.string_to_sign(request, auth.canonical_request(request)), request
    )
    return signature


def check_signed(method: str, url: str, headers: Mapping[str, str], body: bytes) -> None:
    found = _AUTHORIZATION.search(headers["authorization"])
    assert found
    scope, names, signature = found.groups()
    assert scope.endswith(f"/{REGION}/execute-api/aws4_request")
    signed = set(names.split(";"))
    assert {"host", "x-amz-date", "x-amz-security-token"} <= signed
    kept = {name: headers[name] for name in signed - {"host"}}
    assert signature == botocores_signature(method, url, kept, body)


@given(
    method=methods, path=st.lists(segments, max_size=3), query=queries, body=st.binary(max_size=20)
)
@example(
    method="GET", path=["sessions"], query=[("stackName", "a"), ("nextToken", "e30=+/")], body=b""
)
@example(method="GET", path=["sessions"], query=[("b", "2"), ("b", "1"), ("a", "")], body=b"")
@example(method="DELETE", path=["stacks", "a b", "sessions", "é%2F"], query=[], body=b"")
def test_any_path_and_query_of_ours(
    target: Target, method: str, path: list[str], query: list[tuple[str, str]], body: bytes
) -> None:
    """Each is encoded as the client of the management API encodes them."""
    encoded = "/".join(quote(one, safe="") for one in ["plldb", *path])
    url = f"{HOST}/{encoded}?{urlencode(query, quote_via=quote)}".rstrip("?")
    request = requests.Request(method, url, data=body or None, auth=target.execute_api_auth())
    signed = request.prepare()
    assert signed.url == url
    headers = {name.lower(): str(value) for name, value in signed.headers.items()}
    check_signed(method, url, headers, body)


@given(stack_name=values, token=values.filter(bool))
def test_all_that_the_client_of_the_management_api_asks_for(
    target: Target, stack_name: str, token: str
) -> None:
    pages = iter([{"sessions": [], "nextToken": token}, {"sessions": []}])
    wire = Wire(lambda _: Answer(200, json.dumps(next(pages))))
    with ApiClient(f"{HOST}/plldb", target.execute_api_auth(), adapter=wire.adapter()) as api:
        assert list(api.list_sessions(stack_name)) == []
    assert len(wire.requests) == 2
    for request in wire.requests:
        assert "+" not in request.url
        check_signed(request.method, request.url, request.headers, b"")
