"""What samconfig.toml says of deploying, in all the ways that SAM takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from plldb.dev.sam_settings import SamSettings, read_sam_settings
from plldb.errors import SourceError


def read(folder: Path, text: str) -> SamSettings:
    (folder / "samconfig.toml").write_text(text)
    return read_sam_settings(folder)


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    assert read_sam_settings(tmp_path) == SamSettings()


def test_deploy_wins_over_global(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        'version = 0.1\n[default.global.parameters]\nstack_name = "shop"\n'
        '[default.deploy.parameters]\nstack_name = "shop-dev"\nregion = "eu-west-1"\n',
    )
    assert settings.stack_name == "shop-dev"


@pytest.mark.parametrize(
    "value",
    [
        '"Stage=dev Title=\\"two words\\" Empty="',
        '["Stage=dev", "Title=two words", "Empty="]',
        '{Stage = "dev", Title = "two words", Empty = ""}',
        '"ParameterKey=Stage,ParameterValue=dev Title=\'two words\' Empty=\\"\\""',
    ],
)
def test_parameters_are_pairs(tmp_path: Path, value: str) -> None:
    text = f"[default.deploy.parameters]\nparameter_overrides = {value}\n"
    expected = {"Stage": "dev", "Title": "two words", "Empty": ""}
    assert read(tmp_path, text).parameters == expected


def test_tags_are_too(tmp_path: Path) -> None:
    assert read(tmp_path, '[default.deploy.parameters]\ntags = "a=b c=d"\n').tags == {
        "a": "b",
        "c": "d",
    }


@pytest.mark.parametrize(
    "text",
    [
        "no toml",
        '[default.deploy.parameters]\nparameter_overrides = "Stage"\n',
        "[default.deploy.parameters]\nparameter_overrides = 7\n",
        '[default.deploy.parameters]\nparameter_overrides = "a=\'b"\n',
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SourceError, match=r"samconfig\.toml"):
        read(tmp_path, text)


def test_names_may_have_hyphens(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        '[default.global.parameters]\nstack-name = "shop"\n'
        '[default.deploy.parameters]\nparameter-overrides = "Stage=dev"\n',
    )
    assert (settings.stack_name, settings.parameters) == ("shop", {"Stage": "dev"})


def test_a_list_is_one_parameter(tmp_path: Path) -> None:
    text = '[default.deploy.parameters]\nparameter_overrides = {Names = ["a", "b"]}\n'
    assert read(tmp_path, text).parameters == {"Names": "a,b"}


@pytest.mark.parametrize("name", ["samconfig.yaml", "samconfig.yml"])
def test_it_may_be_yaml(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(
        "version: 0.1\ndefault:\n  deploy:\n    parameters:\n"
        "      stack_name: shop\n      parameter_overrides: [Stage=dev]\n      tags: a=b\n"
    )
    assert read_sam_settings(tmp_path) == SamSettings("shop", {"Stage": "dev"}, {"a": "b"})
