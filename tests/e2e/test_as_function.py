"""``--as-function``: the code here has its function's role, and nobody keeps its credentials."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from plldb.aws import Target
from plldb.config import EmulatorAddress

from .project import Project, attach, deployed_project, detach
from .proxy import proxy_to
from .support import (
    Backend,
    Plldb,
    allowed,
    function_logs,
    poll,
    random_name,
    signed_in,
    table,
    user,
)
from .test_secrets import kept_logs

# Clients are made with the module, as most are, and kept. What is secret goes into a file beside
# it, for it must not go anywhere else.
HANDLER = """
import json, os, pathlib, time
import boto3
from botocore.exceptions import ClientError

session = boto3.Session()
dynamodb, sts = session.client("dynamodb"), session.client("sts")

def attempt(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "ok"

def handler(event, context):
    keys = session.get_credentials().get_frozen_credentials()
    kept = pathlib.Path(__file__).with_name("secrets.txt")
    with kept.open("a") as file:
        file.write(f"{keys.secret_key}\\n{keys.token}\\n")
    if event.get("meet"):
        here, there = (pathlib.Path(event["meet"], name) for name in event["names"])
        here.touch()
        while not there.exists():
            time.sleep(0.01)
    answer = {"caller": sts.get_caller_identity()["Arn"], "pid": os.getpid()}
    if table := event.get("table"):
        key = {"Id": {"S": "1"}}
        answer["put"] = attempt(dynamodb.put_item, TableName=table, Item=key)
        answer["get"] = attempt(dynamodb.get_item, TableName=table, Key=key)
    return answer | {"size": len(event.get("padding", ""))}
"""
# Of the function as it is deployed.
DEPLOYED = """
import boto3

def handler(event, context):
    return {"ran": "deployed", "caller": boto3.client("sts").get_caller_identity()["Arn"]}
"""


@pytest.fixture
def project(backend: Backend, target: Target, tmp_path: Path) -> Iterator[Project]:
    with deployed_project(target, tmp_path / "project", ["Alpha", "Beta"]) as project:
        for name in project.functions:
            project.deploy(name, DEPLOYED)
            project.write(name, HANDLER)
        yield project


@contextmanager
def permitted(project: Project, *actions: str) -> Iterator[None]:
    """The functions' role may do this meanwhile."""
    iam = project.target.client("iam")
    role = project.configuration("Alpha")["Role"].rpartition("/")[2]
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed(*actions)]})
    iam.put_role_policy(RoleName=role, PolicyName="of-the-test", PolicyDocument=policy)
    try:
        yield
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="of-the-test")


@pytest.mark.needs("iam", "local")
def test_the_code_has_the_rights_of_the_role_and_none_of_the_developers(
    plldb: Plldb, project: Project, target: Target
) -> None:
    attaching = allowed("cloudformation:*", "execute-api:*", "dynamodb:GetItem")
    with (
        permitted(project, "dynamodb:PutItem"),
        user(target, attaching) as (me, keys),
        table(target) as name,
    ):
        mine = signed_in(plldb, keys)
        with attach(mine, project) as attached:
            attached.wait_for("ready")
            answer = project.invoke("Alpha", {"table": name}).json
            detach(attached)
        assert answer["caller"] == me
        assert (answer["put"], answer["get"]) == ("AccessDeniedException", "ok")

        with attach(mine, project, "--as-function") as attached:
            attached.wait_for("ready")
            answer = project.invoke("Alpha", {"table": name}).json
            detach(attached)
        assert answer["caller"] != me
        assert (answer["put"], answer["get"]) == ("ok", "AccessDeniedException")


@pytest.mark.needs("local")
def test_it_is_whom_the_deployed_function_is_for_each_function_and_invocation(
    plldb: Plldb, project: Project, tmp_path: Path
) -> None:
    """Also of two at once, of large events, after the connection was lost; and it is over then."""
    deployed = {name: project.invoke(name).json["caller"] for name in project.functions}
    before = project.configurations()
    with attach(plldb, project, "--as-function") as attached, ThreadPoolExecutor() as pool:
        attached.wait_for("ready")
        meeting = {
            name: {"meet": str(tmp_path), "names": names}
            for name, names in zip(project.functions, (["a", "b"], ["b", "a"]), strict=True)
        }
        both = {name: pool.submit(project.invoke, name, meeting[name]) for name in meeting}
        assert {name: one.result().json["caller"] for name, one in both.items()} == deployed

        answers = [project.invoke("Alpha", {"padding": "x" * n}).json for n in (0, 27_000, 500_000)]
        assert {one["caller"] for one in answers} == {deployed["Alpha"]}
        assert [one["size"] for one in answers] == [0, 27_000, 500_000]
        assert len({one["pid"] for one in answers}) == 1, "a client of the module is kept"
        detach(attached)
    project.wait_until_restored(before)
    assert project.invoke("Alpha").json["ran"] == "deployed"


@pytest.mark.needs("local")
def test_a_connection_that_is_lost_meanwhile_changes_nothing(
    plldb: Plldb, project: Project, address: EmulatorAddress
) -> None:
    deployed = project.invoke("Alpha").json["caller"]
    with proxy_to(address.endpoint_url) as network:
        remote = plldb.with_environment(
            PLLDB_ENDPOINT_URL=network.url, PLLDB_INSIDE_ENDPOINT_URL=address.inside_url
        )
        with attach(remote, project, "--as-function") as attached, ThreadPoolExecutor() as pool:
            attached.wait_for("ready")
            for number in range(2):
                folder = project.folder / str(number)
                folder.mkdir()
                event = {"meet": str(folder), "names": ["here", "there"]}
                running = pool.submit(project.invoke, "Alpha", event)
                poll((folder / "here").exists, "it runs")
                network.cut()
                attached.wait_for("resumed")
                (folder / "there").touch()
                assert running.result().json["caller"] == deployed
            assert project.invoke("Alpha", {}).json["caller"] == deployed
            detach(attached)


@pytest.mark.needs("local")
def test_nobody_keeps_the_credentials(
    plldb: Plldb, project: Project, backend: Backend, request: pytest.FixtureRequest
) -> None:
    """Not the tables, the buckets, any log, nor anything that plldb shows."""
    began = time.time()
    with attach(plldb, project, "--as-function", "-vv") as attached:
        attached.wait_for("ready")
        project.invoke("Alpha", {})
        project.invoke("Alpha", {"padding": "x" * 100_000})
        assert project.invoke("Alpha", {"meet": 1}).error is not None
        tables = [kept_items(backend.target, name) for name in tables_of(backend)]
        detach(attached)
    written = (project.folder / "Alpha" / "secrets.txt").read_text().split()
    secrets = {one for one in written if len(one) > len("test")}
    assert secrets, "the function had credentials of its own"
    for place, text in {
        "the tables": " ".join(tables),
        "the buckets": kept_objects(backend.target),
        "the functions' logs": function_logs(backend, began),
        "the emulator's log": request.getfixturevalue("emulator_log"),
        "the command line": "\n".join([*plldb.said, json.dumps(attached.seen)]),
        "the logs that plldb attach keeps": kept_logs(plldb),
        "the functions": json.dumps(project.configurations()),
    }.items():
        assert text, place
        assert [one for one in secrets if one in text] == [], place


def tables_of(backend: Backend) -> tuple[str, str]:
    return backend.helper.sessions_table, backend.helper.debugger_table


def kept_items(target: Target, table: str) -> str:
    pages = target.client("dynamodb").get_paginator("scan").paginate(TableName=table)
    return json.dumps([item for page in pages for item in page["Items"]])


def kept_objects(target: Target) -> str:
    """What lies in all buckets, one after the other; zips stay what they are."""
    s3, texts = target.client("s3"), []
    for bucket in s3.list_buckets()["Buckets"]:
        for found in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
            content = s3.get_object(Bucket=bucket["Name"], Key=found["Key"])["Body"].read()
            texts.append(content.decode(errors="replace"))
    return "\n".join(texts)


@pytest.mark.needs("local", "updates")
def test_a_helper_stack_forbids_it(plldb: Plldb, project: Project, tmp_path: Path) -> None:
    name = random_name("forbidding")
    bootstrap = ("bootstrap", "--stack-name", name, "--parameter")
    other = plldb.with_environment(PLLDB_HELPER_STACK=name)
    options = ("attach", "--stack-name", project.stack_name, "--template", project.template)
    before = project.configurations()
    try:
        plldb(*bootstrap, "FunctionCredentials=denied", timeout=600).succeeded()
        refused = other(*options, "--as-function").failed()
        assert "FunctionCredentials is 'denied'" in refused.stderr
        assert len(refused.stderr.splitlines()) == 2, "one line, and a hint"
        assert project.configurations() == before

        # As plldb.toml says it, unless the command line does.
        (tmp_path / "plldb.toml").write_text(f"[stacks.{project.stack_name}]\nas-function = true\n")
        configured = other.within(tmp_path)
        assert configured(*options).failed().stderr == refused.stderr
        with attach(configured, project, "--no-as-function") as attached:
            attached.wait_for("ready")
            detach(attached)

        # Whoever has attached before that gets nothing from then on: the functions run themselves.
        plldb(*bootstrap, "FunctionCredentials=allowed", timeout=600).succeeded()
        with attach(other, project, "--as-function") as attached:
            attached.wait_for("ready")
            assert "pid" in project.invoke("Alpha", {}).json
            plldb(*bootstrap, "FunctionCredentials=denied", timeout=600).succeeded()
            # An environment of before may still be there.
            poll(
                lambda: project.invoke("Alpha", {}).json.get("ran") == "deployed",
                "an invocation that the function runs itself",
            )
            declined = attached.wait_for("invocation")
            while declined["outcome"] != "abandoned":
                declined = attached.wait_for("invocation")
            assert "without the credentials" in declined["reason"]
            detach(attached)
        project.wait_until_restored(before)
    finally:
        plldb("bootstrap", "destroy", "--yes", "--stack-name", name, timeout=600)


def test_production_forbids_it(plldb: Plldb) -> None:
    settings = plldb("config", "--environment", "production").succeeded()
    (line,) = [one for one in settings.stdout.splitlines() if "FunctionCredentials" in one]
    assert "denied" in line
