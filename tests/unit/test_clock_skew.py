"""What a refusal teaches about the local clock, and that boto3's calls go by it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from plldb.aws import Target
from plldb.clock_skew import ClockSkew, clock_difference
from plldb.config import EmulatorAddress, TargetSettings
from plldb.errors import PlldbError
from plldb.stacks import find_stack
from tests.unit.fakes import Answer, LocalServer, Request, local_server

NOW = 1_790_000_000
DATE = formatdate(NOW, usegmt=True)
NO_STACKS = (
    "<DescribeStacksResponse><DescribeStacksResult><Stacks/></DescribeStacksResult>"
    "</DescribeStacksResponse>"
)
REFUSED = "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>"


@contextmanager
def emulator(
    respond: Callable[[Request], Answer], off: float = 0
) -> Iterator[tuple[LocalServer, Target]]:
    """What answers so, and a target for it, while the local clock is off by so many seconds."""
    with local_server(respond) as server, time_machine.travel(NOW + off, tick=False):
        address = EmulatorAddress(server.url, server.url)
        with Target(TargetSettings("emulator", "us-east-1", emulator=address)) as target:
            yield server, target


class TestClockSkew:
    @pytest.mark.parametrize("off", [-86_400, -61, 61, 600])
    def test_a_refusal_with_another_time_teaches_it(self, off: int) -> None:
        clock = ClockSkew(lambda: float(NOW + off))
        assert clock.learn(DATE)
        assert clock.now() == datetime.fromtimestamp(NOW, UTC)
        assert not clock.learn(DATE), "it was signed with that time already"

    @pytest.mark.parametrize("off", [-60, 0, 60])
    def test_one_with_much_the_same_has_another_reason(self, off: int) -> None:
        clock = ClockSkew(lambda: float(NOW + off))
        assert not clock.learn(DATE)
        assert clock.seconds == 0

    def test_a_clock_that_was_set_right_meanwhile_is_learnt_as_well(self) -> None:
        local = [NOW + 600.0]
        clock = ClockSkew(lambda: local[0])
        clock.learn(DATE)
        local[0] = float(NOW)
        assert clock.learn(DATE)
        assert clock.seconds == 0

    @given(st.none() | st.text())
    def test_what_is_no_date_teaches_nothing(self, text: str | None) -> None:
        assert clock_difference(text, 0.0) == 0 or text
        if not text:
            assert not ClockSkew().learn(text)


class TestBoto3:
    def find(self, off: float, service_signs: list[str]) -> None:
        def respond(request: Request) -> Answer:
            signed = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
            service_signs.append(request.credential_scope[1])
            if abs(signed.replace(tzinfo=UTC).timestamp() - NOW) > 300:
                return Answer(403, REFUSED, {"Date": DATE})
            return Answer(200, NO_STACKS, {"Date": DATE})

        with emulator(respond, off) as (_, target):
            assert find_stack(target, "app") is None

    @pytest.mark.parametrize("off", [-86_400, -600, 600, 86_400])
    def test_a_call_is_signed_again_with_the_right_time(self, off: int) -> None:
        scopes: list[str] = []
        self.find(off, scopes)
        assert len(scopes) == 2
        assert scopes[-1] == datetime.fromtimestamp(NOW, UTC).strftime("%Y%m%d")

    def test_one_that_is_nearly_right_is_made_once(self) -> None:
        scopes: list[str] = []
        self.find(200, scopes)
        assert len(scopes) == 1

    def test_the_payload_and_all_else_is_signed_as_before(self) -> None:
        """S3 has rules of its own: the body's hash is signed as well."""
        bodies: list[tuple[str, str]] = []

        def respond(request: Request) -> Answer:
            bodies.append((request.body, request.headers["x-amz-content-sha256"]))
            is_first = len(bodies) == 1
            body = "<Error><Code>RequestTimeTooSkewed</Code></Error>" if is_first else ""
            return Answer(403 if is_first else 200, body, {"Date": DATE})

        with emulator(respond, 3600) as (_, target):
            target.client("s3").put_object(Bucket="b", Key="k", Body=b"hello")
        assert bodies[0] == bodies[1]

    def test_other_refusals_are_as_ever(self) -> None:
        def respond(_: Request) -> Answer:
            return Answer(403, REFUSED, {"Date": DATE})

        with emulator(respond) as (server, target), pytest.raises(PlldbError):
            find_stack(target, "app")
        assert len(server.requests) == 1

    def test_a_time_that_leaps_is_not_followed_for_ever(self) -> None:
        """As where a proxy refuses, with a Date of its own making."""
        dates = (formatdate(NOW + day * 86_400, usegmt=True) for day in itertools.count(1))

        def respond(_: Request) -> Answer:
            return Answer(403, REFUSED, {"Date": next(dates)})

        with emulator(respond) as (server, target), pytest.raises(PlldbError):
            find_stack(target, "app")
        assert len(server.requests) == 3
