"""What checks look at. Each fact is looked up once, when it is first asked for."""

from __future__ import annotations

import logging
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
from plldb.debugger.session_trial import SessionTrial, try_session
from plldb.debugger.timing import Timing
from plldb.errors import AccessDeniedError, EndpointError
from plldb.network_refusals import find_refusal
from plldb.stacks import HelperStack, StackState, find_helper_stack, find_stack

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient

    from plldb.aws import Target
    from plldb.bootstrap.release import Release
    from plldb.emulators.base import Emulator

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class CheckupContext:
    """What the doctor is asked to look at, and how to get at it.

    ``helper_stack`` is the helper stack's name, ``stack_name`` that of the stack to debug, if one
    was named. ``describe_settings`` says in words where the settings come from, ``make_target``
    decides where calls go, ``make_release`` makes what ``plldb bootstrap`` would deploy there; each
    of these raises PlldbError. ``home`` is where the state of a local emulator lies.
    ``cloudformation_role`` is the ARN of the role as which CloudFormation deploys, if there is one.
    """

    helper_stack: str
    stack_name: str | None
    home: Path
    describe_settings: Callable[[], str]
    make_target: Callable[[], Target]
    make_release: Callable[[Target], Release]
    make_emulator: Callable[[str], Emulator]
    clock: Callable[[], float] = field(default=time.time)
    sleep: Callable[[float], None] = field(default=time.sleep)
    cloudformation_role: str | None = None


@dataclass(frozen=True)
class EndpointAnswer:
    """The first answer of the target: its Date header, and when it came by the local clock.

    ``local`` is in seconds since the epoch.
    """

    url: str
    date: str | None
    local: float


class Facts:
    """Everything that checks look at. A fact that can't be looked up raises PlldbError."""

    def __init__(self, context: CheckupContext) -> None:
        self.context = context
        self._to_close = ExitStack()

    def close(self) -> None:
        """Ends the connections of what was opened here; the target is whose who made it."""
        self._to_close.close()

    @cached_property
    def target(self) -> Target:
        return self.context.make_target()

    @cached_property
    def endpoint_answer(self) -> EndpointAnswer:
        """The answer to an unsigned request, so that neither credentials nor the clock matter."""
        url = self.target.client("sts").meta.endpoint_url
        before = self.context.clock()
        try:
            answer = requests.get(
                url,
                timeout=_TIMEOUT_SECONDS,
                allow_redirects=False,
                verify=str(self.target.ca_bundle or "") or True,
            )
        except requests.RequestException as error:
            if refusal := find_refusal(url, error):
                raise refusal from error
            raise EndpointError(
                f"{url} does not answer ({type(error).__name__}).",
                "Check that the endpoint is right and up: 'plldb local status' for an emulator, "
                "--region and the network for AWS.",
            ) from error
        logger.debug("%s answered %d", url, answer.status_code)
        local = (before + self.context.clock()) / 2
        return EndpointAnswer(url, answer.headers.get("Date"), local)

    @property
    def now(self) -> float:
        """The target's time, in seconds since the epoch."""
        difference = clock_difference(self.endpoint_answer.date, self.endpoint_answer.local)
        # A smaller difference may be how long the answer was under way.
        is_off = abs(difference) > TOLERANCE_SECONDS
        return self.context.clock() + (difference if is_off else 0)

    @cached_property
    def identity(self) -> str:
        """The caller's ARN."""
        sts: STSClient = self.target.client("sts")
        with aws_errors("find out whose credentials these are"):
            return str(sts.get_caller_identity()["Arn"])

    @cached_property
    def helper_stack_state(self) -> StackState | None:
        return find_stack(self.target, self.context.helper_stack)

    @cached_property
    def helper_stack(self) -> HelperStack:
        return find_helper_stack(self.target, self.context.helper_stack)

    @cached_property
    def release(self) -> Release:
        return self.context.make_release(self.target)

    @cached_property
    def api_client(self) -> ApiClient:
        return self._to_close.enter_context(
            ApiClient.of_helper_stack(self.helper_stack, self.target)
        )

    @cached_property
    def session_trial(self) -> SessionTrial:
        """What a session of the named stack did, or else of one that there is not."""
        url, bundle = self.helper_stack.websocket_url, self.target.ca_bundle
        return try_session(self.api_client, url, self.context.stack_name, Timing(), bundle)

    @cached_property
    def attached_sessions(self) -> list[SessionView]:
        """The attached sessions of every stack; of the named one, for who may list no others."""
        stack_name = self.context.stack_name
        try:
            return list(self.api_client.list_sessions())
        except AccessDeniedError:
            if stack_name is None:
                raise
        of_stack = self.api_client.list_sessions(stack_name)
        return [view for view in of_stack if view.status == "ACTIVE"]
