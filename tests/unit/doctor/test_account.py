"""Checks of where calls go."""

from __future__ import annotations

from email.utils import formatdate
from types import SimpleNamespace

import pytest

from plldb.doctor import account
from plldb.doctor.facts import EndpointAnswer, Facts
from plldb.doctor.findings import CheckStatus
from plldb.errors import EndpointError
from tests.unit.doctor.patient import FakeTargetWith, patient
from tests.unit.fakes import Answer, local_server

NOW = 1_800_000_000.0


def facts_of(url: str, ahead: float = 0.0) -> Facts:
    """Of a machine whose clock is so many seconds ahead of ``NOW``."""
    sts = SimpleNamespace(meta=SimpleNamespace(endpoint_url=url))
    facts = patient(FakeTargetWith(sts=sts), clock=lambda: NOW + ahead)
    del vars(facts)["endpoint_answer"]
    return facts


def greeted(ahead: float) -> Facts:
    date = formatdate(NOW, usegmt=True)
    return patient(
        clock=lambda: NOW + ahead, endpoint_answer=EndpointAnswer("http://x", date, NOW + ahead)
    )


@pytest.mark.parametrize(
    ("ahead", "status", "said"),
    [
        (0, CheckStatus.OK, "within a minute"),
        (59, CheckStatus.OK, "within a minute"),
        (-59, CheckStatus.OK, "within a minute"),
        (90, CheckStatus.WARNING, "90 s ahead of"),
        (-200, CheckStatus.WARNING, "3 minutes behind"),
        (299, CheckStatus.WARNING, "5 minutes ahead of"),
        (301, CheckStatus.PROBLEM, "5 minutes ahead of"),
        (-600, CheckStatus.PROBLEM, "10 minutes behind"),
    ],
)
def test_the_clock(ahead: float, status: CheckStatus, said: str) -> None:
    found = account.check_clock(greeted(ahead + 0.5))
    assert found.status is status
    assert said in found.found


def test_a_server_that_tells_no_time() -> None:
    assert account.check_clock(patient()).status is CheckStatus.WARNING


def test_the_time_comes_with_an_unsigned_request() -> None:
    answer = Answer(403, headers={"Date": formatdate(NOW, usegmt=True)})
    with local_server(lambda _: answer) as server:
        facts = facts_of(server.url, ahead=400)
        assert account.check_endpoint(facts).status is CheckStatus.OK
        assert account.check_clock(facts).status is CheckStatus.PROBLEM
        (request,) = server.requests
    assert "authorization" not in request.headers


def test_the_targets_time_is_known_where_the_clocks_differ() -> None:
    assert greeted(500).now == NOW
    assert greeted(20).now == NOW + 20, "may be how long the answer took"
    assert patient(clock=lambda: NOW).now == NOW


def test_an_endpoint_that_does_not_answer() -> None:
    with pytest.raises(EndpointError, match="does not answer"):
        account.check_endpoint(facts_of("http://127.0.0.1:9"))


def test_a_redirection_is_an_answer() -> None:
    answer = Answer(302, headers={"Location": "http://127.0.0.1:9"})
    with local_server(lambda _: answer) as server:
        assert account.check_endpoint(facts_of(server.url)).status is CheckStatus.OK


def test_whose_credentials_they_are() -> None:
    found = account.check_credentials(patient(identity="arn:me"))
    assert found.data == {"identity": "arn:me"}
    assert account.check_region(patient()).found == "us-east-1"
