"""What checks look at. Each fact is looked up once, when it is first asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from plldb.aws import aws_errors
from plldb.clock_skew import TOLERANCE_SECONDS, clock_difference
from plldb.debugger.api_client import ApiClient, SessionView
from plldb.errors import EndpointError
from plldb.stacks import HelperStack, StackState, find_helper_stack, find_stack

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient

    from plldb.aws import Target
    from plldb.bootstrap.release import Release
    from plldb.emulators.base import Emulator


_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Question:
    """What the doctor is asked to look at, and with what.

    ``describe_settings`` says in words where the settings come from, ``make_target`` decides where
    calls go, ``make_release`` is what ``plldb bootstrap`` would deploy there; each raises
    PlldbError. ``home`` is where the state of a local emulator lies, ``ca_bundle`` a file with the
    certificates that AWS's own tools trust (``AWS_CA_BUNDLE``).
    """

    helper_stack: str
    stack_name: str | None
    home: Path
    describe_settings: Callable[[], str]
    make_target: Callable[[], Target]
    make_release: Callable[[Target], Release]
    make_emulator: Callable[[str], Emulator]
    ca_bundle: str | None = None
    clock: Callable[[], float] = field(default=time.time)


@dataclass(frozen=True)
class Greeting:
    """The first answer of the target: its Date header, and when it came by the local clock."""

    url: str
    date: str | None
    local: float


class Facts:
    """Every fact raises PlldbError if it can't be looked up."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self._to_close = ExitStack()

    def close(self) -> None:
        """Ends the connections of what was opened here; the target is whose who made it."""
        self._to_close.close()

    @cached_property
    def target(self) -> Target:
        return self.question.make_target()

    @cached_property
    def greeting(self) -> Greeting:
        """Unsigned, so that neither credentials nor the clock matter."""
        url = self.target.client("sts").meta.endpoint_url
        before = self.question.clock()
        try:
            answer = requests.get(
                url,
                timeout=_TIMEOUT_SECONDS,
                allow_redirects=False,
                verify=self.question.ca_bundle or True,
            )
        except requests.exceptions.SSLError as error:
            raise EndpointError(
                f"The certificate of {url} is not accepted ({type(error).__name__}).",
                "A clock that is days off does that, and so does a missing CA: AWS_CA_BUNDLE.",
            ) from error
        except requests.RequestException as error:
            raise EndpointError(
                f"{url} does not answer ({type(error).__name__}).",
                "Check that the endpoint is right and up: 'plldb local status' for an emulator, "
                "--region and the network for AWS.",
            ) from error
        local = (before + self.question.clock()) / 2
        return Greeting(url, answer.headers.get("Date"), local)

    @property
    def now(self) -> float:
        """The target's time, in seconds since the epoch."""
        difference = clock_difference(self.greeting.date, self.greeting.local)
        # Less may be how long the answer was under way.
        is_off = abs(difference) > TOLERANCE_SECONDS
        return self.question.clock() + (difference if is_off else 0)

    @cached_property
    def identity(self) -> str:
        """The caller's ARN."""
        sts: STSClient = self.target.client("sts")
        with aws_errors("find out whose credentials these are"):
            return str(sts.get_caller_identity()["Arn"])

    @cached_property
    def helper_state(self) -> StackState | None:
        return find_stack(self.target, self.question.helper_stack)

    @cached_property
    def helper(self) -> HelperStack:
        return find_helper_stack(self.target, self.question.helper_stack)

    @cached_property
    def release(self) -> Release:
        return self.question.make_release(self.target)

    @cached_property
    def management(self) -> ApiClient:
        return self._to_close.enter_context(ApiClient.of_helper_stack(self.helper, self.target))

    @cached_property
    def attached(self) -> list[SessionView]:
        """The attached sessions of every stack."""
        return list(self.management.list_sessions())
