"""``/var/task`` and ``/opt`` in variables are folders of this machine."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.children.lambda_paths import LambdaPaths

CODE = LambdaPaths(Path("/home/me/app"))


@pytest.fixture
def layers(tmp_path: Path) -> LambdaPaths:
    """``both`` is in both layers, ``first`` and ``second`` are in one of them."""
    for layer in ("one", "two"):
        (tmp_path / layer / "both").mkdir(parents=True)
    (tmp_path / "one" / "first").touch()
    (tmp_path / "two" / "second").touch()
    return LambdaPaths(tmp_path / "app", (tmp_path / "one", tmp_path / "two"))


class TestTheCode:
    @pytest.mark.parametrize(
        ("value", "mapped"),
        [
            ("/var/task", "/home/me/app"),
            ("/var/task/", "/home/me/app/"),
            ("/var/task/src/a.json", "/home/me/app/src/a.json"),
            ("/var/task:/usr/lib", "/home/me/app:/usr/lib"),
            ("/usr/lib:/var/task/lib", "/usr/lib:/home/me/app/lib"),
            ("file:///var/task/a.json", "file:///home/me/app/a.json"),
            ("--config=/var/task/a.yaml -v", "--config=/home/me/app/a.yaml -v"),
            ("sqlite:////var/task/a.db", "sqlite:////home/me/app/a.db"),
            ('{"path": "/var/task/a", "n": 1}', '{"path": "/home/me/app/a", "n": 1}'),
            ("['/var/task/a','/var/task/b']", "['/home/me/app/a','/home/me/app/b']"),
            ("/var/task/a,/var/task/b", "/home/me/app/a,/home/me/app/b"),
            ("/var/task/with=sign;/var/task/b", "/home/me/app/with=sign;/home/me/app/b"),
        ],
    )
    def test_is_where_it_is_edited(self, value: str, mapped: str) -> None:
        assert CODE.map_value("X", value) == mapped

    @pytest.mark.parametrize(
        "value",
        [
            *("", "task", "/var/task2", "/var/task-2/a", "/var/task.d", "/var/tasks", "/var/taské"),
            *("/srv/var/task", "../var/task", "~/var/task", "$HOME/var/task", "${HOME}/var/task"),
            *("s3://bucket/var/task", "https://host/var/task", "https://host:80/var/task"),
            *(
                "//var/task",
                "sqlite:///var/task",
                "/options",
                "/opt2/a",
                "/opt-a",
                "/home/opt/a",
                "opt",
                "a/opt",
            ),
            "arn:aws:ssm:eu-west-1:1:parameter/opt/a",
        ],
    )
    def test_what_only_looks_like_it_stays(self, value: str) -> None:
        assert CODE.map_value("X", value) == value
        assert CODE.map_value("PATH", value) == value


class TestTheLayers:
    def test_a_file_is_the_one_of_the_last_layer_that_has_it(
        self, layers: LambdaPaths, tmp_path: Path
    ) -> None:
        assert layers.map_value("X", "/opt/first") == f"{tmp_path}/one/first"
        assert layers.map_value("X", "/opt/second") == f"{tmp_path}/two/second"
        assert layers.map_value("X", "/opt/both") == f"{tmp_path}/two/both"

    def test_what_no_layer_has_stays(self, layers: LambdaPaths) -> None:
        """It may be one of an extension, or be on this machine under the same name."""
        assert layers.map_value("X", "/opt/third") == "/opt/third"
        assert CODE.map_value("X", "/opt") == "/opt"

    def test_a_list_has_all_that_have_it(self, layers: LambdaPaths, tmp_path: Path) -> None:
        both = f"{tmp_path}/two/both:{tmp_path}/one/both"
        assert layers.map_value("PYTHONPATH", "/opt/both") == both
        assert layers.map_value("X", "/usr/lib:/opt/both") == f"/usr/lib:{both}"
        assert layers.map_value("X", "/var/task:/opt/third:/opt/both") == (
            f"{tmp_path}/app:/opt/third:{both}"
        )

    def test_what_is_no_list_of_paths_has_one(self, layers: LambdaPaths, tmp_path: Path) -> None:
        assert layers.map_value("X", "mode:/opt/both") == f"mode:{tmp_path}/two/both"


# Whatever can stand before a path in a value, and after one.
BEFORE = st.sampled_from([*": ;,=|\"'([{<>&!@\n"])
AFTER = st.sampled_from([*": ;,|\"')]}<>&\n"])
TEXT = st.text(st.sampled_from([*string.ascii_letters, *"._-/:é$ "]), max_size=12)
COMPONENT = st.text(string.ascii_lowercase, min_size=1, max_size=5)


class TestAnyValue:
    @given(st.text())
    def test_without_lambdas_folders_stays(self, value: str) -> None:
        if "/var/task" not in value and "/opt" not in value:
            assert CODE.map_value("X", value) == value

    @given(TEXT)
    def test_of_a_function_without_layers_keeps_opt(self, value: str) -> None:
        assert CODE.map_value("X", f"/opt/{value}") == f"/opt/{value}".replace(
            ":/var/task", ":/home/me/app"
        )

    @given(BEFORE, st.lists(COMPONENT), AFTER)
    def test_between_separators_is_mapped(self, before: str, parts: list[str], after: str) -> None:
        rest = "".join(f"/{part}" for part in parts)
        mapped = CODE.map_value("X", f"{before}/var/task{rest}{after}")
        assert mapped == f"{before}/home/me/app{rest}{after}"

    @given(COMPONENT, st.sampled_from(["/var/task", "/opt"]), st.sampled_from(["", "/", "/a"]))
    def test_within_a_longer_component_or_path_stays(
        self, word: str, place: str, rest: str
    ) -> None:
        for value in (f"{word}{place}{rest}", f"/{word}{place}{rest}", f"{place}{word}{rest}"):
            assert CODE.map_value("X", value) == value
            assert CODE.map_value("PATH", value) == value

    @given(st.lists(COMPONENT, max_size=4))
    def test_folders_of_this_machine_with_such_names_are_not_mapped_twice(
        self, parts: list[str]
    ) -> None:
        paths = LambdaPaths(Path("/opt/work"), (Path("/var/task"),))
        value = ":".join(["/var/task", *(f"/var/task/{part}" for part in parts)])
        assert paths.map_value("PATH", value) == value.replace("/var/task", "/opt/work")
