"""Which project serves a stack, and whose code runs here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from plldb.config import FileOverrides, FileStack
from plldb.debugger.sources.choice import CodeOptions, choose_sources
from plldb.debugger.sources.project import CodeSource, Project
from plldb.debugger.sources.stack_settings import StackSettings, list_project
from plldb.deployed import PLACEHOLDER_TYPE, DeployedFunction, DeployedStack
from plldb.errors import SourceError, UsageError
from tests.unit.debugger.sources.cloud_assemblies import synthesise

TEMPLATE = """
Resources:
  ReadItem: {Type: "AWS::Serverless::Function", Properties: {CodeUri: src, Handler: app.read}}
  WriteItem: {Type: "AWS::Serverless::Function", Properties: {CodeUri: src, Handler: app.write}}
  Gone: {Type: "AWS::Serverless::Function", Properties: {CodeUri: nowhere}}
  Table: {Type: "AWS::DynamoDB::Table"}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "template.yaml").write_text(TEMPLATE, encoding="utf-8")
    return tmp_path


class TestChooseSources:
    @pytest.mark.parametrize(
        ("patterns", "expected"),
        [
            ((), {"ReadItem", "WriteItem"}),
            (("ReadItem",), {"ReadItem"}),
            (("*Item",), {"ReadItem", "WriteItem"}),
            (("Read*", "?riteItem"), {"ReadItem", "WriteItem"}),
            (("*",), {"ReadItem", "WriteItem"}),
            (("[RX]eadItem",), {"ReadItem"}),
        ],
    )
    def test_functions_are_chosen_by_name(
        self, project: Path, patterns: tuple[str, ...], expected: set[str]
    ) -> None:
        chosen = choose_sources(CodeOptions(project, functions=patterns), "app").found
        assert chosen.keys() == expected

    @pytest.mark.parametrize(
        ("pattern", "reason"),
        [
            ("Gone", "nowhere does not exist"),
            ("G*", "Gone.*nowhere does not exist"),
            ("Table", "it is not in"),
            ("readitem", "it is not in"),
            ("Nothing*", "it is not in"),
        ],
    )
    def test_one_that_is_named_and_not_here_is_an_error(
        self, project: Path, pattern: str, reason: str
    ) -> None:
        with pytest.raises(SourceError, match=reason) as raised:
            choose_sources(CodeOptions(project, functions=("ReadItem", pattern)), "app")
        assert "--code" in str(raised.value.hint)

    def test_near_names_are_said(self, project: Path) -> None:
        with pytest.raises(SourceError) as raised:
            choose_sources(CodeOptions(project, functions=("readitem",)), "app")
        assert "'ReadItem'" in str(raised.value.hint)

    def test_a_project_without_a_template_is_no_error_and_says_why(self, tmp_path: Path) -> None:
        choice = choose_sources(CodeOptions(tmp_path), "app")
        chosen, why = choice.found, choice.why_none
        assert chosen == {}
        assert "no template" in why
        assert "--template" in why

    def test_nor_is_one_whose_functions_have_no_code_here(self, tmp_path: Path) -> None:
        (tmp_path / "template.yaml").write_text(TEMPLATE, encoding="utf-8")
        choice = choose_sources(CodeOptions(tmp_path), "app")
        chosen, why = choice.found, choice.why_none
        assert chosen == {}
        assert "template.yaml has no function with code" in why

    @pytest.mark.parametrize(
        "options",
        [
            CodeOptions(Path(), template=Path("no-such.yaml")),
            CodeOptions(Path(), functions=("*",)),
        ],
    )
    def test_but_what_is_named_and_not_there_is_one(
        self, tmp_path: Path, options: CodeOptions
    ) -> None:
        with pytest.raises(SourceError):
            choose_sources(replace(options, folder=tmp_path), "app")

    def test_a_folder_can_be_given_without_any_template(self, tmp_path: Path) -> None:
        options = CodeOptions(tmp_path, code={"Greeter": tmp_path})
        chosen = choose_sources(options, "app").found
        assert chosen == {"Greeter": CodeSource(tmp_path)}

    def test_one_that_is_named_wins_over_the_template(self, project: Path, tmp_path: Path) -> None:
        code = {"WriteItem": tmp_path, "Gone": tmp_path}
        found = choose_sources(CodeOptions(project, code=code), "app").found
        assert found["WriteItem"] == CodeSource(tmp_path, "app.write")
        assert found["Gone"] == CodeSource(tmp_path)


def deploy(functions: Mapping[str, str | None], **resources: str) -> DeployedStack:
    """A stack with functions of these handlers."""
    return DeployedStack(
        "app",
        {
            name: DeployedFunction(f"app-{name}", handler, "python3.13")
            for name, handler in functions.items()
        },
        dict.fromkeys(functions, "AWS::Lambda::Function") | resources,
    )


class TestDeployed:
    """What is deployed decides whose code runs."""

    def test_each_function_of_the_stack_is_found_or_left_out(self, project: Path) -> None:
        stack = deploy(
            {
                "ReadItem": "app.read",
                "WriteItem": "other.write",
                "Gone": None,
                "Macro": None,
                "Child/X": None,
            }
        )
        chosen = choose_sources(CodeOptions(project), "app", stack)
        assert chosen.found.keys() == {"ReadItem"}
        assert chosen.left_out.keys() == {"WriteItem", "Gone", "Macro", "Child/X"}
        assert (
            "its handler is other.write in the stack, but app.write in template.yaml"
            in (chosen.left_out["WriteItem"])
        )
        assert "it is not in" in chosen.left_out["Macro"]
        assert chosen.known == stack.functions.keys()

    def test_a_monitoring_products_handler_is_no_other_one(self, project: Path) -> None:
        """A macro has put it there: https://docs.datadoghq.com/serverless/libraries_integrations/macro/"""
        wrapper = "datadog_lambda.handler.handler"
        stack = deploy({"ReadItem": wrapper, "WriteItem": f"/opt/python/{wrapper}", "Gone": "x.y"})
        chosen = choose_sources(CodeOptions(project), "app", stack)
        assert chosen.found.keys() == {"ReadItem", "WriteItem"}
        assert chosen.found["ReadItem"].handler == "app.read"

    def test_what_the_developer_leaves_out_is_none_of_these(self, project: Path) -> None:
        stack = deploy({"ReadItem": None, "WriteItem": None, "Macro": None})
        chosen = choose_sources(CodeOptions(project, functions=("Read*",)), "app", stack)
        assert chosen.found.keys() == {"ReadItem"}
        assert chosen.left_out == {}
        assert chosen.unchosen == {"WriteItem", "Macro"}

    def test_what_is_not_deployed_is_said(self, project: Path) -> None:
        stack = deploy({"ReadItem": "app.read"}, Gone="AWS::SQS::Queue")
        chosen = choose_sources(CodeOptions(project), "app", stack)
        assert chosen.left_out == {}
        assert "no such function" in chosen.warnings["WriteItem"]
        assert "of the type AWS::SQS::Queue" in chosen.warnings["Gone"]

    def test_what_the_emulator_can_not_have_is_said(self, project: Path) -> None:
        stack = deploy({"ReadItem": "app.read"}, WriteItem=PLACEHOLDER_TYPE)
        chosen = choose_sources(CodeOptions(project), "app", stack)
        assert "the emulator can't have it" in chosen.warnings["WriteItem"]

    @pytest.mark.parametrize(
        ("stack", "said"),
        [
            (
                deploy({"Other": "app.read"}),
                "it has Gone, ReadItem, WriteItem, and the stack has Other",
            ),
            (deploy({}), "the stack has no functions"),
            (deploy({"ReadItem": "x.y"}), "ReadItem: its handler is x.y in the stack"),
        ],
        ids=["names", "nothing", "handlers"],
    )
    def test_another_stacks_template_is_an_error(
        self, project: Path, stack: DeployedStack, said: str
    ) -> None:
        with pytest.raises(SourceError, match="is not the template of stack app") as raised:
            choose_sources(CodeOptions(project), "app", stack)
        assert str(project / "template.yaml") in raised.value.message
        assert said.lower() in raised.value.message.lower()
        assert "--template" in str(raised.value.hint)

    def test_of_two_templates_with_usual_names_as_well(self, project: Path) -> None:
        function = {"Type": "AWS::Lambda::Function", "Properties": {"Code": "src"}}
        template = project / "template.json"
        template.write_text(json.dumps({"Resources": {"Other": function}}), encoding="utf-8")
        options = CodeOptions(project)
        assert choose_sources(options, "x", deploy({"Other": None})).found.keys() == {"Other"}
        template.write_text("[]", encoding="utf-8")
        stack = deploy({"ReadItem": None})
        assert choose_sources(options, "x", stack).found.keys() == {"ReadItem"}

    def test_a_template_that_is_a_folder(self, project: Path) -> None:
        with pytest.raises(SourceError, match=r"--template: .* is a folder") as raised:
            choose_sources(CodeOptions(project.parent, template=project), "x")
        assert str(project / "template.yaml") in str(raised.value.hint)

    def test_one_of_the_settings_file_that_is_not_there(self, project: Path) -> None:
        stack = FileStack(FileOverrides(), {}, project / "gone.yaml")
        settings = StackSettings(project / "plldb.toml", "x", stack)
        with pytest.raises(SourceError, match=r"\[stacks.x\]: template: there is no file .*gone"):
            choose_sources(CodeOptions(project, settings=settings), "x")

    def test_without_a_template_all_are_left_out(self, tmp_path: Path) -> None:
        chosen = choose_sources(CodeOptions(tmp_path), "app", deploy({"A": None, "B": None}))
        assert chosen.found == {}
        assert chosen.left_out.keys() == {"A", "B"}
        assert "no template" in chosen.why_none

    def test_nothing_to_run_is_an_error_if_there_are_functions(self, tmp_path: Path) -> None:
        stack = deploy({"A": None, "B": None})
        chosen = choose_sources(CodeOptions(tmp_path), "app", stack)
        with pytest.raises(SourceError, match="No function of stack app") as raised:
            chosen.require_code(stack)
        assert f"A, B: there is no template in {tmp_path}" in raised.value.message
        assert "--template" in str(raised.value.hint)
        choose_sources(CodeOptions(tmp_path), "app", deploy({})).require_code(deploy({}))

    def test_code_that_is_named_is_not_compared(self, project: Path) -> None:
        stack = deploy({"ReadItem": "x.y", "Macro": "m.n"})
        code = {"ReadItem": project, "Ma*": project / "src"}
        chosen = choose_sources(CodeOptions(project, code=code), "app", stack)
        assert chosen.found == {
            "ReadItem": CodeSource(project, "app.read"),
            "Macro": CodeSource(project / "src"),
        }

    def test_a_folder_for_all_is_one_for_python_only(self, tmp_path: Path) -> None:
        stack = deploy({"A": "a.b", "Node": "index.handler"})
        node = replace(stack.functions["Node"], runtime="nodejs22.x")
        stack = replace(stack, functions={**stack.functions, "Node": node})
        chosen = choose_sources(CodeOptions(tmp_path, code={"*": tmp_path}), "app", stack)
        assert chosen.found == {"A": CodeSource(tmp_path)}
        assert chosen.left_out.keys() == {"Node"}

    def test_before_the_stack_is_known_a_pattern_is_not_held_against_anything(
        self, tmp_path: Path
    ) -> None:
        assert choose_sources(CodeOptions(tmp_path, code={"*": tmp_path}), "app").found == {}

    def test_code_of_no_function_is_an_error_with_near_names(self, project: Path) -> None:
        options = CodeOptions(project, code={"ReadItm": project})
        with pytest.raises(UsageError, match="no function 'ReadItm'") as raised:
            choose_sources(options, "app", deploy({"ReadItem": "app.read"}))
        assert "Did you mean 'ReadItem'?" in str(raised.value.hint)

    def test_a_name_of_no_function_is_an_error_with_near_names(self, project: Path) -> None:
        options = CodeOptions(project, functions=("readitem",))
        with pytest.raises(SourceError, match="stack app has no such function") as raised:
            choose_sources(options, "app", deploy({"ReadItem": "app.read"}))
        assert "ReadItem" in str(raised.value.hint)


class TestResources:
    """Two stacks may have functions of the same names, and templates that name no stack."""

    TEMPLATE = """
Resources:
  F: { Type: AWS::Serverless::Function, Properties: { CodeUri: ., Handler: app.handler } }
  Orders: { Type: AWS::Serverless::SimpleTable }
  Layer: { Type: AWS::Serverless::LayerVersion }
  Queue: { Type: AWS::SQS::Queue }
"""

    @pytest.mark.parametrize(
        "resources",
        [
            {},
            {"FRole": "AWS::IAM::Role"},
            {"Orders": "AWS::DynamoDB::Table"},
            {"Orders": "AWS::DynamoDB::Table", "OtherQueue": "AWS::SQS::Queue"},
            # The emulator could not have it.
            {"Queue": PLACEHOLDER_TYPE},
        ],
    )
    def test_a_template_with_edits_is_the_stacks_own(
        self, tmp_path: Path, resources: dict[str, str]
    ) -> None:
        (tmp_path / "template.yaml").write_text(self.TEMPLATE)
        stack = deploy({"F": "app.handler"}, **resources)
        assert choose_sources(CodeOptions(tmp_path), "app", stack).found.keys() == {"F"}

    @pytest.mark.parametrize(
        ("resources", "said"),
        [
            ({"Bills": "AWS::DynamoDB::Table"}, "the stack has Bills, and the template has Orders"),
            ({"Queue": "AWS::SNS::Topic"}, "Queue is of the type AWS::SNS::Topic in the stack"),
        ],
    )
    def test_another_ones_is_refused_unless_it_is_named(
        self, tmp_path: Path, resources: dict[str, str], said: str
    ) -> None:
        (tmp_path / "template.yaml").write_text(self.TEMPLATE)
        stack = deploy({"F": "app.handler"}, **resources)
        with pytest.raises(SourceError, match=said):
            choose_sources(CodeOptions(tmp_path), "app", stack)
        options = CodeOptions(tmp_path, template=Path("template.yaml"))
        assert choose_sources(options, "app", stack).found.keys() == {"F"}


class TestProjects:
    def test_the_developers_own_template_comes_first(self, tmp_path: Path) -> None:
        (tmp_path / "src").mkdir()
        synthesise(tmp_path, "app", {"Greeter": tmp_path / "src"})
        (tmp_path / "template.yaml").write_text(TEMPLATE, encoding="utf-8")
        assert "ReadItem" in choose_sources(CodeOptions(tmp_path), "x").found

    def test_that_which_names_the_stack_serves_it(self, tmp_path: Path) -> None:
        (tmp_path / "src").mkdir()
        for name in ("A", "B"):
            synthesise(tmp_path, name, {f"Greeter{name}": tmp_path / "src"})
        choose = partial(choose_sources, CodeOptions(tmp_path))
        assert choose("B").found.keys() == {"GreeterB"}
        with pytest.raises(SourceError, match="no stack 'C'") as raised:
            choose("C")
        assert "one of A, B" in str(raised.value.hint)

    def test_what_a_tool_wrote_before_a_function_was_added(self, tmp_path: Path) -> None:
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "app.py").touch()
        synthesise(tmp_path, "app", {"Greeter": tmp_path / "src"})
        chosen = choose_sources(
            CodeOptions(tmp_path), "app", deploy({"Greeter": None, "New": None})
        )
        assert chosen.left_out["New"].endswith("bring that up to date: cdk synth")

    def test_of_several_templates_the_one_that_fits_serves_it(self, tmp_path: Path) -> None:
        """As of two stages of an app of Chalice."""
        (tmp_path / ".chalice").mkdir()
        (tmp_path / ".chalice" / "config.json").write_text("{}")
        for name in ("Beta", "Production"):
            (tmp_path / name).mkdir()
            properties = {"CodeUri": "./deployment.zip", "Handler": "app.app"}
            function = {"Type": "AWS::Serverless::Function", "Properties": properties}
            template = json.dumps({"Resources": {name: function}})
            (tmp_path / name / "sam.json").write_text(template)
        stack = DeployedStack("x", {"Production": DeployedFunction("g", "app.app")})
        assert choose_sources(CodeOptions(tmp_path), "x", stack).found.keys() == {"Production"}


def test_code_that_stands_in_a_template_has_a_folder_in_the_project(tmp_path: Path) -> None:
    child = "Resources: {F: {Type: AWS::Lambda::Function, Properties: {Code: {ZipFile: x}}}}"
    parent = (
        "Resources: {C: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: c/t.yaml}}}"
    )
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "t.yaml").write_text(child, encoding="utf-8")
    (tmp_path / "template.yaml").write_text(parent, encoding="utf-8")
    found = choose_sources(CodeOptions(tmp_path), "app").found
    assert found == {"C/F": CodeSource(tmp_path / ".plldb/inline/app/C/F", inline="x")}


def test_the_functions_of_a_project_that_has_no_stack(tmp_path: Path) -> None:
    """As Terraform's. What plldb.toml and the command line say of one has its way."""
    (tmp_path / "src").mkdir()
    functions = {"here": CodeSource(tmp_path / "src"), "there": "its code is in S3"}
    project = Project(tmp_path / "show.json", lambda _: functions)
    stack = list_project("mine", project, "eu-west-1")
    assert stack.members == {"here": "here", "there": "there"}
    chosen = choose_sources(CodeOptions(tmp_path, project=project), "mine", stack)
    assert chosen.found == {"here": CodeSource(tmp_path / "src")}
    assert chosen.left_out == {"there": "its code is in S3"}
    options = CodeOptions(tmp_path, code={"there": tmp_path}, project=project)
    assert choose_sources(options, "mine", stack).found["there"].code_dir == tmp_path


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("cdk.json", "cdk synth"),
        ("serverless.yml", "osls package"),
        (".chalice/config.json", "chalice package"),
        ("main.tf", "--terraform"),
        ("README.md", "--template PATH"),
    ],
)
def test_a_project_whose_tool_was_not_run_yet(tmp_path: Path, file: str, command: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    assert command in choose_sources(CodeOptions(tmp_path), "x").why_none
    with pytest.raises(SourceError, match="There is no template") as raised:
        choose_sources(CodeOptions(tmp_path, functions=("Greeter",)), "x")
    assert command in str(raised.value.hint)
