"""Services as Serverless and osls package them, beyond what tests/projects has."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from plldb.debugger.inline_code import write_generated_files
from plldb.debugger.sources.project import CodeSource, Functions
from plldb.debugger.sources.serverless import find_projects, find_template_project
from plldb.errors import SourceError

TEMPLATE = "cloudformation-template-update-stack.json"


def package(
    service: Path,
    function: Mapping[str, Any],
    code: Mapping[str, Any] | None = None,
    state: Mapping[str, Any] | None = None,
    output: str = ".serverless",
    **properties: Any,
) -> Path:
    """A service with one function, packaged; ``function`` is what its configuration says."""
    at = service / output
    at.mkdir(parents=True, exist_ok=True)
    (service / "serverless.yml").touch()
    properties = {
        "Code": code or {"S3Bucket": {"Ref": "ServerlessDeploymentBucket"}, "S3Key": "x.zip"},
        "Handler": "app.handler",
        "Runtime": "python3.13",
        "FunctionName": "shop-dev-one",
    } | properties
    resources = {"OneLambdaFunction": {"Type": "AWS::Lambda::Function", "Properties": properties}}
    (at / TEMPLATE).write_text(json.dumps({"Resources": resources}))
    content = {
        "service": "shop",
        "provider": {"stage": "dev"},
        "functions": {"one": {"name": "shop-dev-one"} | dict(function)},
    } | dict(state or {})
    (at / "serverless-state.json").write_text(json.dumps({"service": content}))
    return at / TEMPLATE


def read(service: Path) -> Functions:
    (project,) = find_projects(service)
    return project.read({})


def found(service: Path) -> CodeSource:
    source = read(service)["OneLambdaFunction"]
    assert isinstance(source, CodeSource), source
    return source


@pytest.mark.parametrize(
    ("provider", "names"),
    [
        ({"stage": "prod"}, {"shop-prod"}),
        ({"stage": "prod", "stackName": "mine"}, {"mine"}),
        ({"stage": "prod", "stackName": {"Ref": "x"}}, {"shop-prod"}),
        ({}, set()),
        (None, set()),
    ],
)
def test_the_state_names_the_stack(tmp_path: Path, provider: Any, names: set[str]) -> None:
    package(tmp_path, {}, state={"provider": provider})
    (project,) = find_projects(tmp_path)
    assert project.stack_names == names


def test_without_a_state_the_folder_is_known_all_the_same(tmp_path: Path) -> None:
    template = package(tmp_path, {})
    (template.parent / "serverless-state.json").unlink()
    (project,) = find_projects(tmp_path)
    assert project.stack_names == frozenset()
    assert found(tmp_path).code_dir == tmp_path


def test_packages_that_a_plugin_has_installed(tmp_path: Path) -> None:
    package(tmp_path, {})
    assert found(tmp_path).build_dir is None
    (tmp_path / ".serverless" / "requirements").mkdir()
    assert found(tmp_path).build_dir == tmp_path / ".serverless" / "requirements"


def test_a_module_has_its_own_folder_and_packages(tmp_path: Path) -> None:
    (tmp_path / "mod").mkdir()
    artifact = {"artifact": str(tmp_path / ".serverless/mod-shop-dev-one.zip")}
    package(tmp_path, {"module": "mod", "package": artifact})
    (tmp_path / ".serverless" / "mod" / "requirements").mkdir(parents=True)
    source = found(tmp_path)
    assert source.code_dir == tmp_path / "mod"
    assert source.build_dir == tmp_path / ".serverless" / "mod" / "requirements"


def test_a_module_that_is_packaged_with_the_others_is_found_in_the_services_folder(
    tmp_path: Path,
) -> None:
    (tmp_path / "mod").mkdir()
    (tmp_path / "mod" / "app.py").touch()
    package(tmp_path, {"module": "mod"}, Handler="mod/app.handler")
    assert found(tmp_path).code_dir == tmp_path
    package(tmp_path, {"module": "mod"}, Handler="app.handler")
    assert found(tmp_path).code_dir == tmp_path / "mod"


def test_an_artifact_that_something_else_made_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "app.py").write_text("def handler(e, c): pass")
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        archive.write(tmp_path / "made" / "app.py", "app.py")
    package(tmp_path, {"package": {"artifact": "made.zip"}})
    assert found(tmp_path).code_dir == tmp_path / "made"
    (tmp_path / "made" / "app.py").write_text("x = 'another one'")
    assert "made by something else" in str(read(tmp_path)["OneLambdaFunction"])


def test_functions_that_are_none_of_the_services(tmp_path: Path) -> None:
    elsewhere = {"S3Bucket": "other", "S3Key": "x.zip"}
    package(tmp_path, {"name": "another"}, elsewhere)
    assert "its Code is in S3" in str(read(tmp_path)["OneLambdaFunction"])
    package(tmp_path, {}, Runtime="nodejs22.x")
    assert read(tmp_path) == {"OneLambdaFunction": "its runtime is nodejs22.x"}


def test_what_stands_in_several_places_is_found(tmp_path: Path) -> None:
    """As json-cycle writes it."""
    path = '$["service"]["initialServerlessConfig"]["functions"]'
    functions = {"one": {"name": "shop-dev-one", "module": "mod"}}
    state = {"functions": {"$ref": path}, "initialServerlessConfig": {"functions": functions}}
    (tmp_path / "mod").mkdir()
    package(tmp_path, {}, state=state)
    assert found(tmp_path).code_dir == tmp_path / "mod"
    # Around in a circle.
    package(tmp_path, {}, state={"functions": {"$ref": '$["service"]["functions"]'}})
    assert found(tmp_path).code_dir == tmp_path


def test_a_template_that_is_named_serves_any_stack(tmp_path: Path) -> None:
    """Of a service that was packaged with ``--package``."""
    template = package(tmp_path, {}, output="build/prod")
    assert find_projects(tmp_path) == []
    project = find_template_project(template)
    assert project is not None
    assert project.stack_names == frozenset()
    source = project.read({})["OneLambdaFunction"]
    assert isinstance(source, CodeSource)
    assert source.code_dir == tmp_path
    (tmp_path / "serverless.yml").unlink()
    assert find_template_project(tmp_path / "template.yaml") is None


@pytest.mark.parametrize("text", ["", "[" * 100_000, "\udcff"])
def test_a_state_that_makes_no_sense(tmp_path: Path, text: str) -> None:
    template = package(tmp_path, {})
    state = template.parent / "serverless-state.json"
    state.write_text(text, errors="surrogateescape")
    with pytest.raises(SourceError, match=r"serverless-state\.json can't be read") as raised:
        find_projects(tmp_path)
    assert "osls package" in str(raised.value.hint)


@pytest.mark.parametrize(
    "state",
    [
        "[]",
        "{}",
        '{"service": {"functions": [], "layers": 1}}',
        '{"service": {"functions": {"one": {"name": ["x"]}, "two": 3}}}',
    ],
)
def test_a_state_without_what_is_expected_harms_nothing(tmp_path: Path, state: str) -> None:
    template = package(tmp_path, {})
    (template.parent / "serverless-state.json").write_text(state)
    assert found(tmp_path).code_dir == tmp_path


def test_a_name_that_cloudformation_computes(tmp_path: Path) -> None:
    name = {"Fn::Sub": "${AWS::StackName}-one"}
    package(tmp_path, {}, FunctionName=name)
    assert found(tmp_path).code_dir == tmp_path
    # In a bucket of the developer's own.
    package(tmp_path, {"name": name}, {"S3Bucket": "b", "S3Key": "x.zip"}, FunctionName=name)
    assert found(tmp_path).code_dir == tmp_path


class TestAHandlerThatAPluginWrites:
    """As serverless-wsgi does: its files are in the package, and nowhere else."""

    @pytest.fixture
    def service(self, tmp_path: Path) -> Path:
        package(tmp_path, {}, Handler="wsgi_handler.handler")
        (tmp_path / "app.py").write_text("app = 1")
        with zipfile.ZipFile(tmp_path / ".serverless/x.zip", "w") as archive:
            archive.writestr("app.py", "app = 0")
            archive.writestr("flask/__init__.py", "")
            archive.writestr("wsgi_handler.py", "def handler(event, context): ...")
            archive.writestr(".serverless-wsgi", "{}")
        return tmp_path

    def test_is_used_beside_the_code(self, service: Path) -> None:
        source = found(service)
        assert source.code_dir == service
        assert source.generated is not None
        assert set(source.generated.names) == {"wsgi_handler.py", ".serverless-wsgi"}
        write_generated_files(source)
        ((folder,),) = (layer.folders for layer in source.layers)
        assert {path.name for path in folder.iterdir()} == set(source.generated.names)
        assert folder.is_relative_to(service / ".plldb")
        assert (service / ".plldb" / ".gitignore").read_text() == "*\n"

    def test_is_written_again_when_it_is_another_one(self, service: Path) -> None:
        write_generated_files(found(service))
        with zipfile.ZipFile(service / ".serverless/x.zip", "w") as archive:
            archive.writestr("wsgi_handler.py", "new")
        source = found(service)
        write_generated_files(source)
        assert (source.layers[0].folders[0] / "wsgi_handler.py").read_text() == "new"

    def test_is_the_projects_own_where_it_has_one(self, service: Path) -> None:
        (service / "wsgi_handler.py").write_text("def handler(event, context): ...")
        assert found(service).generated is None

    def test_a_folder_that_cant_be_made_is_said(self, service: Path) -> None:
        (service / ".plldb").write_text("a file")
        with pytest.raises(SourceError, match=r"wsgi_handler\.py.* can't be written"):
            write_generated_files(found(service))


def test_stacks_that_a_plugin_has_split(tmp_path: Path) -> None:
    """As serverless-plugin-split-stacks does, with a URL that CloudFormation computes."""
    template = package(tmp_path, {"module": "shared"})
    (tmp_path / "shared").mkdir()
    name = "cloudformation-template-One-nested-stack.json"
    template.rename(template.with_name(name))
    url = {"Fn::Join": ["/", ["https://s3.eu-west-1.amazonaws.com", {"Ref": "Bucket"}, name]]}
    nested = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}
    gone = {"Fn::Join": ["/", [{"Ref": "Bucket"}, "cloudformation-template-gone.json"]]}
    absent = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": gone}}
    template.write_text(json.dumps({"Resources": {"One": nested, "Two": absent}}))
    functions = read(tmp_path)
    source = functions["One/OneLambdaFunction"]
    assert isinstance(source, CodeSource)
    assert source.code_dir == tmp_path / "shared"
    assert functions["Two/*"] == "the TemplateURL of its stack is computed by CloudFormation"
