"""A claim goes to the table as it was signed, and counts only if the table says so."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from plldb.bootstrap.cloudformation.lambda_functions.shared.signed_request import SignedRequest
from plldb.debugger.signed_claims import SignedClaims
from tests.unit.fakes import Answer, local_server

# urllib3 leaves a connection to be closed by the garbage collector after a failure.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

BODY = '{"TableName": "t", "Key": {"RequestId": {"S": "é"}}}'
HEADERS = {
    "Host": "dynamodb.here",
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Target": "DynamoDB_20120810.UpdateItem",
    "Authorization": "AWS4-HMAC-SHA256 Credential=A, SignedHeaders=host, Signature=5ecre7",
}


def claim_at(url: str) -> SignedRequest:
    return {"url": url, "headers": HEADERS, "body": BODY}


def test_it_is_sent_as_it_was_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login eve password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with local_server(lambda _: Answer(200, "{}")) as table, SignedClaims() as claims:
        assert claims.take(claim_at(f"{table.url}/"))
    (request,) = table.requests
    assert (request.method, request.url, request.body) == ("POST", f"{table.url}/", BODY)
    assert (
        HEADERS.items() <= {name.title(): value for name, value in request.headers.items()}.items()
    )


def test_it_goes_where_the_table_can_be_reached_from_here() -> None:
    with local_server(lambda _: Answer(200, "{}")) as table:

        def reach(url: str) -> str:
            return url.replace("http://inside:4566", table.url)

        with SignedClaims(reach) as claims:
            assert claims.take(claim_at("http://inside:4566/"))
    (request,) = table.requests
    assert request.headers["host"] == "dynamodb.here"


@pytest.mark.parametrize("status", [302, 400, 403, 429, 500, 503])
def test_any_other_answer_says_nothing_for_sure_and_is_not_asked_for_again(status: int) -> None:
    answer = Answer(status, "{}", {"Location": "/elsewhere"})
    with local_server(lambda _: answer) as table, SignedClaims() as claims:
        assert not claims.take(claim_at(f"{table.url}/"))
    assert len(table.requests) == 1


@pytest.mark.parametrize("url", ["nonsense://x", "http://[bad", "no url", ""])
def test_nor_does_a_url_that_is_none(url: str) -> None:
    with SignedClaims() as claims:
        assert not claims.take(claim_at(url))


def test_nor_does_a_table_that_is_out_of_reach() -> None:
    with socket.socket() as probe, SignedClaims() as claims:
        probe.bind(("127.0.0.1", 0))
        assert not claims.take(claim_at(f"http://127.0.0.1:{probe.getsockname()[1]}/"))
