"""The helper stack's template, as tests read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

import plldb.bootstrap

TEMPLATE = Path(plldb.bootstrap.__file__).parent / "cloudformation" / "template.yaml"


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: ``!Ref x`` is ``{"Ref": "x"}``, and so on."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def load() -> dict[str, Any]:
    template = yaml.load(TEMPLATE.read_text(encoding="utf-8"), _Loader)
    assert isinstance(template, dict)
    return template


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
