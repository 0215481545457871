"""Which stack a command is about, where nobody names one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.config import ConfigFile, FileOverrides, FileStack
from plldb.dev.project_stack import find_stack_name, name_after
from plldb.errors import UsageError


def file_of(*names: str, **commands: dict[str, object]) -> ConfigFile:
    stacks = {name: FileStack(FileOverrides(), {}) for name in names}
    return ConfigFile(Path("plldb.toml"), "--config", None, {}, stacks, commands=commands)


def synthesise(folder: Path, *names: str) -> None:
    (folder / "cdk.out").mkdir()
    artifacts = {}
    for name in names:
        template = f"{name}.template.json"
        (folder / "cdk.out" / template).write_text('{"Resources": {}}')
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": "aws://unknown-account/unknown-region",
            "properties": {"templateFile": template},
        }
    manifest = {"version": "36.0.0", "artifacts": artifacts}
    (folder / "cdk.out" / "manifest.json").write_text(json.dumps(manifest))


def test_the_one_of_plldb_toml(tmp_path: Path) -> None:
    synthesise(tmp_path, "one", "two")
    assert find_stack_name(tmp_path, file_of("shop")) == "shop"


def test_the_one_that_dev_deploys_wins(tmp_path: Path) -> None:
    synthesise(tmp_path, "one", "two")
    file = file_of("a", "b", dev={"stack-name": "two"}, attach={"stacks": ["a"]})
    assert find_stack_name(tmp_path, file) == "two"


def test_then_the_one_that_is_attached_to(tmp_path: Path) -> None:
    attach: dict[str, object] = {"stacks": ["b"]}
    assert find_stack_name(tmp_path, file_of("a", "b", dev={}, attach=attach)) == "b"
    with pytest.raises(UsageError, match="several stacks: b, c"):
        find_stack_name(tmp_path, file_of("b", attach={"stacks": ["b", "c"]}))
    assert find_stack_name(tmp_path, file_of("shop", attach=attach), is_deployed=False) == "shop"


@pytest.mark.parametrize(
    ("attached", "found"),
    [(["two"], "two"), (["other", "two"], "two"), ([], None), (["other"], None)],
)
def test_of_several_the_one_that_is_attached_to(
    attached: list[str], found: str | None, tmp_path: Path
) -> None:
    synthesise(tmp_path, "one", "two")
    for file in (None, file_of("one", "two")):
        if found is not None:
            assert find_stack_name(tmp_path, file, find_attached=lambda: attached) == found
            continue
        with pytest.raises(UsageError, match="several stacks: one, two"):
            find_stack_name(tmp_path, file, find_attached=lambda: attached)


def test_where_none_is_named_the_one_that_is_attached_to(tmp_path: Path) -> None:
    assert find_stack_name(tmp_path, None, find_attached=lambda: ["shop"]) == "shop"
    found = find_stack_name(tmp_path, None, find_attached=lambda: ["shop", "billing"])
    assert found == name_after(tmp_path)
    synthesise(tmp_path, "one")
    assert find_stack_name(tmp_path, None, find_attached=lambda: ["shop"]) == "one"


def test_or_the_one_that_the_project_is_deployed_as(tmp_path: Path) -> None:
    synthesise(tmp_path, "one", "two")
    with pytest.raises(UsageError, match="several stacks: one, two") as raised:
        find_stack_name(tmp_path, None)
    assert raised.value.hint == "Name the stack with --stack-name."


@pytest.mark.parametrize("is_deployed", [True, False])
def test_of_several_that_sam_deploys_the_one_of_its_default(
    tmp_path: Path, is_deployed: bool
) -> None:
    (tmp_path / "template.yaml").write_text("Resources: {}")
    text = "".join(
        f'[{environment}.deploy.parameters]\nstack_name = "app-{name}"\n'
        for environment, name in (("default", "dev"), ("beta", "beta"), ("prod", "prod"))
    )
    (tmp_path / "samconfig.toml").write_text(text)
    assert find_stack_name(tmp_path, None, is_deployed=is_deployed) == "app-dev"
    (tmp_path / "samconfig.toml").write_text(text.replace("default", "dev"))
    with pytest.raises(UsageError, match="several stacks: app-beta, app-dev, app-prod"):
        find_stack_name(tmp_path, None, is_deployed=is_deployed)


def test_or_the_one_that_is_called_as_the_folder(tmp_path: Path) -> None:
    (folder := tmp_path / "my_shop").mkdir()
    (folder / "template.yaml").write_text("Resources: {}")
    assert find_stack_name(folder, None) == "my-shop"
    assert find_stack_name(folder, file_of()) == "my-shop"


def test_several_in_plldb_toml_are_too_many(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="several stacks: a, b"):
        find_stack_name(tmp_path, file_of("a", "b"))


@pytest.mark.parametrize(
    ("folder", "name"),
    [("shop", "shop"), ("my shop (2)", "my-shop-2"), ("2nd", "stack-2nd"), ("___", "stack")],
)
def test_a_folder_gives_a_name_that_cloudformation_takes(folder: str, name: str) -> None:
    assert name_after(Path(folder)) == name


@given(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=300))
def test_whatever_it_is_called(folder: str) -> None:
    name = name_after(Path("/") / folder)
    assert name[0].isascii()
    assert name[0].isalpha()
    assert all(one.isascii() and (one.isalnum() or one == "-") for one in name)
    assert len(name) <= 128
