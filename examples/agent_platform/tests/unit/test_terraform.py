"""``terraform/`` makes what ``template.yaml`` makes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

_APP = Path(__file__).parents[2]
_TERRAFORM = _APP / "terraform"


class _Loader(yaml.SafeLoader):
    """Takes ``!Ref Table`` for what is referred to."""


_Loader.add_multi_constructor("!", lambda loader, tag, node: node.value)


def _read_template() -> dict[str, Any]:
    text = (_APP / "template.yaml").read_text(encoding="utf-8")
    template: dict[str, Any] = yaml.load(text, _Loader)
    return template["Resources"]


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = _unquote(hcl2.loads(path.read_text(encoding="utf-8")))
    return found


def _unquote(value: Any) -> Any:
    match value:
        case dict():
            return {_unquote(name): _unquote(one) for name, one in value.items()}
        case list():
            return [_unquote(one) for one in value]
        case str():
            return value.removeprefix('"').removesuffix('"')
    return value


def _list_resources(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in _TERRAFORM.glob("*.tf"):
        for blocks in _read(path).get("resource", []):
            yield from blocks.get(kind, {}).items()


def test_the_function_is_the_same() -> None:
    [(_, function)] = _list_resources("aws_lambda_function")
    expected = _read_template()["Platform"]["Properties"]
    for ours, theirs in (("handler", "Handler"), ("runtime", "Runtime"), ("timeout", "Timeout")):
        assert function[ours] == expected[theirs]
    [environment] = function["environment"]
    assert {*environment["variables"]} == {*expected["Environment"]["Variables"]}


def test_the_tables_have_the_same_keys_indexes_and_times_to_live() -> None:
    tables = dict(_list_resources("aws_dynamodb_table"))
    expected = {
        name.lower(): resource["Properties"]
        for name, resource in _read_template().items()
        if resource["Type"] == "AWS::DynamoDB::Table"
    }
    assert {*tables} == {*expected}
    for name, table in tables.items():
        assert _describe_keys(table) == _describe_key_schema(expected[name]), name
        indexes = {one["name"]: one for one in table.get("global_secondary_index", [])}
        wanted = {one["IndexName"]: one for one in expected[name].get("GlobalSecondaryIndexes", [])}
        assert {*indexes} == {*wanted}, name
        for index, found in indexes.items():
            assert _describe_keys(found) == _describe_key_schema(wanted[index]), index
        [ttl] = table.get("ttl", [{}])
        assert ttl.get("attribute_name") == (
            expected[name].get("TimeToLiveSpecification", {}).get("AttributeName")
        )


def _describe_keys(table: dict[str, Any]) -> list[str]:
    return [table[key] for key in ("hash_key", "range_key") if key in table]


def _describe_key_schema(table: dict[str, Any]) -> list[str]:
    return [key["AttributeName"] for key in table["KeySchema"]]


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_an_environment_sets_variables_that_there_are(environment: str) -> None:
    declared = {name for block in _read(_TERRAFORM / "variables.tf")["variable"] for name in block}
    given = _read(_TERRAFORM / "environments" / f"{environment}.tfvars")
    assert {*given} <= declared
    assert given["environment"] == environment
