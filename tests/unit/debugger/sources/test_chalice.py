"""Apps as Chalice packages them, beyond what tests/projects has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plldb.debugger.sources.chalice import find_projects, find_template_project
from plldb.debugger.sources.project import CodeSource, DescribedLayer

FUNCTION = {
    "Type": "AWS::Serverless::Function",
    "Properties": {
        "CodeUri": "./deployment.zip",
        "Handler": "app.app",
        "Runtime": "python3.13",
        "Layers": [{"Ref": "ManagedLayer"}],
    },
}
LAYER = {
    "Type": "AWS::Serverless::LayerVersion",
    "Properties": {"ContentUri": "./layer-deployment.zip", "LayerName": "app-dev-managed-layer"},
}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / ".chalice").mkdir()
    (tmp_path / ".chalice" / "config.json").write_text("{}")
    (tmp_path / "out").mkdir()
    template = {"Resources": {"APIHandler": FUNCTION, "ManagedLayer": LAYER}}
    (tmp_path / "out" / "sam.json").write_text(json.dumps(template))
    (tmp_path / "out" / "deployment.zip").touch()
    return tmp_path


def test_a_layer_of_its_own_has_what_is_vendored(app: Path) -> None:
    """Chalice calls that ``automatic_layer``."""
    (project,) = find_projects(app)
    reason = "it has what requirements.txt names"
    layer = DescribedLayer("ManagedLayer", (), reason, "app-dev-managed-layer")
    assert project.read({}) == {"APIHandler": CodeSource(app, "app.app", "python3.13", (layer,))}
    (app / "vendor").mkdir()
    source = project.read({})["APIHandler"]
    assert isinstance(source, CodeSource)
    assert {folder for one in source.layers for folder in one.folders} == {app / "vendor"}


def test_one_output_for_each_stage_and_none_before_it_is_packaged(app: Path) -> None:
    (app / "production").mkdir()
    (app / "production" / "sam.yaml").write_text("Resources: {}")
    assert [project.file.parent.name for project in find_projects(app)] == ["out", "production"]
    assert find_projects(app / "out") == []


def test_an_output_may_be_a_folder_further_down(app: Path) -> None:
    (app / "out").rename(app / "prod")
    (app / "out").mkdir()
    (app / "prod").rename(app / "out" / "prod")
    (project,) = find_projects(app)
    source = project.read({})["APIHandler"]
    assert isinstance(source, CodeSource)
    assert source.code_dir == app
    # It may be another app's, or none at all.
    (app / "out" / ".chalice").mkdir()
    (app / "out" / ".chalice" / "config.json").write_text("{}")
    assert find_projects(app) == []
    (app / "out" / ".chalice" / "config.json").unlink()
    (app / "out" / "prod" / "deployment.zip").unlink()
    assert find_projects(app) == []


def test_a_template_that_is_named(app: Path) -> None:
    project = find_template_project(app / "out" / "sam.json")
    assert project is not None
    source = project.read({})["APIHandler"]
    assert isinstance(source, CodeSource)
    assert source.code_dir == app
    (app / "out" / "deployment.zip").unlink()
    assert find_template_project(app / "out" / "sam.json") is None


def test_other_functions_of_the_template_are_where_it_says(app: Path) -> None:
    """Chalice merges a template of the developer's into its own."""
    (app / "out" / "more").mkdir()
    more = {"Type": FUNCTION["Type"], "Properties": {"CodeUri": "more", "Handler": "x.y"}}
    (app / "out" / "sam.json").write_text(json.dumps({"Resources": {"More": more}}))
    (project,) = find_projects(app)
    assert project.read({}) == {"More": CodeSource(app / "out" / "more", "x.y")}
