"""plldb.toml: which one is read, and that it is told of whatever makes no sense in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plldb.config import ConfigFile, FileOverrides, FileStack
from plldb.errors import UsageError
from plldb.settings_file import load, read

WHOLE = """
environment = "production"

[environments.development]
region = "eu-central-1"
verbose = true

[environments.development.parameters]
LogRetentionDays = 7
PointInTimeRecovery = true
AlarmTopicArn = ""
Dashboard = "false"

[environments.production]
profile = "prod"
target = "aws"
helper-stack = "plldb-prod"
output = "json"

[environments.laptop]
endpoint-url = "http://127.0.0.1:4566/"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "project" / "src"
    inner.mkdir(parents=True)
    return inner


def written(folder: Path, text: str, name: str = "plldb.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


class TestTags:
    def test_they_are_text(self, folder: Path) -> None:
        text = "[tags]\nCostCenter = 1234\n'team:name' = 'a b'\nempty = ''\nlive = true"
        tags = {"CostCenter": "1234", "team:name": "a b", "empty": "", "live": "true"}
        assert read(written(folder, text), "--config").tags == tags

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("tags = 'a'", "Give a table"),
            ("[tags]\na = []", "Give a string"),
            ("[tags]\n'aws:x' = 'a'", "not yours to set"),
            ("[tags]\n'plldb:version' = 'a'", "not yours to set"),
            ("[tags]\n'a*' = 'a'", "can't be a tag"),
            ("[tags]\n'' = 'a'", "can't be a tag"),
            (f"[tags]\na = '{'x' * 257}'", "can't be a tag"),
            (f"[tags]\n{'x' * 129} = 'a'", "can't be a tag"),
            ("[tags]\n" + "\n".join(f"t{n} = 1" for n in range(46)), "there are 46"),
        ],
    )
    def test_what_can_not_be_one(self, folder: Path, text: str, message: str) -> None:
        assert message in refused(written(folder, text))


class TestCloudFormationRole:
    def test_it_is_an_environments(self, folder: Path) -> None:
        arn = "arn:aws-us-gov:iam::123456789012:role/team/deploy"
        text = f"[environments.production]\ncloudformation-role = '{arn}'"
        environment = read(written(folder, text), "--config").environments["production"]
        assert environment.options == {"cloudformation_role": arn}

    @pytest.mark.parametrize(
        "arn", ["deploy", "arn:aws:iam::123456789012:user/me", "arn:aws:iam::1:role/x"]
    )
    def test_it_is_a_roles_arn(self, folder: Path, arn: str) -> None:
        text = f"[environments.production]\ncloudformation-role = '{arn}'"
        assert "no ARN of a role" in refused(written(folder, text))


def refused(path: Path) -> str:
    """Message and hint."""
    with pytest.raises(UsageError) as raised:
        read(path, "--config")
    assert raised.value.exit_code == 2
    assert raised.value.hint
    assert str(path) in raised.value.message
    return f"{raised.value.message} {raised.value.hint}"


class TestContents:
    def test_all_values_become_text(self, folder: Path) -> None:
        file = read(written(folder, WHOLE), "--config")
        assert (file.environment, sorted(file.environments)) == (
            "production",
            ["development", "laptop", "production"],
        )
        development = file.environments["development"]
        assert development.options == {"region": "eu-central-1", "verbose": "1"}
        assert development.parameters == {
            "LogRetentionDays": "7",
            "PointInTimeRecovery": "true",
            "AlarmTopicArn": "",
            "Dashboard": "false",
        }
        assert file.environments["production"].options == {
            "profile": "prod",
            "target": "aws",
            "helper_stack": "plldb-prod",
            "output": "json",
        }
        assert file.environments["laptop"].options == {"endpoint_url": "http://127.0.0.1:4566"}

    @pytest.mark.parametrize("text", ["", "# nothing\n", "[environments]\n", "\ufeff\n"])
    def test_an_empty_one_says_nothing(self, folder: Path, text: str) -> None:
        file = read(written(folder, text), "--config")
        assert (file.environment, file.environments) == (None, {})


class TestCommands:
    def test_their_tables_are_theirs_to_judge(self, folder: Path) -> None:
        text = "[attach]\nstacks = ['orders', 'billing']\n[dev]\nseed = 3"
        commands = read(written(folder, text), "--config").commands
        assert commands == {"attach": {"stacks": ["orders", "billing"]}, "dev": {"seed": 3}}
        assert read(written(folder, ""), "--config").commands == {}

    @pytest.mark.parametrize("command", ["attach", "dev"])
    def test_they_are_tables(self, folder: Path, command: str) -> None:
        with pytest.raises(UsageError) as raised:
            read(written(folder, f"{command} = 'orders'"), "--config")
        assert "Give a table" in str(raised.value.hint)


def test_what_has_its_place_elsewhere_is_sent_there(folder: Path) -> None:
    for text in ("region = 'x'", "endpoint-url = 'http://h:1'", "[parameters]", "[environment.x]"):
        with pytest.raises(UsageError) as raised:
            read(written(folder, text), "--config")
        assert "[environments.NAME]" in str(raised.value.hint)


class TestStacks:
    def test_what_they_say_of_functions(self, folder: Path) -> None:
        text = """
            [stacks.shop]
            env-file = "../shop.env"
            env = { STAGE = "dev", COUNT = 2, DEBUG = true }
            [stacks.shop.functions.Greeter]
            handler = "app.other"
            env = { TABLE = "greetings" }
            [stacks.empty]
        """
        stacks = read(written(folder, text), "--config").stacks
        shop = stacks["shop"]
        assert shop.overrides == FileOverrides(
            {"STAGE": "dev", "COUNT": "2", "DEBUG": "true"}, folder / "../shop.env"
        )
        assert shop.functions == {
            "Greeter": FileOverrides({"TABLE": "greetings"}, handler="app.other")
        }
        assert stacks["empty"] == FileStack(FileOverrides(), {})

    def test_where_code_is(self, folder: Path) -> None:
        text = """
            [stacks.shop]
            template = "infra/t.yaml"
            code = "src"
            [stacks.shop.functions."Child/Greeter"]
            code = "/src/greeter"
            layers = ["layers/common", "arn:aws:lambda:eu-west-1:123456789012:layer:x:1"]
            python = "python3.13"
        """
        shop = read(written(folder, text), "--config").stacks["shop"]
        assert (shop.template, shop.overrides.code) == (folder / "infra/t.yaml", folder / "src")
        assert shop.functions["Child/Greeter"] == FileOverrides(
            code=Path("/src/greeter"),
            layers=(
                f"{folder}/layers/common",
                "arn:aws:lambda:eu-west-1:123456789012:layer:x:1",
            ),
            python="python3.13",
        )

    def test_whether_they_run_under_their_own_roles(self, folder: Path) -> None:
        path = written(folder, "[stacks.shop]\nas-function = true\n[stacks.other]")
        stacks = read(path, "--config").stacks
        assert (stacks["shop"].as_function, stacks["other"].as_function) == (True, False)

    @pytest.mark.parametrize(
        ("python", "found"),
        [
            ("../env/bin/python", "{}/../env/bin/python"),
            (".venv", "{}/.venv"),
            ("/usr/bin/python3", "/usr/bin/python3"),
            ("python3.13", "python3.13"),
        ],
    )
    def test_an_interpreter_is_beside_the_file_or_a_command(
        self, folder: Path, python: str, found: str
    ) -> None:
        (folder / ".venv").mkdir()
        path = written(folder, f"[stacks.shop]\npython = '{python}'")
        assert read(path, "--config").stacks["shop"].python == found.format(folder)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("stacks = 1", "stacks is an integer. Give a table."),
            ("stacks.shop = 1", "[stacks.shop] is an integer"),
            ("[stacks.shop]\nhandler = 'a.b'", "there is no setting 'handler'"),
            ("[stacks.shop]\nevn = {}", "Did you mean 'env'?"),
            ("[stacks.shop]\nenv = 'A=1'", "env is a string"),
            ("[stacks.shop]\nenv = {A = [1]}", "env: 'A' is an array"),
            ("[stacks.shop]\nenv-file = ''", "env-file is empty"),
            ("[stacks.shop]\npython = 3", "python is an integer"),
            ("[stacks.shop]\nas-function = 'yes'", "as-function is a string"),
            ("[stacks.shop.functions.A]\nas-function = true", "no setting 'as-function'"),
            ("[stacks.shop]\npython = ''", "python is empty"),
            ("[stacks.shop]\nlayers = ['x']", "there is no setting 'layers'"),
            ("[stacks.shop]\ntemplate = 1", "template is an integer"),
            ("[stacks.shop]\ncode = ''", "code is empty"),
            ("[stacks.shop.functions.A]\ntemplate = 'x'", "there is no setting 'template'"),
            ("[stacks.shop.functions.A]\nlayers = 'x'", "layers is a string"),
            ("[stacks.shop.functions.A]\nlayers = [1]", "layers is an integer"),
            ("[stacks.shop]\nfunctions = []", "[stacks.shop.functions] is an array"),
            ("[stacks.shop.functions]\nA = 1", "[stacks.shop.functions.A] is an integer"),
            ("[stacks.shop.functions.A]\nhandler = 1", "handler is an integer"),
            ("[stacks.shop.functions.A]\nhandle = 'a.b'", "Did you mean 'handler'?"),
        ],
    )
    def test_what_makes_no_sense(self, folder: Path, text: str, said: str) -> None:
        assert said in refused(written(folder, text))


class TestWhichOne:
    def test_none(self, folder: Path) -> None:
        assert load(None, {}, folder) is None

    def test_the_nearest(self, folder: Path) -> None:
        outer = written(folder.parent, 'environment = "outer"')
        assert load(None, {}, folder) == read(outer, "found in this folder or above it")
        inner = written(folder, 'environment = "inner"')
        found = load(None, {}, folder)
        assert found is not None
        assert (found.path, found.environment) == (inner, "inner")

    def test_a_folder_of_that_name_is_none(self, folder: Path) -> None:
        (folder / "plldb.toml").mkdir()
        assert load(None, {}, folder) is None

    @pytest.mark.parametrize(
        ("flag", "variable", "expected"),
        [
            (None, None, "near"),
            ("flag.toml", None, "flag"),
            ("flag.toml", "variable.toml", "flag"),
            (None, "variable.toml", "variable"),
            (None, "", None),
            ("flag.toml", "", "flag"),
            ("", "variable.toml", None),
        ],
    )
    def test_flag_then_variable_then_the_nearest_and_an_empty_name_is_none(
        self, folder: Path, flag: str | None, variable: str | None, expected: str | None
    ) -> None:
        written(folder, 'environment = "near"')
        written(folder, 'environment = "flag"', "flag.toml")
        written(folder, 'environment = "variable"', "variable.toml")
        environ = {} if variable is None else {"PLLDB_CONFIG": variable}
        found = load(flag, environ, folder)
        assert (found and found.environment) == expected

    @pytest.mark.parametrize("by_flag", [True, False])
    def test_one_that_was_named_must_be_there(self, folder: Path, by_flag: bool) -> None:
        written(folder, "")
        flag, environ = ("no.toml", {}) if by_flag else (None, {"PLLDB_CONFIG": "no.toml"})
        with pytest.raises(UsageError, match=r"no\.toml") as raised:
            load(flag, environ, folder)
        assert ("--config" if by_flag else "PLLDB_CONFIG") in raised.value.message

    def test_and_must_be_a_file(self, folder: Path) -> None:
        with pytest.raises(UsageError, match="can't be read"):
            load(".", {}, folder)

    def test_the_home_folder_may_be_a_tilde(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(folder))
        path = written(folder, "")
        found = load("~/plldb.toml", {}, Path("/"))
        assert found is not None
        assert found.path == path


class TestWhatMakesNoSense:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            # Keys that there are not, with a guess.
            ('enviroment = "x"', ["'enviroment'", "Did you mean 'environment'?"]),
            ('region = "x"', ["'region'", "[environments.NAME]"]),
            (
                '[environments.production]\nendpoint_url = "http://h:1"',
                ["[environments.production]", "Did you mean 'endpoint-url'?"],
            ),
            ("[environments.x]\nenvironment = 'y'", ["no setting 'environment'"]),
            ("[environments.x.params]\nA = 1", ["Did you mean 'parameters'?"]),
            # Types.
            ("environment = 1", ["environment is an integer", "Give a string"]),
            ("environments = 1", ["environments is an integer", "Give a table"]),
            ("[environments]\nx = 1", ["[environments.x] is an integer", "Give a table"]),
            ("[[environments.x]]", ["[environments.x] is an array", "Give a table"]),
            ("[environments.x]\nregion = 1", ["region is an integer", "Give a string"]),
            ("[environments.x]\nregion = ''", ["region is empty"]),
            ("[environments.x]\nverbose = 'yes'", ["verbose is a string", "true, false, 0"]),
            ("[environments.x]\nverbose = 3", ["verbose is 3", "true, false, 0, 1 or 2"]),
            ("[environments.x]\nverbose = -1", ["verbose is -1", "true, false, 0, 1 or 2"]),
            ("[environments.x]\nprofile = ['a']", ["profile is an array"]),
            ("[environments.x]\nparameters = 3", [".parameters] is an integer", "Give a table"]),
            (
                "[environments.x.parameters]\nA = [1]",
                ["[environments.x.parameters]", "'A' is an array"],
            ),
            ("[environments.x.parameters]\nA = 2026-01-01", ["'A' is a date or time"]),
            ("[environments.x.parameters]\nA = {}", ["'A' is a table"]),
            (f"[environments.x.parameters]\nA = 0x{'f' * 5000}", ["'A' is an integer"]),
            # Values.
            ("[environments.x]\noutput = 'yaml'", ["'yaml'", "one of text, json"]),
            ("[environments.x]\ntarget = 'moon'", ["'moon'", "one of aws, emulator"]),
            ("[environments.x]\nendpoint-url = 'h:1'", ["'h:1'", "http://HOST:PORT"]),
            ("[environments.x]\nhelper-stack = '9lives'", ["'9lives'", "a letter, then"]),
            ("[environments.Production]", ["'Production'", "lower-case"]),
            ("[environments.'']", ["''", "lower-case"]),
            (
                "[environments.x]\nprofile = 'p'\nendpoint-url = 'http://h:1'",
                ["[environments.x]", "not both"],
            ),
            ("[environments.x]\nprofile = 'p'\ntarget = 'emulator'", ["Give one of them"]),
            # On one line whatever they are called.
            ('"a\\nb" = 1', [r"'a\nb'"]),
            ('[environments."a\\nb"]', [r"'a\nb'"]),
            ('[environments.x.parameters]\n"a\\nb" = []', [r"'a\nb'"]),
            # No TOML, with the line.
            ("environment = x", ["no valid TOML", "line 1"]),
            ("\n\n[environments.x\n", ["no valid TOML", "line 3"]),
            ("[environments.x]\n[environments.x]", ["no valid TOML", "line 2"]),
            (f"environments = {'[' * 9999}", ["no valid TOML", "nested"]),
            (f"environment = {'1' * 9999}", ["no valid TOML"]),
        ],
        ids=lambda value: value[:40] if isinstance(value, str) else "",
    )
    def test_is_said_with_the_file_and_the_place(
        self, folder: Path, text: str, said: list[str]
    ) -> None:
        complaint = refused(written(folder, text))
        assert "\n" not in complaint
        for words in said:
            assert words in complaint

    def test_bytes_that_are_no_text(self, folder: Path) -> None:
        path = folder / "plldb.toml"
        path.write_bytes(b'environment = "\xff"')
        assert "no valid TOML" in refused(path)

    @given(text=st.text())
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_any_text_is_either_understood_or_wrong_usage(self, tmp_path: Path, text: str) -> None:
        understood_or_refused(tmp_path, text)

    @given(
        document=st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(
                    st.sampled_from(
                        ["environment", "environments", "x", "region", "parameters", "A"]
                    ),
                    inner,
                )
            ),
        )
    )
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_so_is_any_value_in_any_place(self, tmp_path: Path, document: Any) -> None:
        understood_or_refused(tmp_path, f"environments = {inline(document)}")
        understood_or_refused(tmp_path, f"environments.x = {inline(document)}")
        understood_or_refused(tmp_path, f"environments.x.parameters = {inline(document)}")


def inline(value: Any) -> str:
    """As TOML; it has no null."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {inline(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(inline, value))}]"
    return json.dumps(value or "") if value is None or isinstance(value, str) else json.dumps(value)


def understood_or_refused(folder: Path, text: str) -> None:
    path = folder / "plldb.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        file = read(path, "--config")
    except UsageError:
        return
    assert isinstance(file, ConfigFile)
    for table in file.environments.values():
        values = [*table.options.values(), *table.parameters.values()]
        assert all(isinstance(value, str) for value in values)
