"""Somebody to examine: facts that are known without asking anybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from plldb import __version__
from plldb.bootstrap.release import FINGERPRINT_TAG, Release, build_release
from plldb.config import VERSION_TAG
from plldb.debugger.api_client import Health, SessionView
from plldb.doctor.facts import CheckupContext, EndpointAnswer, Facts
from plldb.errors import PlldbError, SessionError
from plldb.stacks import HelperStack, StackState
from tests.unit.fakes import ACCOUNT, FakeEmulator, FakeTarget, client_error

USER = f"arn:aws:iam::{ACCOUNT}:user/team/ada"
API = "rest1"
WEBSOCKET_API = "ws1"


class FakeTargetWith(FakeTarget):
    """A target with further clients."""

    def __init__(self, **clients: Any) -> None:
        super().__init__()
        self._clients = clients

    def client(self, service: str) -> Any:
        return self._clients[service] if service in self._clients else super().client(service)


class FakeApiClient:
    """The management API; ``refusal`` is raised by every call, unless it is about ``own_stack``."""

    def __init__(self, *attached: SessionView, health: Health | None = None) -> None:
        self.attached = attached
        self.is_healthy = health or Health(True, {"sessions": True, "debugger": True}, 0.0)
        self.refusal: PlldbError | None = None
        self.own_stack: str | None = None

    def health(self) -> Health:
        self._check()
        return self.is_healthy

    def list_sessions(self, stack_name: str | None = None) -> Iterator[SessionView]:
        self._check(stack_name)
        return (one for one in self.attached if stack_name in (None, one.stack_name))

    def find_session(self, session_id: str, stack_name: str | None = None) -> SessionView:
        self._check(stack_name)
        raise SessionError("there is no such session")

    def _check(self, stack_name: str | None = None) -> None:
        if self.refusal is not None and (stack_name is None or stack_name != self.own_stack):
            raise self.refusal


class FakeIam:
    """Simulates a policy: actions that it denies, or that depend on its conditions."""

    def __init__(self) -> None:
        self.denies: set[str] = set()
        self.depends: set[str] = set()
        # What is denied of a resource, whatever the action.
        self.closed: set[str] = set()
        self.roles: dict[str, str] = {}
        self.refusal: ClientError | None = None
        self.sources: set[str] = set()

    def get_role(self, *, RoleName: str) -> dict[str, Any]:  # noqa: N803
        if RoleName not in self.roles:
            raise client_error("AccessDenied", "no", "GetRole")
        return {"Role": {"Arn": self.roles[RoleName]}}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "simulate_principal_policy"
        return SimpleNamespace(paginate=self._pages)

    def _pages(
        self,
        PolicySourceArn: str,  # noqa: N803
        ActionNames: list[str],  # noqa: N803
        ResourceArns: list[str],  # noqa: N803
    ) -> Iterator[dict[str, Any]]:
        if self.refusal is not None:
            raise self.refusal
        self.sources.add(PolicySourceArn)
        (resource,) = ResourceArns
        for action in ActionNames:
            is_open = not any(resource.endswith(one) for one in self.closed)
            is_allowed = is_open and not {action} & (self.denies | self.depends)
            yield {
                "EvaluationResults": [
                    {
                        "EvalActionName": action,
                        "EvalResourceName": resource,
                        "EvalDecision": "allowed" if is_allowed else "implicitDeny",
                        "MissingContextValues": ["aws:x"] if action in self.depends else [],
                    }
                ]
            }


def make_helper_stack() -> HelperStack:
    return HelperStack(
        name="plldb",
        status="CREATE_COMPLETE",
        management_api_id=API,
        management_api_url="http://here/plldb",
        websocket_api_id=WEBSOCKET_API,
        websocket_url="ws://here/plldb",
        sessions_table="PLLDBSessions",
        debugger_table="PLLDBDebugger",
        instrumentation_function="plldb-instrument",
    )


def release(parameters: Mapping[str, str] | None = None) -> Release:
    return build_release(
        stack_name="plldb",
        region="us-east-1",
        account_id=ACCOUNT,
        execute_api_base_url="",
        parameters=parameters,
    )


def make_helper_stack_state(
    deployed: Release | None = None, version: str = __version__
) -> StackState:
    deployed = deployed or release()
    return StackState(
        name="plldb",
        stack_id="arn:stack",
        status="CREATE_COMPLETE",
        reason="",
        outputs={},
        tags={VERSION_TAG: version, FINGERPRINT_TAG: deployed.fingerprint},
        parameters=deployed.parameters,
    )


def patient(
    target: Any = None,
    *,
    home: Path = Path("nowhere"),
    stack_name: str | None = None,
    emulator: FakeEmulator | None = None,
    clock: Callable[[], float] = lambda: 1000.0,
    sleep: Callable[[float], None] = lambda seconds: None,
    **known: Any,
) -> Facts:
    """``known`` facts are as given; by default all is well."""
    target = target or FakeTargetWith()
    context = CheckupContext(
        helper_stack="plldb",
        stack_name=stack_name,
        home=home,
        describe_settings=lambda: "no settings",
        make_target=lambda: target,
        make_release=lambda _: release(),
        make_emulator=lambda _: emulator or FakeEmulator("http://127.0.0.1:9"),
        clock=clock,
        sleep=sleep,
    )
    facts = Facts(context)
    well = {
        "identity": USER,
        "helper_stack": make_helper_stack(),
        "helper_stack_state": make_helper_stack_state(),
        "api_client": FakeApiClient(),
        "endpoint_answer": EndpointAnswer("http://there", None, 1000.0),
    }
    vars(facts).update(well | known)
    return facts


def view(session: str, stack_name: str = "app") -> SessionView:
    return SessionView(
        session, stack_name, "ACTIVE", USER, "2026-01-01T00:00:00+00:00", "", (session,)
    )
