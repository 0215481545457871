"""``plldb deploy`` over real processes: what is packaged, changed, refused, and what failed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from plldb.aws import Target
from plldb.dev.stack_deployment import Deployer, Reporter, make_storage
from plldb.dev.template_package import package_template
from plldb.errors import UsageError
from plldb.stacks import find_stack

from .project import detach
from .support import PATIENT, REFUSED_NAME, REFUSED_RESOURCE, Backend, Plldb, random_name

_SAM = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Greeting: {Type: String, Default: hello}
Globals:
  Function:
    Runtime: python3.13
    Handler: app.handler
    Environment: {Variables: {GREETING: !Ref Greeting}}
Resources:
  Greeter:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: greeter}
  Other:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: other}
Outputs:
  Name: {Value: !Ref Greeter}
"""
_CODE = """
import os

def handler(event, context):
    return [os.environ["GREETING"], event]
"""


class Folder:
    """A project, whose stack is called after its folder."""

    def __init__(self, folder: Path, plldb: Plldb, target: Target) -> None:
        self.path = folder
        self.name = folder.name
        self.plldb = plldb.within(folder)
        self.target = target

    def write(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def deploy(self, *options: str) -> dict[str, object]:
        return self.plldb("deploy", "--yes", "--output", "json", *options).succeeded().json

    def invoke(self, function: str) -> object:
        done = self.plldb("invoke", function, "--event", "1").succeeded()
        return json.loads(done.stdout)


@pytest.fixture
def folder(plldb: Plldb, target: Target, tmp_path: Path) -> Iterator[Folder]:
    (path := tmp_path / random_name("shop")).mkdir()
    yield Folder(path, plldb, target)
    target.client("cloudformation").delete_stack(StackName=path.name)


@pytest.fixture
def sam(folder: Folder) -> Folder:
    folder.write("template.yaml", _SAM)
    folder.write("greeter/app.py", _CODE)
    folder.write("other/app.py", _CODE)
    return folder


@pytest.mark.needs("iam")  # SAM is expanded by the engine
class TestSam:
    def test_from_the_folder_to_an_answer(self, sam: Folder) -> None:
        deployed = sam.deploy()
        assert deployed["stackName"] == sam.name
        assert deployed["status"] == "CREATE_COMPLETE"
        assert deployed["changed"] is True
        assert sam.invoke("Greeter") == ["hello", 1]
        outputs = deployed["outputs"]
        assert isinstance(outputs, dict)
        assert outputs["Name"].startswith(sam.name)

    def test_nothing_changed_is_nothing_done(self, sam: Folder) -> None:
        sam.deploy()
        again = sam.plldb("deploy", "--yes").succeeded()
        assert again.stdout.startswith(f"Stack {sam.name} is up to date (CREATE_COMPLETE).\n")
        assert "upload" not in again.stderr

    def test_only_what_changed_is_uploaded(self, sam: Folder) -> None:
        sam.deploy()
        sam.write("greeter/app.py", _CODE.replace("event]", '"edited"]'))
        again = sam.plldb("deploy", "--yes").succeeded()
        assert again.stderr.count("upload ") == 1
        assert sam.invoke("Greeter") == ["hello", "edited"]
        assert sam.invoke("Other") == ["hello", 1]

    def test_parameters_are_given_and_kept(self, sam: Folder) -> None:
        sam.deploy("--parameter", "Greeting=good morning")
        assert sam.invoke("Greeter") == ["good morning", 1]
        sam.write("greeter/app.py", _CODE.replace("event]", "0]"))
        sam.deploy()
        assert sam.invoke("Greeter") == ["good morning", 0]

    def test_samconfig_names_stack_and_parameters(self, sam: Folder) -> None:
        name = random_name("named")
        sam.write(
            "samconfig.toml",
            f'[default.deploy.parameters]\nstack_name = "{name}"\n'
            "parameter_overrides = \"Greeting='good evening'\"\n",
        )
        try:
            assert sam.deploy()["stackName"] == name
            assert sam.invoke("Greeter") == ["good evening", 1]
        finally:
            sam.target.client("cloudformation").delete_stack(StackName=name)

    @pytest.mark.usefixtures("backend")
    def test_what_the_emulator_can_not_have_does_not_keep_the_rest_from_being_debugged(
        self, sam: Folder
    ) -> None:
        template = (sam.path / "template.yaml").read_text()
        group = "Group: {Type: AWS::ResourceGroups::Group, Properties: {Name: group}}"
        sam.write("template.yaml", template.replace("Outputs:", f"  {group}\nOutputs:"))
        done = sam.plldb("deploy", "--yes", "--output", "json").succeeded()
        assert "Group: left out: " in json.loads(done.stderr)["warning"]
        with sam.plldb.attach(sam.name, *PATIENT) as attached:
            assert attached.wait_for("ready")["instrumented"] == 2
            detach(attached)

    def test_what_is_deployed_can_be_attached_to(self, sam: Folder, backend: Backend) -> None:
        sam.deploy()
        with sam.plldb.attach(sam.name, *PATIENT) as attached:
            attached.wait_for("ready")
            sam.write("greeter/app.py", _CODE.replace("event]", '"here"]'))
            assert sam.invoke("Greeter") == ["hello", "here"]
            detach(attached)
        assert sam.invoke("Greeter") == ["hello", 1]

    def test_what_the_emulator_has_not_is_filled_in_and_said(self, folder: Folder) -> None:
        folder.write(
            "child/app.py",
            "def handler(event, context):\n"
            '    key = event.get("routeKey") or event["httpMethod"]\n'
            '    return {"statusCode": 200, "body": key}\n',
        )
        folder.write("template.yaml", _PARENT)
        folder.write("child/template.yaml", _CHILD)
        done = folder.plldb("deploy", "--yes", "--output", "json").succeeded()
        warnings = [json.loads(line)["warning"] for line in done.stderr.splitlines()]
        assert [one.partition(":")[0] for one in warnings] == ["App", "App/Fn", "App/Fn"]
        outputs = done.json["outputs"]
        for path, body in (
            ("http/a/1", "GET /a/{id}"),
            ("http/other", "$default"),
            ("url/some/path", "$default"),
        ):
            assert _get(outputs, path) == body
        assert _get(outputs, "rest/b", "DELETE") == "DELETE"
        assert _get(outputs, "rest/b", "GET") == "GET"


def _get(outputs: dict[str, str], path: str, method: str = "GET") -> str:
    api, _, rest = path.partition("/")
    answer = requests.request(method, f"{outputs[api].rstrip('/')}/{rest}", timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.text


_PARENT = """
Transform: AWS::Serverless-2016-10-31
Resources:
  App: {Type: AWS::Serverless::Application, Properties: {Location: child/template.yaml}}
Outputs:
  http: {Value: !GetAtt App.Outputs.Http}
  rest: {Value: !GetAtt App.Outputs.Rest}
  url: {Value: !GetAtt App.Outputs.Url}
"""
_CHILD = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Fn:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      Runtime: python3.13
      FunctionUrlConfig: {AuthType: NONE}
      Events:
        A: {Type: HttpApi, Properties: {Path: '/a/{id}', Method: get}}
        All: {Type: HttpApi}
        B: {Type: Api, Properties: {Path: /b, Method: any}}
Outputs:
  Http: {Value: !Sub 'https://${ServerlessHttpApi}.execute-api.${AWS::Region}.amazonaws.com'}
  Rest: {Value: !Sub 'https://${ServerlessRestApi}.execute-api.${AWS::Region}.amazonaws.com/Prod'}
  Url: {Value: !GetAtt FnUrl.FunctionUrl}
"""

_ROLE = """
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement:
          - {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: 'sts:AssumeRole'}
"""
_PLAIN = f"""
AWSTemplateFormatVersion: 2010-09-09
Resources:
{_ROLE}
  Fn:
    Type: AWS::Lambda::Function
    Properties: {{Code: src, Handler: app.handler, Runtime: python3.13, Role: !GetAtt Role.Arn}}
"""
_SIMPLE = "def handler(event, context): return event\n"
_GREETED_PARENT = """
Parameters:
  Greeting: {Type: String, Default: hello}
Resources:
  Child:
    Type: AWS::CloudFormation::Stack
    Properties: {TemplateURL: child.yaml, Parameters: {Greeting: !Ref Greeting}}
"""
_GREETED_CHILD = f"""
Parameters:
  Greeting: {{Type: String}}
Resources:
{_ROLE}
  Fn:
    Type: AWS::Lambda::Function
    Properties:
      Code: src
      Handler: app.handler
      Runtime: python3.13
      Role: !GetAtt Role.Arn
      Environment: {{Variables: {{GREETING: !Ref Greeting}}}}
"""


class TestCloudFormation:
    def test_a_plain_template(self, folder: Folder) -> None:
        folder.write("stack.yaml", _PLAIN)
        folder.write("src/app.py", _SIMPLE)
        folder.deploy("--template", "stack.yaml")
        assert folder.invoke("Fn") == 1

    def test_a_large_one_goes_by_way_of_the_bucket(self, folder: Folder) -> None:
        topics = "".join(
            f"  Topic{n}: {{Type: AWS::SNS::Topic, Metadata: {{Text: '{'x' * 2000}'}}}}\n"
            for n in range(40)
        )
        folder.write("template.yaml", _PLAIN + topics)
        folder.write("src/app.py", _SIMPLE)
        assert folder.deploy()["status"] == "CREATE_COMPLETE"
        assert folder.invoke("Fn") == 1

    @pytest.mark.needs("updates")
    def test_a_nested_stack_is_updated_in_place(self, folder: Folder) -> None:
        folder.write("template.yaml", _GREETED_PARENT)
        folder.write("child.yaml", _GREETED_CHILD)
        folder.write("src/app.py", _CODE)
        folder.deploy()
        assert folder.invoke("Child/Fn") == ["hello", 1]
        folder.deploy("--parameter", "Greeting=hi")
        assert folder.invoke("Child/Fn") == ["hi", 1]
        folder.write("child.yaml", _GREETED_CHILD.replace("!Ref Greeting", "!Sub '${Greeting}!'"))
        folder.deploy()
        assert folder.invoke("Child/Fn") == ["hi!", 1]

    def test_the_stack_can_have_another_name(self, folder: Folder) -> None:
        name = random_name("named")
        folder.write("template.yaml", "Resources: {T: {Type: AWS::SNS::Topic}}")
        try:
            assert folder.deploy("--stack-name", name)["stackName"] == name
        finally:
            folder.target.client("cloudformation").delete_stack(StackName=name)


@pytest.mark.needs("rollback")
class TestFailures:
    _BAD = (
        "{Type: Custom::Bad, Properties: {ServiceToken: "
        "!Sub 'arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:no-such-thing'}}"
    )

    def test_the_first_resource_that_failed_is_named_and_the_next_run_recovers(
        self, folder: Folder
    ) -> None:
        folder.write("template.yaml", f"Resources:\n{_ROLE}\n  Bad: {self._BAD}\n")
        failed = folder.plldb("deploy", "--yes").failed(1)
        assert f"Stack {folder.name!r} ended in state" in failed.stderr
        assert ": Bad (" in failed.stderr
        folder.write("template.yaml", "Resources: {T: {Type: AWS::SNS::Topic}}")
        assert folder.deploy()["status"] == "CREATE_COMPLETE"

    def test_also_in_a_nested_stack(self, folder: Folder) -> None:
        folder.write("child.yaml", f"Resources:\n{_ROLE}\n  Bad: {self._BAD}\n")
        folder.write(
            "template.yaml",
            "Resources: {Child: {Type: AWS::CloudFormation::Stack, "
            "Properties: {TemplateURL: child.yaml}}}",
        )
        failed = folder.plldb("deploy", "--yes").failed(1)
        assert "Child" in failed.stderr
        assert (
            "no-such" in failed.stderr or "NoSuchBucket" in failed.stderr or "Bad" in failed.stderr
        )

    def test_an_update_that_fails_leaves_what_was(self, folder: Folder) -> None:
        folder.write("template.yaml", _PLAIN)
        folder.write("src/app.py", _SIMPLE)
        folder.deploy()
        folder.write("template.yaml", f"{_PLAIN}  Bad: {self._BAD}\n")
        failed = folder.plldb("deploy", "--yes").failed(1)
        assert "Bad" in failed.stderr
        assert folder.invoke("Fn") == 1

    def test_a_template_that_cloudformation_refuses(self, folder: Folder) -> None:
        folder.write("template.yaml", f"Resources: {{T: {REFUSED_RESOURCE}}}")
        failed = folder.plldb("deploy", "--yes")
        assert failed.exit_code == 1
        assert REFUSED_NAME in failed.stderr
        assert "Traceback" not in failed.stderr


class TestUsage:
    def test_nothing_to_deploy(self, folder: Folder) -> None:
        assert "no template to deploy" in folder.plldb("deploy").failed(1).stderr

    def test_a_parameter_that_there_is_not(self, folder: Folder) -> None:
        parameter = "Parameters: {Stage: {Type: String}}\nResources:"
        folder.write("template.yaml", _PLAIN.replace("Resources:", parameter, 1))
        folder.write("src/app.py", _SIMPLE)
        failed = folder.plldb("deploy", "--parameter", "Stge=x").failed(2)
        assert "Did you mean 'Stage'?" in failed.stderr
        folder.plldb("deploy", "--parameter", "Stage").failed(2)

    def test_a_helper_stack_is_not_touched(self, folder: Folder, backend: Backend) -> None:
        folder.write("template.yaml", "Resources: {T: {Type: AWS::SNS::Topic}}")
        failed = folder.plldb("deploy", "--yes", "--stack-name", backend.helper.name).failed(1)
        assert "helper stack" in failed.stderr


def test_who_does_not_agree_changes_nothing(target: Target, tmp_path: Path) -> None:
    """On AWS it is asked; here by hand."""
    name = random_name("declined")
    (tmp_path / "template.yaml").write_text("Resources: {T: {Type: AWS::SNS::Topic}}")
    asked = []

    def decline(stack: str, changes: object) -> bool:
        asked.append((stack, changes))
        return False

    storage = make_storage(target)
    packaged = package_template(tmp_path / "template.yaml", storage)
    reporter = Reporter(lambda _: None, lambda _: None)
    with pytest.raises(UsageError, match="Nothing was deployed"):
        Deployer(target, storage, reporter, decline).deploy(name, packaged, {}, {})
    ((stack, changes),) = asked
    assert stack == name
    (change,) = changes
    assert (change.action, change.logical_id, change.kind) == ("Add", "T", "AWS::SNS::Topic")
    assert find_stack(target, name) is None
