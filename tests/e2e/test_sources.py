"""Whose code runs here: a project is held against the deployed stack before anything is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plldb.aws import Target

from .debugging import Debuggee, deployed, function, nested, template
from .project import assert_restored, detach
from .support import Backend, Plldb, allowed, random_name, signed_in, user

HERE = "def handler(event, context):\n    return 'here'\n"
INLINE = "def handler(event, context):\n    return 'inline'\n"


@pytest.fixture(scope="module")
def app(backend: Backend, target: Target) -> Iterator[Debuggee]:
    """Two functions, and one with inline code in a nested stack; none in two other places."""
    resources = {
        "FnA": function(),
        "FnB": function(),
        "Child": nested(target, {"FnC": function(INLINE)}),
    }
    with deployed(target, resources) as debuggee:
        yield debuggee


def local(code: Any, handler: str = "index.handler") -> dict[str, Any]:
    return function() | {
        "Properties": {"Handler": handler, "Runtime": "python3.13", "Code": code},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "index.py").write_text(HERE)
    child = {"FnC": local({"ZipFile": INLINE})}
    (tmp_path / "child.json").write_text(template(child))
    nested_stack = {
        "Type": "AWS::CloudFormation::Stack",
        "Properties": {"TemplateURL": "child.json"},
    }
    resources = {"FnA": local("src"), "Child": nested_stack}
    (tmp_path / "template.json").write_text(template(resources))
    return tmp_path


def test_nested_and_inline_code_runs_as_it_is_edited_and_each_function_is_counted(
    plldb: Plldb, app: Debuggee, folder: Path
) -> None:
    before = app.as_deployed
    with plldb.within(folder).attach(app.name) as attached:
        skipped = attached.wait_for("skipped")
        assert skipped["function"] == "FnB"
        assert "template.json" in skipped["reason"]
        ready = attached.wait_for("ready")
        assert (ready["instrumented"], ready["skipped"]) == (2, 1)
        assert app.invoke("FnA").json == "here"
        assert app.invoke("Child/FnC").json == "inline"
        file = folder / ".plldb" / "inline" / app.name / "Child" / "FnC" / "index.py"
        file.write_text(INLINE.replace("inline", "edited"))
        assert app.invoke("Child/FnC").json == "edited"
        detach(attached)
    assert_restored(attached, app.configurations, before)


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"Other": local("src")}, "It has Other, and the stack has Child/FnC, FnA, FnB"),
        ({"FnA": local("src", "app.main")}, "its handler is index.handler in the stack, but app"),
        ({"FnA": local("src") | {"Type": "AWS::Serverless::Function"}, "Table": {}}, ""),
    ],
    ids=["names", "handler", "the same"],
)
def test_another_stacks_template_changes_nothing(
    plldb: Plldb, app: Debuggee, folder: Path, resources: dict[str, Any], said: str
) -> None:
    before = app.as_deployed
    (folder / "template.json").write_text(template(resources))
    if not said:
        with plldb.within(folder).attach(app.name) as attached:
            assert attached.wait_for("instrumented")["function"] == "FnA"
            detach(attached)
        assert_restored(attached, app.configurations, before)
        return
    result = plldb.within(folder)("attach", "--stack-name", app.name)
    assert result.exit_code == 1
    assert f"template.json is not the template of stack {app.name}" in result.stderr
    assert said in " ".join(result.stderr.split())
    assert "--template" in result.stderr
    assert app.configurations() == before


def test_a_folder_without_a_project_is_an_error(
    plldb: Plldb, app: Debuggee, tmp_path: Path
) -> None:
    result = plldb.within(tmp_path)("attach", "--stack-name", app.name, "--output", "json")
    assert result.exit_code == 1
    error = json.loads(result.stderr)["error"]
    assert f"Child/FnC, FnA, FnB: there is no template in {tmp_path}" in error


def test_of_two_stacks_of_one_app_each_runs_its_own_code(
    plldb: Plldb, app: Debuggee, folder: Path, target: Target
) -> None:
    """samconfig.toml says which template is whose; their functions have the same names."""
    (folder / "prod").mkdir()
    (folder / "prod" / "index.py").write_text(HERE.replace("here", "prod"))
    (folder / "prod.json").write_text(template({"FnA": local("prod")}))
    with deployed(target, {"FnA": function()}) as prod:
        (folder / "samconfig.toml").write_text(f"""
[default.deploy.parameters]
stack_name = "{app.name}"
template_file = "template.json"
[prod.deploy.parameters]
stack_name = "{prod.name}"
template_file = "prod.json"
""")
        for stack, ran in ((app, "here"), (prod, "prod")):
            with plldb.within(folder).attach(stack.name) as attached:
                attached.wait_for("ready")
                assert stack.invoke("FnA").json == ran
                detach(attached)


def test_one_folder_for_all_functions(plldb: Plldb, app: Debuggee, folder: Path) -> None:
    (folder / "template.json").unlink()
    with plldb.within(folder).attach(app.name, "--code", "src") as attached:
        assert attached.wait_for("ready")["instrumented"] == 3
        assert app.invoke("Child/FnC").json == "here"
        detach(attached)


def test_functions_that_the_settings_file_lists(plldb: Plldb, app: Debuggee, folder: Path) -> None:
    """They are of no stack, as far as plldb knows."""
    before = app.as_deployed
    name, loose = app.physical["FnA"], random_name("loose")
    (folder / "plldb.toml").write_text(f"[stacks.{loose}.functions.{name}]\ncode = 'src'")
    with plldb.within(folder).attach(loose) as attached:
        assert attached.wait_for("instrumented")["function"] == name
        assert attached.wait_for("ready")["instrumented"] == 1
        assert app.invoke("FnA").json == "here"
        detach(attached)
    assert_restored(attached, app.configurations, before)


def test_one_that_the_settings_file_names_and_that_is_not_there(
    plldb: Plldb, app: Debuggee, folder: Path
) -> None:
    (folder / "plldb.toml").write_text(f"[stacks.{app.name}.functions.FnX]\ncode = 'src'")
    result = plldb.within(folder)("attach", "--stack-name", app.name, "--output", "json")
    assert result.exit_code == 2
    error = json.loads(result.stderr)
    assert f"plldb.toml [stacks.{app.name}.functions.FnX]" in error["error"]
    assert "Did you mean" in error["hint"]


@pytest.mark.needs("iam")
def test_who_may_not_read_templates_is_told_once(
    plldb: Plldb, backend: Backend, app: Debuggee, folder: Path
) -> None:
    actions = (
        "execute-api:Invoke",
        "cloudformation:DescribeStacks",
        "cloudformation:ListStackResources",
    )
    (folder / "template.json").write_text(template({"FnA": local("src", "other.handler")}))
    with (
        user(backend.target, allowed(*actions)) as (_, keys),
        signed_in(plldb.within(folder), keys).attach(app.name) as attached,
    ):
        assert attached.wait_for("instrumented")["function"] == "FnA"
        detach(attached)
        assert attached.errors().count("compared with what is deployed by") == 1
