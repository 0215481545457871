"""Loops and included files of a template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plldb.debugger.sources.expansion import expand
from plldb.debugger.sources.intrinsics import Scope
from plldb.errors import SourceError
from plldb.templates import parse_template


def expanded(folder: Path, text: str) -> dict[str, Any]:
    return expand(folder / "template.yaml", Scope(parse_template(text)))


LOOP = """
Transform: AWS::LanguageExtensions
Parameters: {{ Names: {{ Type: CommaDelimitedList, Default: "c,d" }} }}
Resources:
  Fn::ForEach::Functions:
    - Name
    - {values}
    - ${{Name}}Function:
        Type: AWS::Lambda::Function
        Properties:
          Code: !Sub "src/${{Name}}"
          Handler: "${{Name}}.handler"
          FunctionName: !Ref Name
  Other: {{ Type: AWS::SQS::Queue }}
"""


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ("[a, b]", ["a", "b"]),
        ("!Ref Names", ["c", "d"]),
        ("[a, !Ref Names]", ["a", "c", "d"]),
        ("[]", []),
        ("!Ref Nowhere", []),
    ],
)
def test_a_loop(tmp_path: Path, values: str, names: list[str]) -> None:
    found = expanded(tmp_path, LOOP.format(values=values))
    assert found.keys() == {*(f"{name}Function" for name in names), "Other"}
    for name in names:
        assert found[f"{name}Function"]["Properties"] == {
            "Code": {"Fn::Sub": f"src/{name}"},
            "Handler": f"{name}.handler",
            "FunctionName": name,
        }


def test_a_loop_in_a_loop_and_names_without_what_no_logical_id_has(tmp_path: Path) -> None:
    found = expanded(
        tmp_path,
        """
Resources:
  Fn::ForEach::A:
    - X
    - [a-1, a-2]
    - Fn::ForEach::B:
        - Y
        - [b, c]
        - F&{X}${Y}: { Type: T, Properties: { N: "${X}/${Y}" } }
""",
    )
    assert {name: one["Properties"]["N"] for name, one in found.items()} == {
        "Fa1b": "a-1/b",
        "Fa1c": "a-1/c",
        "Fa2b": "a-2/b",
        "Fa2c": "a-2/c",
    }


@pytest.mark.parametrize("loop", ["1", "[]", "[A]", "[A, [b], c]", "[[A], [b], {}]"])
def test_a_loop_that_is_none_gives_nothing(tmp_path: Path, loop: str) -> None:
    assert expanded(tmp_path, f"Resources: {{'Fn::ForEach::A': {loop}}}") == {}


def test_far_too_many(tmp_path: Path) -> None:
    values = ", ".join(str(number) for number in range(100))
    text = f"""
Resources:
  Fn::ForEach::A: [A, [{values}], {{"Fn::ForEach::B": [B, [{values}], {{"F${{A}}x${{B}}": 1}}]}}]
"""
    with pytest.raises(SourceError, match="more than 5000 resources"):
        expanded(tmp_path, text)


def test_included_files(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text("Resources: { A: { Type: T, P: !Sub x } }")
    (tmp_path / "some.json").write_text('{"B": {"Type": "T"}}')
    (tmp_path / "properties.yaml").write_text("Code: src")
    found = expanded(
        tmp_path,
        """
Transform: [AWS::Serverless-2016-10-31, { Name: AWS::Include, Parameters: { Location: all.yaml } }]
Resources:
  Fn::Transform: { Name: AWS::Include, Parameters: { Location: some.json } }
  C:
    Properties:
      Handler: a.b
      Fn::Transform: { Name: AWS::Include, Parameters: { Location: ./properties.yaml } }
  D: { Fn::Transform: { Name: AWS::Include, Parameters: { Location: s3://bucket/key } } }
  E: !Transform { Name: Other, Parameters: {} }
""",
    )
    assert found == {
        "A": {"Type": "T", "P": {"Fn::Sub": "x"}},
        "B": {"Type": "T"},
        "C": {"Properties": {"Handler": "a.b", "Code": "src"}},
        "D": {
            "Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": "s3://bucket/key"}}
        },
        "E": {"Fn::Transform": {"Name": "Other", "Parameters": {}}},
    }


def test_an_included_file_that_is_broken(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [")
    text = "Resources: {Fn::Transform: {Name: AWS::Include, Parameters: {Location: a.yaml}}}"
    with pytest.raises(SourceError, match=r"a\.yaml is not YAML"):
        expanded(tmp_path, text)
