"""Templates as values, whatever form they were written in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plldb.errors import SourceError
from plldb.templates import TemplateError, is_computed, parse_template, read_template


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("!Ref x", {"Ref": "x"}),
        ("!Condition x", {"Condition": "x"}),
        ("!Sub 'a-${b}'", {"Fn::Sub": "a-${b}"}),
        ("!GetAtt a.b.c", {"Fn::GetAtt": ["a", "b.c"]}),
        ("!GetAtt [a, b]", {"Fn::GetAtt": ["a", "b"]}),
        ("!If [a, !Ref b, {c: !Sub d}]", {"Fn::If": ["a", {"Ref": "b"}, {"c": {"Fn::Sub": "d"}}]}),
        ("!Transform {Name: x}", {"Fn::Transform": {"Name": "x"}}),
    ],
)
def test_short_forms_are_long_ones(short: str, long: object) -> None:
    assert parse_template(f"Resources: {{A: {short}}}")["Resources"]["A"] == long
    assert is_computed(long) or "Condition" in str(long)


def test_anchors_merge_keys_and_duplicate_ones(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_bytes(
        b"\xef\xbb\xbfx: &x {Handler: a.b}\nResources: {A: {<<: *x}, B: *x, B: {Handler: last}}\n"
    )
    resources = read_template(path)["Resources"]
    assert resources == {"A": {"Handler": "a.b"}, "B": {"Handler": "last"}}


def test_json_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({"Resources": {}}).encode())
    assert read_template(path) == {"Resources": {}}


@pytest.mark.parametrize(
    "text", ["2012-10-17", "2024-01-01T00:00:00Z", "2024-13-45", "=", "on", "Yes"]
)
def test_what_is_a_text_to_cloudformation(text: str) -> None:
    assert parse_template(f"Resources: {{A: {text}}}")["Resources"] == {"A": text}


@pytest.mark.parametrize("is_json", [False, True])
def test_half_of_a_character_is_refused(is_json: bool) -> None:
    with pytest.raises(TemplateError, match="is not"):
        parse_template('{"Resources": {"A": {"Code": "x = \'\\ud83d\'"}}}', is_json=is_json)


def test_json_in_a_file_of_another_name(tmp_path: Path) -> None:
    path = tmp_path / "stack.template"
    resources = {"A": {"Description": "/😀", "Number": 1e3}}
    path.write_text(json.dumps({"Resources": resources}, indent="\t"))
    assert read_template(path)["Resources"] == resources


def test_one_of_more_than_a_megabyte() -> None:
    resource = "  R{}:\n    Type: AWS::SQS::Queue\n    Properties: {{ QueueName: !Sub x }}\n"
    text = "Resources:\n" + "".join(resource.format(number) for number in range(18000))
    assert len(text) > 2**20
    assert len(parse_template(text)["Resources"]) == 18000


@pytest.mark.parametrize("text", ["{", "[]", "x", "{}", "Resources: 1", "- " * 20000 + "a"])
@pytest.mark.parametrize("is_json", [False, True])
def test_what_is_none(text: str, is_json: bool) -> None:
    with pytest.raises(TemplateError, match=r"^is n"):
        parse_template(text, is_json=is_json)


@pytest.mark.parametrize(
    "text",
    [
        "Resources: &all {One: *all}",
        "\n".join(
            ["Resources:", "  A0: &a0 [x, x]"]
            + [f"  A{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 100)]
        ),
        "Resources: " + "[" * 300 + "]" * 300,
    ],
    ids=["in itself", "doubled a hundred times", "deep"],
)
def test_what_would_never_be_read_to_its_end(text: str) -> None:
    with pytest.raises(TemplateError, match=r"nested|aliases"):
        parse_template(text)


def test_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("a: [")
    with pytest.raises(SourceError, match=r"t\.yaml is not YAML: .* at line 2"):
        read_template(tmp_path / "t.yaml")
