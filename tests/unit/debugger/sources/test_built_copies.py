"""A template that names the folder of a build: the code is run where it is edited."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from plldb.debugger.sources.choice import CodeOptions, choose_sources
from plldb.debugger.sources.project import CodeSource

CODE = "import shared\n\ndef handler(event, context):\n    return 1\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Its build has put what is in src, and a package, into a folder that the template names."""
    for file in ("src/app.py", "build/orders/app.py", "build/orders/requests/__init__.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(CODE, encoding="utf-8")
    put_template(tmp_path, "build/orders")
    return tmp_path


def put_template(project: Path, code: str) -> None:
    (project / "template.yaml").write_text(
        "Resources: {Orders: {Type: 'AWS::Serverless::Function', "
        f"Properties: {{CodeUri: {code}, Handler: app.handler}}}}}}",
        encoding="utf-8",
    )


def find(project: Path) -> CodeSource:
    return choose_sources(CodeOptions(project), "any").found["Orders"]


def test_that_with_the_same_files_is_the_source(project: Path) -> None:
    found = find(project)
    assert found.code_dir == project / "src"
    assert found.build_dir == project / "build" / "orders"
    assert not found.note


def test_where_there_is_none_it_is_said(project: Path) -> None:
    (project / "src" / "app.py").write_text("edited", encoding="utf-8")
    found = find(project)
    assert found.code_dir == project / "build" / "orders"
    assert "no folder of the project has the same files" in found.note
    assert "--code" in found.note


def test_it_is_found_again_after_edits(project: Path) -> None:
    (project / "src" / "app.py").write_text(f"{CODE}# edited", encoding="utf-8")
    assert find(project).code_dir == project / "src"
    (project / "v2").mkdir()
    (project / "v2" / "app.py").write_text(f"{CODE}# another", encoding="utf-8")
    assert "which are alike" in find(project).note


def test_an_old_copy_of_it_is_not_taken_for_it(project: Path) -> None:
    for folder in ("services", "archive"):
        (project / folder).mkdir()
    (project / "archive" / "orders").mkdir()
    (project / "src").rename(project / "services" / "orders")
    (project / "archive" / "orders" / "app.py").write_text(CODE, encoding="utf-8")
    edited = project / "services" / "orders" / "app.py"
    edited.write_text(f"{CODE}# edited", encoding="utf-8")
    found = find(project)
    assert found.code_dir == project / "build" / "orders"
    assert f"it may also be from {edited.parent}" in found.note


@pytest.mark.parametrize("folder", [".", "infra"])
def test_so_it_is_of_an_archive(project: Path, folder: str) -> None:
    for name in (".git", "infra"):
        (project / name).mkdir()
    with zipfile.ZipFile(project / "build" / "orders.zip", "w") as archive:
        archive.write(project / "src" / "app.py", "app.py")
    path = os.path.relpath(project / "build" / "orders.zip", project / folder)
    put_template(project / folder, path)
    assert find(project / folder).code_dir == project / "src"
    (project / "src" / "app.py").write_text(f"{CODE}# edited", encoding="utf-8")
    assert find(project / folder).code_dir == project / "src"


def test_nor_is_one_of_several_taken(project: Path) -> None:
    (project / "other").mkdir()
    (project / "other" / "app.py").write_text(CODE, encoding="utf-8")
    assert "which are alike" in find(project).note


@pytest.mark.parametrize(
    "variables", ["{DD_LAMBDA_HANDLER: app.handler}", "{DD_LAMBDA_HANDLER: !GetAtt X.Y}", "{}"]
)
def test_a_monitoring_products_handler_is_found_in_no_package(
    project: Path, variables: str
) -> None:
    """Its layer has it."""
    template = project / "template.yaml"
    wrapped = (
        "Handler: datadog_lambda.handler.handler, Runtime: python3.13, "
        f"Environment: {{Variables: {variables}}}"
    )
    template.write_text(template.read_text().replace("Handler: app.handler", wrapped))
    found = find(project)
    assert (found.code_dir, found.note) == (project / "src", "")


@pytest.mark.parametrize("folder", ["src", "."])
def test_other_folders_are_what_they_are(project: Path, folder: str) -> None:
    put_template(project, folder)
    assert find(project) == CodeSource(project / folder, "app.handler")


def test_also_where_the_project_itself_is_below_such_a_one(project: Path) -> None:
    put_template(project / "build", "orders")
    assert find(project / "build").code_dir == project / "build" / "orders"


def test_what_is_named_by_hand_is_taken_as_it_is(project: Path) -> None:
    built = project / "build" / "orders"
    found = choose_sources(CodeOptions(project, code={"Orders": built}), "any").found["Orders"]
    assert (found.code_dir, found.note) == (built, "")


def test_so_it_is_of_one_that_serves_a_custom_resource(project: Path) -> None:
    """Of which there is something to say: that is no word on its code."""
    (project / "template.yaml").write_text(
        "Resources:\n"
        "  Orders:\n"
        "    Type: AWS::Serverless::Function\n"
        "    Properties: {CodeUri: build/orders, Handler: app.handler}\n"
        "  Data: {Type: 'Custom::Seed', Properties: {ServiceToken: !GetAtt Orders.Arn}}\n",
        encoding="utf-8",
    )
    found = find(project)
    assert found.code_dir == project / "src"
    assert found.note == ""
    assert "the custom resource Data" in found.use


def test_also_where_the_folder_is_beside_that_of_the_template(project: Path) -> None:
    (project / ".git").mkdir()
    (project / "infra").mkdir()
    put_template(project / "infra", "../build/orders")
    found = find(project / "infra")
    assert (found.code_dir, found.build_dir) == (project / "src", project / "build" / "orders")
    (project / ".git").rmdir()
    assert "looks like what a build makes" in find(project / "infra").note


def test_a_folder_with_installed_packages_was_built_whatever_its_name(project: Path) -> None:
    (project / "build" / "orders").rename(project / "package")
    put_template(project, "package")
    assert find(project) == CodeSource(project / "package", "app.handler")
    (project / "package" / "requests-2.32.0.dist-info").mkdir()
    found = find(project)
    assert (found.code_dir, found.build_dir) == (project / "src", project / "package")
    (project / "src" / "app.py").write_text(f"{CODE}# edited", encoding="utf-8")
    assert "looks like what a build makes" in find(project).note


def test_packages_may_be_installed_into_the_folder_that_is_edited(project: Path) -> None:
    (project / "src" / "requests-2.32.0.dist-info").mkdir()
    put_template(project, "src")
    assert find(project) == CodeSource(project / "src", "app.handler")
