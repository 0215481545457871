"""The code of each kind of project, as its own tool lays it out: see tests/projects."""

from __future__ import annotations

from pathlib import Path

import pytest

from plldb.debugger.sources import terraform
from plldb.debugger.sources.choice import CodeOptions, choose_sources
from plldb.debugger.sources.project import CodeSource
from tests.project_layouts import LAYOUTS, TERRAFORM, Layout, copy_project, edit


def find_module(source: CodeSource) -> Path:
    """As Lambda finds it: https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html"""
    assert source.handler is not None
    return source.code_dir / f"{source.handler.rpartition('.')[0].replace('.', '/')}.py"


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_each_function_is_found_where_it_is_edited(layout: Layout, tmp_path: Path) -> None:
    project = copy_project(layout.project, tmp_path)
    chosen = choose_sources(CodeOptions(project), layout.stack)
    expected = {name: project / file for name, file in layout.functions.items()}
    found = {name: find_module(chosen.found[name]) for name in expected}
    assert found == expected
    assert chosen.warnings == {}
    layers = [layer for name in expected for layer in chosen.found[name].layers]
    assert [layer.reason for layer in layers if not layer.folders] == []
    folders = [folder for layer in layers for folder in layer.folders]
    for file in layout.layers:
        assert any((project / file).is_relative_to(folder) for folder in folders)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_even_if_one_was_edited_since_the_tool_ran(layout: Layout, tmp_path: Path) -> None:
    project = copy_project(layout.project, tmp_path)
    edited = next(iter(layout.functions.values()))
    edit(project / edited)
    chosen = choose_sources(CodeOptions(project), layout.stack)
    for name, file in layout.functions.items():
        assert find_module(chosen.found[name]) == project / file


def test_terraform_has_no_stack(tmp_path: Path) -> None:
    project = copy_project("terraform", tmp_path)
    file = project / "show.json"
    functions = terraform.read_project(file.read_text(), file, [project]).read({})
    assert functions.keys() == TERRAFORM.functions.keys()
    for name, path in TERRAFORM.functions.items():
        source = functions[name]
        assert isinstance(source, CodeSource)
        assert find_module(source) == project / path
        assert source.physical_name == name
    orders = functions["terraform-orders"]
    assert isinstance(orders, CodeSource)
    assert [layer.folders for layer in orders.layers] == [(project / "layer",)]
