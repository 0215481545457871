"""The stacks that the CDK synthesised."""

from __future__ import annotations

import json
from pathlib import Path

from plldb.debugger.sources.cdk import find_projects
from plldb.debugger.sources.project import CodeSource


def synthesise(project: Path, name: str, asset: str = "asset.abc") -> None:
    (project / "cdk.out" / "asset.abc").mkdir(parents=True, exist_ok=True)
    template = {
        "Resources": {
            "GreeterAB12": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Code": {"S3Bucket": {"Fn::Sub": "cdk-${AWS::Region}"}, "S3Key": "abc.zip"},
                    "Handler": "index.handler",
                    "Runtime": "python3.13",
                },
                "Metadata": {"aws:cdk:path": "x", "aws:asset:path": asset},
            }
        }
    }
    (project / "cdk.out" / f"{name}.template.json").write_text(json.dumps(template))


def test_an_asset(tmp_path: Path) -> None:
    synthesise(tmp_path, "Stack")
    (project,) = find_projects(tmp_path)
    at = tmp_path / "cdk.out" / "asset.abc"
    assert project.read({}) == {"GreeterAB12": CodeSource(at, "index.handler", "python3.13")}


def test_an_asset_that_is_no_copy(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    synthesise(tmp_path, "Stack", str(tmp_path / "src"))
    (project,) = find_projects(tmp_path)
    source = project.read({})["GreeterAB12"]
    assert isinstance(source, CodeSource)
    assert source.code_dir == tmp_path / "src"


def test_several_have_names_and_a_nested_one_is_none_of_them(tmp_path: Path) -> None:
    for name in ("A", "B", "ANested.nested"):
        synthesise(tmp_path, name)
    assert [one.stack_names for one in find_projects(tmp_path)] == [{"A"}, {"B"}]
