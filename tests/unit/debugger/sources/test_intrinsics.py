"""What CloudFormation's functions give before CloudFormation computes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.sources.intrinsics import Scope, UnknownValueError
from plldb.templates import parse_template

TEMPLATE = parse_template("""
Parameters:
  Stage: { Type: String, Default: dev }
  Names: { Type: CommaDelimitedList, Default: "a, b" }
  Secret: { Type: String, NoEcho: true, Default: x }
  Stored: { Type: "AWS::SSM::Parameter::Value<String>", Default: /a/b }
  Given: { Type: String }
  On: { Type: String, Default: true }
Mappings:
  Folders: { dev: { Code: src/dev }, prod: { Code: src/prod } }
  Accounts: { 123456789012: { 2: src/two, true: src/true } }
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsDev: !Not [!Condition IsProd]
  Both: !And [!Condition IsProd, !Condition IsDev]
  Either: !Or [!Condition IsProd, !Condition IsDev]
  Unknown: !Equals [!Ref Given, x]
  IsOn: !Equals [!Ref On, true]
  Endless: !Not [!Condition Endless]
Resources: {}
""")


def resolve(text: str, **parameters: str) -> object:
    value = parse_template(f"Resources: {{ x: {text} }}")["Resources"]["x"]
    return Scope(TEMPLATE, parameters).resolve(value)


@pytest.mark.parametrize(
    ("text", "parameters", "expected"),
    [
        ("!Ref Stage", {}, "dev"),
        ("!Ref Stage", {"Stage": "prod"}, "prod"),
        ("!Ref Names", {}, ["a", "b"]),
        ("!Ref On", {}, "true"),
        ("!Sub 'src/${Stage}/${!x}'", {}, "src/dev/${x}"),
        ("!Sub ['${a}/${Stage}', {a: !Ref Stage}]", {}, "dev/dev"),
        ("!Sub '${AWS::Region}'", {"AWS::Region": "eu-west-1"}, "eu-west-1"),
        ("!Join [/, [src, !Ref Stage]]", {}, "src/dev"),
        ("!If [IsProd, a, b]", {}, "b"),
        ("!If [IsProd, a, b]", {"Stage": "prod"}, "a"),
        ("!If [IsDev, !If [Both, x, !Ref Stage], !Ref Given]", {}, "dev"),
        ("!If [Either, a, b]", {}, "a"),
        ("!If [IsOn, a, b]", {}, "a"),
        ("!If [IsOn, a, b]", {"On": "false"}, "b"),
        ("!FindInMap [Folders, !Ref Stage, Code]", {}, "src/dev"),
        ("!FindInMap [Folders, test, Code, DefaultValue: !Sub 'src/${Stage}']", {}, "src/dev"),
        ("!FindInMap [Folders, dev, Code, DefaultValue: src]", {}, "src/dev"),
        (
            "!FindInMap [Accounts, !Ref AWS::AccountId, '2']",
            {"AWS::AccountId": "123456789012"},
            "src/two",
        ),
        ("!FindInMap [Accounts, 123456789012, !Ref On]", {}, "src/true"),
        ("!Select [1, !Split ['-', a-b]]", {}, "b"),
        ("{a: !Ref Stage}", {}, {"a": "dev"}),
    ],
)
def test_what_is_known(text: str, parameters: dict[str, str], expected: object) -> None:
    assert resolve(text, **parameters) == expected


@pytest.mark.parametrize(
    "text",
    [
        "!Ref Given",
        "!Ref Nowhere",
        "!Ref Secret",
        "!Ref Stored",
        "!Sub '${Given}'",
        "!Sub [1, 2, 3]",
        "!Sub {a: b}",
        "!If [Unknown, a, b]",
        "!If [Nowhere, a, b]",
        "!If [Endless, a, b]",
        "!If a",
        "!GetAtt a.b",
        "!ImportValue a",
        "!FindInMap [Folders, other, Code]",
        "!FindInMap [Folders, !Ref Given, Code, DefaultValue: src]",
        "!Select [7, [a]]",
        "!Join [a]",
        "'{{resolve:ssm:/a/b}}'",
        "'a-{{resolve:secretsmanager:a:SecretString:b}}-c'",
        "!Sub '{{resolve:ssm:/${Stage}/a}}-fn'",
        "!Join ['', ['{{resolve:', 'ssm:/a}}']]",
        "!Select [1, !Split ['/', '{{resolve:ssm:/a/b}}']]",
        "!If [IsProd, a, '{{resolve:ssm:/a}}']",
    ],
)
def test_what_is_not(text: str) -> None:
    with pytest.raises(UnknownValueError):
        resolve(text)
    assert Scope(TEMPLATE).find_text(parse_template(f"Resources: {{x: {text}}}")) is None


def test_a_parameter_with_another_value_is_not_its_default() -> None:
    with pytest.raises(UnknownValueError):
        Scope(TEMPLATE, unknown=frozenset({"Stage"})).resolve({"Ref": "Stage"})


_NAMES = st.sampled_from(
    ["Ref", "Fn::Sub", "Fn::If", "Fn::Join", "Fn::Select", "Fn::Split", "Fn::FindInMap", "Fn::X"]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("Stage"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=2),
    max_leaves=8,
)


@given(_JSON)
def test_whatever_stands_there_is_known_or_not(value: object) -> None:
    try:
        Scope(TEMPLATE).resolve(value)
    except UnknownValueError:
        return
