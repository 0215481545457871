"""A helper stack as companies want it: bounded roles under a path, tags, some functions only, and
developers who may debug one stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import requests

from plldb.aws import Target
from plldb.bootstrap.release import make_bucket_name
from plldb.doctor.requirements import PURPOSES
from plldb.stacks import find_helper_stack, find_stack

from .calls import Call
from .project import Project, attach, deployed_project, detach
from .role_probe import probing
from .support import Backend, Plldb, allowed, random_name, signed_in, user

pytestmark = pytest.mark.needs("iam")

SETTINGS = """
[tags]
CostCenter = 1234
"team" = "payments"

[environments.development]
helper-stack = "{stack}"
region = "{region}"

[environments.development.parameters]
RolePath = "/{stack}/"
DebuggableFunctions = "*-Alpha-*"
"""


@pytest.fixture(scope="module")
def helper_stack() -> str:
    return random_name("company")


@pytest.fixture(scope="module")
def company(
    plldb: Plldb, target: Target, helper_stack: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plldb]:
    folder = tmp_path_factory.mktemp("company")
    text = SETTINGS.format(stack=helper_stack, region=target.region)
    (folder / "plldb.toml").write_text(text, encoding="utf-8")
    # The suite's own helper stack is none of the settings here.
    plldb = plldb.within(folder).with_environment(PLLDB_HELPER_STACK="")
    try:
        plldb("bootstrap").succeeded()
        yield plldb
    finally:
        plldb("bootstrap", "destroy", "--yes").succeeded()
        assert find_stack(target, helper_stack) is None


@pytest.fixture
def project(target: Target, tmp_path: Path) -> Iterator[Project]:
    with deployed_project(target, tmp_path / "project", ["Alpha", "Beta"]) as project:
        yield project


def test_its_tags_are_on_the_stack_and_the_bucket(
    company: Plldb, target: Target, helper_stack: str
) -> None:
    wanted = {"CostCenter": "1234", "team": "payments"}
    stack = find_stack(target, helper_stack)
    assert stack is not None
    assert wanted.items() <= stack.tags.items()
    bucket = stack.parameters["ArtifactsBucket"]
    found = target.client("s3").get_bucket_tagging(Bucket=bucket)["TagSet"]
    assert wanted.items() <= {tag["Key"]: tag["Value"] for tag in found}.items()
    assert company("bootstrap", "--output", "json").succeeded().json["changed"] is False


def test_its_roles_lie_under_their_path(company: Plldb, target: Target, helper_stack: str) -> None:
    pages = target.client("iam").get_paginator("list_roles").paginate()
    roles = [role for page in pages for role in page["Roles"]]
    ours = [role["Arn"] for role in roles if role["RoleName"].startswith(f"{helper_stack}-")]
    assert len(ours) == 3
    assert all(f":role/{helper_stack}/{helper_stack}-" in arn for arn in ours)


def test_whoever_may_use_one_stacks_path_debugs_what_the_helper_stack_is_limited_to(
    company: Plldb, target: Target, helper_stack: str, project: Project
) -> None:
    before = project.configurations()
    api = find_helper_stack(target, helper_stack).management_api_id
    stage = f"arn:{target.partition}:execute-api:*:*:{api}/plldb"
    path = f"{stage}/*/stacks/{project.stack_name}/sessions"
    rights = (
        allowed("execute-api:Invoke", on=path),
        allowed("execute-api:Invoke", on=f"{path}/*"),
        allowed("cloudformation:DescribeStacks", "cloudformation:ListStackResources"),
        allowed("cloudformation:GetTemplate"),
    )
    with user(target, *rights) as (_, keys):
        developer = signed_in(company, keys)
        with attach(developer, project) as attached:
            skipped = attached.wait_for("skipped")
            assert skipped["function"] == "Beta"
            assert "limited" in skipped["reason"]
            attached.wait_for("ready")
            assert project.invoke("Alpha").json["ran"] == "here"
            listed = developer("sessions", "list", "--stack-name", project.stack_name)
            assert project.stack_name in listed.succeeded().stdout
            of_all = developer("sessions", "close", "1a2b3c4d").failed()
            assert "--stack-name" in of_all.stderr
            detach(attached)
        project.wait_until_restored(before)

        refused = Backend(target, find_helper_stack(target, helper_stack))
        for method, other in [("POST", "/sessions"), ("POST", "/stacks/other/sessions")]:
            url = refused.helper.management_api_url + other
            answer = requests.request(
                method, url, json={"stackName": "other"}, auth=refused.signed_by(keys), timeout=30
            )
            assert answer.status_code == 403


def test_its_role_may_change_no_other_function(
    company: Plldb, target: Target, helper_stack: str, project: Project
) -> None:
    """Whatever the function of the helper stack is made to ask for."""
    iam = target.client("iam")
    pages = iam.get_paginator("list_roles").paginate()
    (arn,) = (
        role["Arn"]
        for page in pages
        for role in page["Roles"]
        if role["RoleName"].startswith(f"{helper_stack}-PLLDBManagerRole")
    )
    # Nothing is changed by that.
    calls = [
        Call("lambda", "update_function_configuration", "", "", {"FunctionName": project.name(one)})
        for one in ("Alpha", "Beta")
    ]
    with probing(target, arn) as probe:
        outcomes = probe([asdict(call) for call in calls])
    assert outcomes == ["allowed", "AccessDeniedException"]


@pytest.mark.needs("local")
def test_the_documented_rights_and_no_others_are_enough(
    plldb: Plldb, target: Target, project: Project, tmp_path: Path
) -> None:
    """From bootstrap to destroy, by a user who has what docs/ lists and nothing else."""
    helper = random_name("documented")
    names = {
        "partition": target.partition,
        "region": target.region,
        "account": target.account_id,
        "helper": helper,
        "stack": project.stack_name,
        "bucket": make_bucket_name(target.region, target.account_id),
        "sessions_table": f"PLLDBSessions-{helper}",
        "debugger_table": f"PLLDBDebugger-{helper}",
        "role_path": "/",
        # Nobody knows these before.
        "management_api": "*",
        "instrumentation_function": f"{helper}-*",
        "identity": "*",
    }
    by_resource: dict[str, set[str]] = {}
    for purpose in PURPOSES:
        for permission in purpose.permissions:
            resource = permission.resource.format_map(names)
            by_resource.setdefault(resource, set()).add(permission.action)
    rights = [allowed(*sorted(actions), on=resource) for resource, actions in by_resource.items()]
    before = project.configurations()
    with user(target, *rights) as (_, keys):
        developer = signed_in(plldb, keys).within(tmp_path)
        developer = developer.with_environment(PLLDB_HELPER_STACK=helper)
        try:
            developer("bootstrap").succeeded()
            with attach(developer, project) as attached:
                attached.wait_for("ready")
                assert project.invoke("Alpha").json["ran"] == "here"
                detach(attached)
            developer("restore", "--stack-name", project.stack_name).succeeded()
            project.wait_until_restored(before)
            developer("bootstrap", "destroy", "--yes").succeeded()
            assert find_stack(target, helper) is None
        finally:
            plldb.with_environment(PLLDB_HELPER_STACK=helper)("bootstrap", "destroy", "--yes")
