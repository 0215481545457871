"""What samconfig.toml says of deploying, in all the ways that SAM takes."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

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


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("A=1 B=2", {"A": "1", "B": "2"}),
        ("A=one word  B=2 ", {"A": "one word", "B": "2"}),
        ("A='x C=3' B=it's", {"A": "x C=3", "B": "it's"}),
        (
            "ParameterKey=A,ParameterValue=1 ParameterKey=B,ParameterValue='x C=3'",
            {"A": "1", "B": "x C=3"},
        ),
        ("A=https://host/?b=c", {"A": "https://host/?b=c"}),
        ("A= B=2", {"A": "", "B": "2"}),
    ],
)
def test_an_item_of_a_list_may_have_several(
    tmp_path: Path, item: str, expected: dict[str, str]
) -> None:
    text = f'[default.deploy.parameters]\nparameter_overrides = ["{item}"]\n'
    assert read(tmp_path, text).parameters == expected


class TestFilesOfParameters:
    FILES: ClassVar[dict[str, str]] = {
        "p.json": '{"Stage": "dev", "Names": ["a", "b"], "Empty": null}',
        "p.yaml": "Stage: dev\nNames: [a, b]\nEmpty:\n",
        "p.toml": 'Stage = "dev"\nNames = ["a", "b"]\nEmpty = ""\n',
        "list.yml": '- Stage=dev Empty=""\n- Names: [a, b]\n',
        "sub/outer.yaml": "$include: [file://inner.yaml]\nStage: dev\n",
        "sub/inner.yaml": "{Stage: overruled, Names: 'a,b', Empty: ''}\n",
    }

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name, text in self.FILES.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    @pytest.mark.parametrize("name", ["p.json", "p.yaml", "p.toml", "list.yml", "sub/outer.yaml"])
    def test_are_named_from_the_folder_and_the_later_wins(self, folder: Path, name: str) -> None:
        start = "[default.deploy.parameters]\nparameter_overrides = "
        parameters = {"Stage": "dev", "Names": "a,b", "Empty": ""}
        assert read(folder, f'{start}"file://{name}"').parameters == parameters
        settings = read(folder, f'{start}["Stage=a Mine=1", "file://{name}", "Empty=no"]')
        assert settings.parameters == {**parameters, "Mine": "1", "Empty": "no"}

    @pytest.mark.parametrize(
        ("name", "what"), [("gone.json", "is not there"), ("sub/circle.yaml", "included by itself")]
    )
    def test_that_can_not_be_read_are_named(self, folder: Path, name: str, what: str) -> None:
        (folder / "sub" / "circle.yaml").write_text("$include: file://circle.yaml\n")
        with pytest.raises(SourceError, match=rf"{name} .*{what}"):
            read(folder, f'[default.deploy.parameters]\nparameter_overrides = "file://{name}"')


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
    expected = SamSettings("shop", {"Stage": "dev"}, {"a": "b"}, (tmp_path / name,))
    assert read_sam_settings(tmp_path) == expected


def test_it_says_in_which_files_they_stand(tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text('{"Stage": "dev"}')
    (tmp_path / "mine.yaml").write_text("{$include: 'file://base.json', Size: 1}")
    text = '[default.deploy.parameters]\nparameter_overrides = "file://mine.yaml"\n'
    found = read(tmp_path, text)
    assert found.parameters == {"Stage": "dev", "Size": "1"}
    assert [path.name for path in found.files] == ["samconfig.toml", "mine.yaml", "base.json"]
