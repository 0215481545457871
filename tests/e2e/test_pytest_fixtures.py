"""The pytest plugin in a project of its own: an emulator, a stack, local code that is measured."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .support import REFUSED_NAME, REFUSED_RESOURCE, Plldb, clean_environment, without_outer_pytest

# It has an emulator of its own, whatever the others of this suite run against.
_TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Mappings: {Code: {us-east-1: {Teller: src}}}
Resources:
  Queue: {Type: AWS::SQS::Queue, Properties: {VisibilityTimeout: 60}}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      StreamSpecification: {StreamViewType: NEW_IMAGE}
  Taker:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src
      Handler: taker.handler
      Runtime: python3.13
      Timeout: 30
      Environment: {Variables: {QUEUE: !Ref Queue}}
      Policies: [{SQSSendMessagePolicy: {QueueName: !GetAtt Queue.QueueName}}]
      Events: {Post: {Type: Api, Properties: {Path: /orders, Method: post}}}
  Keeper:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src
      Handler: keeper.handler
      Runtime: python3.13
      Timeout: 30
      Environment: {Variables: {TABLE: !Ref Table}}
      Policies: [{DynamoDBCrudPolicy: {TableName: !Ref Table}}]
      Events: {Orders: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn, BatchSize: 1}}}
  Teller:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: !FindInMap [Code, !Ref AWS::Region, Teller]
      Handler: teller.handler
      Runtime: python3.13
      Timeout: 30
      Events:
        Kept:
          Type: DynamoDB
          Properties: {Stream: !GetAtt Table.StreamArn, StartingPosition: TRIM_HORIZON}
Outputs:
  Url: {Value: !Sub "https://${ServerlessRestApi}.execute-api.${AWS::Region}.amazonaws.com/Prod"}
"""
_CODE = {
    "taker": """
import json
import os

import boto3


def handler(event, context):
    order = json.loads(event["body"])
    if "id" not in order:
        return {"statusCode": 400, "body": "no id"}
    boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody=event["body"])
    print("taken", order["id"])
    return {"statusCode": 202, "body": json.dumps([os.environ.get("BY"), os.environ.get("PLACE")])}
""",
    "keeper": """
import json
import os

import boto3


def handler(event, context):
    table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
    for record in event["Records"]:
        order = json.loads(record["body"])
        table.put_item(Item={"id": order["id"]})
""",
    "teller": """
def handler(event, context):
    return [record["dynamodb"]["NewImage"]["id"]["S"] for record in event["Records"]]
""",
}
_TESTS = """
import json
import os
import uuid

import pytest
import requests

from plldb.errors import FunctionFailedError


@pytest.fixture(scope="session")
def shop(plldb_stack, plldb_emulator):
    stack = plldb_stack("template.yaml")
    with open("places.txt", "a") as file:
        print(plldb_emulator.endpoint_url, stack.name, file=file)
    return stack


@pytest.fixture
def attached(plldb_attached, shop):
    return plldb_attached(shop, env={"BY": "here"})


@pytest.fixture
def order():
    return {"id": uuid.uuid4().hex}


def test_an_order_goes_all_the_way(shop, attached, order):
    answer = requests.post(shop.outputs["Url"] + "/orders", json=order, timeout=60)
    assert (answer.status_code, answer.json()) == (202, ["here", "plldb.toml"])
    taken = attached.wait_for_invocation("Taker", seconds=60)
    assert taken.output == ("taken " + order["id"],)
    kept = attached.wait_for_invocation(
        "Keeper", where=lambda one: order["id"] in one.event["Records"][0]["body"], seconds=60
    )
    assert kept.outcome == "succeeded", kept
    attached.wait_for_invocation("Teller", where=lambda one: order["id"] in one.answer, seconds=60)
    table = shop.client("dynamodb")
    found = table.get_item(TableName=shop.resources["Table"], Key={"id": {"S": order["id"]}})
    assert "Item" in found


def test_a_message_is_taken_from_the_queue(shop, attached, order):
    queue = shop.resources["Queue"]
    shop.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(order))
    kept = attached.wait_for_invocation(
        "Keeper", where=lambda one: order["id"] in one.event["Records"][0]["body"], seconds=60
    )
    assert kept.outcome == "succeeded", kept
    # None comes late, in another test.
    attached.wait_for_invocation("Teller", where=lambda one: order["id"] in one.answer, seconds=60)


def test_an_item_is_told_of(shop, attached, order):
    item = {"id": {"S": order["id"]}}
    shop.client("dynamodb").put_item(TableName=shop.resources["Table"], Item=item)
    attached.wait_for_invocation("Teller", where=lambda one: order["id"] in one.answer, seconds=60)


def test_each_test_has_its_own_invocations(shop, attached):
    assert attached.invocations == []
    assert shop.invoke("Taker", {"body": "{}"})["statusCode"] == 400
    assert attached.wait_for_invocation("Taker").answer["body"] == "no id"


def test_an_error_is_the_codes(shop, attached):
    with pytest.raises(FunctionFailedError, match="body"):
        shop.invoke("Taker", {})
    failure = attached.wait_for_invocation("Taker").failure
    assert (failure.kind, failure.message) == ("KeyError", "'body'")


def test_a_stack_is_deployed_once(shop, plldb_stack, plldb_attached, attached):
    assert plldb_stack("template.yaml") is shop
    assert plldb_attached(shop, env={"BY": "here"}).invocations == []
"""
# Of these, each is run by itself.
_OTHER_TESTS = """
import os

import pytest


@pytest.fixture
def attached(plldb_stack, plldb_attached):
    return plldb_attached(plldb_stack("template.yaml"))


def test_it_gets_a_signal(attached):
    attached.stack.invoke("Taker", {"body": "{}"})
    os.kill(os.getpid(), int(os.environ["SIGNAL"]))


def test_its_code_raises(attached):
    attached.stack.invoke("Taker", {"n": 1})


def test_its_template_is_wrong(plldb_stack):
    plldb_stack("wrong.yaml")
"""
_WRONG = f"Resources: {{Thing: {REFUSED_RESOURCE}}}"

_SETTINGS = """
[tool.pytest.ini_options]
testpaths = ["tests"]

[tool.coverage.run]
branch = true
patch = ["subprocess"]
source = ["src"]
"""
# By the name that the project has for its stack: that of its folder.
_PLLDB_SETTINGS = '[stacks.orders]\nenv = { BY = "plldb.toml", PLACE = "plldb.toml" }\n'
_PAGE = Path(__file__).parents[2] / "docs" / "howto" / "testing.md"


class Suite:
    """A project with tests; ``code`` are its modules by their names."""

    def __init__(
        self, folder: Path, plldb: Plldb, template: str, code: dict[str, str], tests: str
    ) -> None:
        self.folder = folder
        self.plldb = plldb.within(folder)
        (folder / "src").mkdir(parents=True)
        (folder / "tests").mkdir()
        for name, text in code.items():
            (folder / "src" / f"{name}.py").write_text(text)
        (folder / "template.yaml").write_text(template)
        (folder / "tests" / "test_orders.py").write_text(tests)
        (folder / "pyproject.toml").write_text(_SETTINGS)
        (folder / "plldb.toml").write_text(_PLLDB_SETTINGS)

    def run(self, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider"]
        return subprocess.run(
            [*command, *options],
            cwd=self.folder,
            env=without_outer_pytest(self.plldb.environment) | variables,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    def emulator_runs(self) -> bool:
        done = self.plldb("local", "status", "--output", "json").succeeded()
        return bool(done.json["running"])

    def list_stacks(self) -> list[str]:
        """Those of the emulator that runs, without the helper stack."""
        code = (
            "import boto3, json\n"
            "found = boto3.client('cloudformation').describe_stacks()['Stacks']\n"
            "print(json.dumps([one['StackName'] for one in found"
            " if one['StackStatus'] != 'DELETE_COMPLETE']))"
        )
        listed = self.plldb("exec", "--", sys.executable, "-c", code).succeeded()
        return [name for name in json.loads(listed.stdout) if name != "plldb"]


@pytest.fixture
def plldb(tmp_path: Path) -> Iterator[Plldb]:
    plldb = Plldb(clean_environment() | {"PLLDB_HOME": str(tmp_path / "home")})
    yield plldb
    plldb("local", "down")


@pytest.fixture
def suite(tmp_path: Path, plldb: Plldb) -> Suite:
    return Suite(tmp_path / "orders", plldb, _TEMPLATE, _CODE, _TESTS)


def passed(result: subprocess.CompletedProcess[str]) -> int:
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    found = re.search(r"(\d+) passed", said)
    assert found is not None, said
    return int(found[1])


def read_coverage(folder: Path) -> dict[str, float]:
    """Of each file of the code, in percent."""
    report = json.loads((folder / "coverage.json").read_text())
    return {
        Path(name).name: found["summary"]["percent_covered"]
        for name, found in report["files"].items()
    }


@pytest.mark.needs("process")
class TestSuite:
    def test_several_workers_share_an_emulator_and_their_handlers_are_measured(
        self, suite: Suite
    ) -> None:
        result = suite.run("-n", "2", "--cov", "--cov-report", "json")
        assert passed(result) == 6
        assert read_coverage(suite.folder) == {
            "taker.py": 100.0,
            "keeper.py": 100.0,
            "teller.py": 100.0,
        }
        places = [line.split() for line in (suite.folder / "places.txt").read_text().splitlines()]
        assert len({endpoint for endpoint, _ in places}) == 1
        assert len({stack for _, stack in places}) == len(places) > 1
        assert not suite.emulator_runs(), "it was started for the tests alone"

    def test_an_emulator_that_runs_is_used_and_no_stack_is_left_for_long(
        self, suite: Suite
    ) -> None:
        suite.plldb("local", "up", "--detach").succeeded()
        (suite.folder / "tests" / "test_others.py").write_text(_OTHER_TESTS)
        (suite.folder / "wrong.yaml").write_text(_WRONG)

        killed = suite.run("-n", "0", "-k", "signal", SIGNAL="9")
        assert killed.returncode == -9, killed.stdout + killed.stderr
        [left] = suite.list_stacks()
        assert left.startswith("orders-")

        interrupted = suite.run("-n", "0", "-k", "signal", SIGNAL="2")
        assert interrupted.returncode == pytest.ExitCode.INTERRUPTED, interrupted.stdout
        assert suite.list_stacks() == []

        failed = suite.run("-n", "0", "-k", "raises or wrong")
        assert failed.returncode == pytest.ExitCode.TESTS_FAILED, failed.stdout + failed.stderr
        assert "KeyError: 'body'" in failed.stdout
        assert str(suite.folder / "src" / "taker.py") in failed.stdout
        assert f"Unable to get mapping for {REFUSED_NAME}" in failed.stdout
        assert "During handling" not in failed.stdout
        assert suite.list_stacks() == []
        assert suite.emulator_runs()

    def test_the_sample_of_the_page_passes(self, tmp_path: Path, plldb: Plldb) -> None:
        page = _PAGE.read_text()
        [template] = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        taker, keeper, tests = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        code = {"taker": taker, "keeper": keeper}
        suite = Suite(tmp_path / "sample", plldb, template, code, tests)
        assert passed(suite.run("-n", "0", "--cov", "--cov-report", "json")) == 2
        assert read_coverage(suite.folder) == {"taker.py": 100.0, "keeper.py": 100.0}
