"""Each role may do what its policies in template.yaml list, and is refused everything else.

Roles and policies are read from the template, and decided on by the engine's own IAM: a role that
is added there is tried here. An action that is added needs a call in calls.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import pytest

from plldb.aws import Target

from .calls import CALLS, Call, filled_in
from .conftest import engine
from .policies import ROLES, TEMPLATE, DeployedTemplate
from .role_probe import probing
from .support import Backend, table

pytestmark = pytest.mark.needs("iam")

_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "ForbiddenException",
    "UnauthorizedOperation",
}


@pytest.fixture(scope="module")
def template(backend: Backend) -> DeployedTemplate:
    return DeployedTemplate(backend.target, backend.helper.name)


@pytest.fixture(scope="module")
def others_table(target: Target) -> Iterator[str]:
    """A table that is none of plldb's."""
    with table(target) as name:
        yield name


@pytest.fixture(scope="module")
def names(backend: Backend, template: DeployedTemplate, others_table: str) -> dict[str, str]:
    """What calls.py names."""
    target, helper = backend.target, backend.helper
    partition, region, account = target.partition, target.region, target.account_id
    bucket = template.ref("ArtifactsBucket")
    regional = {
        name: f"arn:{partition}:{service}:{region}:{account}"
        for name, service in {
            "cloudformation": "cloudformation",
            "dynamodb": "dynamodb",
            "execute_api": "execute-api",
            "lambda": "lambda",
            "logs": "logs",
            "sns": "sns",
            "sqs": "sqs",
        }.items()
    }
    websocket = helper.websocket_url.replace("ws", "http", 1)
    return regional | {
        "account": account,
        "artifact": template.ref("FunctionsCodeKey"),
        "bucket": bucket,
        "debugger": helper.debugger_table,
        "endpoint": target.client("sqs").meta.endpoint_url,
        "instrumentation": helper.instrumentation_function,
        "log_group": template.ref("FunctionsLogGroup"),
        "management": template.ref("ManagementFunction"),
        "management_api": helper.management_api_id,
        "management_url": helper.management_api_url,
        "other_websocket": websocket.replace(helper.websocket_api_id, "a1b2c3d4"),
        "others_table": others_table,
        "partition": partition,
        "payloads": template.ref("PayloadsPrefix"),
        "reaper": template.ref("ReaperFunction"),
        "region": region,
        "sessions": helper.sessions_table,
        "stack": helper.name,
        "websocket": websocket,
        "websocket_api": helper.websocket_api_id,
    }


def other_role(role: str) -> str:
    """One that this role must not become."""
    return ROLES[(ROLES.index(role) + 1) % len(ROLES)]


@pytest.fixture(scope="module")
def concrete(names: dict[str, str], template: DeployedTemplate) -> dict[str, list[Call]]:
    """Role → the calls of the catalogue, with real names in them."""
    return {
        role: [
            Call(**filled_in(asdict(call), names | {"other_role": template.arn(other_role(role))}))
            for call in CALLS
        ]
        for role in ROLES
    }


@pytest.fixture(scope="module")
def outcomes(
    backend: Backend, template: DeployedTemplate, concrete: dict[str, list[Call]]
) -> dict[str, dict[str, str]]:
    """Role → call of the catalogue → what came of it."""
    found = {}
    for role, calls in concrete.items():
        with probing(backend.target, template.arn(role)) as probe:
            answers = probe([asdict(call) for call in calls])
        found[role] = dict(zip(map(str, CALLS), answers, strict=True))
    names_own = concrete[ROLES[0]]
    for call in names_own:
        if call.operation == "put_object":
            backend.target.client("s3").delete_object(
                Bucket=call.parameters["Bucket"], Key=call.parameters["Key"]
            )
    return found


def test_the_catalogue_is_wide() -> None:
    assert len({str(call) for call in CALLS}) == len(CALLS) >= 60
    assert len({call.service for call in CALLS}) >= 15


@pytest.mark.parametrize("role", ROLES)
def test_the_catalogue_tries_all_that_is_allowed(
    template: DeployedTemplate, concrete: dict[str, list[Call]], role: str
) -> None:
    """Each line of the role's policies: what was not tried is not known to be needed or to work."""
    for grant in template.grants(role):
        calls = concrete[role]
        assert any(grant.covers(call.action, call.resource) for call in calls), (
            f"add a call to calls.py for {grant}"
        )


@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_it_lists_and_nothing_else(
    template: DeployedTemplate,
    concrete: dict[str, list[Call]],
    outcomes: dict[str, dict[str, str]],
    role: str,
    call: Call,
) -> None:
    real = concrete[role][CALLS.index(call)]
    is_listed = any(grant.covers(real.action, real.resource) for grant in template.grants(role))
    outcome = outcomes[role][str(call)]
    if is_listed and outcome in _DENIED and call.mistaken and engine().name == "ministack":
        pytest.xfail(f"the engine asks about another right: {call.mistaken}")
    assert (outcome not in _DENIED) == is_listed, outcome


def test_of_the_helper_stack_itself_there_is_no_session(backend: Backend) -> None:
    """Whoever debugged its functions would act with their rights."""
    response = backend.post_sessions({"stackName": backend.helper.name})
    assert response.status_code == 400
    assert "own helper stack" in response.json()["message"]


def test_nobody_debugs_the_helper_stack_whatever_its_functions_are_asked_for(
    backend: Backend, template: DeployedTemplate
) -> None:
    """Denied by a policy of its own: what the role may do to functions names none of them."""
    own = [
        template.ref(name)
        for name, resource in TEMPLATE["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Function"
    ]
    # The last two are nobody's, and the role may try.
    tried = [*own, f"{backend.helper.name}-no-such-function", "no-such-function"]
    calls = [
        Call("lambda", "update_function_configuration", "", "", {"FunctionName": name})
        for name in tried
    ]
    with probing(backend.target, template.arn("PLLDBManagerRole")) as probe:
        outcomes = probe([asdict(call) for call in calls])
    denied = {name for name, outcome in zip(tried, outcomes, strict=True) if outcome in _DENIED}
    assert denied == set(own)


def test_a_version_may_be_deleted_and_never_a_function(
    backend: Backend, template: DeployedTemplate
) -> None:
    tried = {
        "no-such-function": True,
        "no-such-function:$LATEST": True,
        "no-such-function:7": False,
    }
    calls = [Call("lambda", "delete_function", "", "", {"FunctionName": name}) for name in tried]
    with probing(backend.target, template.arn("PLLDBManagerRole")) as probe:
        outcomes = probe([asdict(call) for call in calls])
    denied = {name: one in _DENIED for name, one in zip(tried, outcomes, strict=True)}
    assert denied == tried
