"""The template's parameters: who sets them, and what they may be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.bootstrap.parameters import (
    INTERNAL,
    Parameter,
    read_settable_parameters,
    settle_parameters,
)
from plldb.bootstrap.release import build_release, read_template
from plldb.config import BUILT_IN_ENVIRONMENTS, ConfigFile, FileEnvironment
from plldb.errors import UsageError

TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"

Parameters:
  ArtifactsBucket: { Type: String }

  # A comment.
  LogRetentionDays:
    Type: Number
    Default: 14
    AllowedValues: [7, 14, 90]
  PointInTimeRecovery: { Type: String, Default: "false", AllowedValues: ["true", "false"] }
  DeletionProtection: { Type: String, Default: false, AllowedValues: [true, false] }
  Rate: { Type: Number, Default: 500, MinValue: 1, MaxValue: 1000 }
  Topic: { Type: String, Default: "", MaxLength: 8, AllowedPattern: "(arn:.*)?" }
  Dashboard: { Type: String, Default: "false" }
  MaxPendingSessions: { Type: Number, Default: 1000 }
  ThrottlingRate: { Type: Number, Default: 500 }
  ThrottlingBurst: { Type: Number, Default: 1000 }
Conditions:
  OnEmulator: !Not [!Equals [!Ref Topic, ""]]
"""


def config_file(**tables: Mapping[str, str]) -> ConfigFile:
    """``tables`` are the parameters of its environments."""
    environments = {name: FileEnvironment({}, table) for name, table in tables.items()}
    return ConfigFile(Path("/project/plldb.toml"), "--config", None, environments)


def settle(
    environment: str = "development", file: ConfigFile | None = None, *given: str
) -> dict[str, tuple[str, str]]:
    settled = settle_parameters(TEMPLATE, environment, file, given)
    return {name: (one.value, one.source) for name, one in settled.items()}


class TestTheTemplate:
    def test_all_but_plldbs_own_can_be_set_and_have_a_default(self) -> None:
        known = read_settable_parameters(read_template())
        assert {"LogRetentionDays", "PointInTimeRecovery"} <= set(known)
        assert not INTERNAL & set(known)

    def test_plldbs_own_are_those_that_a_release_decides(self) -> None:
        release = build_release(
            stack_name="plldb", region="r", account_id="1", execute_api_base_url=""
        )
        assert set(release.parameters) == INTERNAL

    @pytest.mark.parametrize("environment", BUILT_IN_ENVIRONMENTS)
    def test_what_is_built_in_goes_with_it(self, environment: str) -> None:
        known = read_settable_parameters(read_template())
        for name, value in BUILT_IN_ENVIRONMENTS[environment].items():
            assert known[name].describe_violation(value) is None

    @pytest.mark.parametrize("name", read_settable_parameters(read_template()))
    def test_each_default_goes_with_its_own_rules(self, name: str) -> None:
        parameter = read_settable_parameters(read_template())[name]
        assert parameter.describe_violation(parameter.default) is None

    def test_a_template_without_parameters_has_none(self) -> None:
        assert read_settable_parameters("Resources: {}\n") == {}


class TestPrecedence:
    def test_development_is_the_template(self) -> None:
        assert settle()["LogRetentionDays"] == ("14", "default")
        assert {source for _, source in settle().values()} == {"default"}

    def test_production(self) -> None:
        source = "environment production (built in)"
        assert {n: v for n, (v, s) in settle("production").items() if s == source} == {
            "LogRetentionDays": "90",
            "PointInTimeRecovery": "true",
            "DeletionProtection": "true",
            "Dashboard": "true",
            "FunctionCredentials": "denied",
            "MaxPendingSessions": "100",
            "ThrottlingRate": "200",
            "ThrottlingBurst": "400",
        }

    @given(
        environment=st.sampled_from(["development", "production", "mine"]),
        of_file=st.none() | st.sampled_from(["7", "14", "90"]),
        flag=st.none() | st.sampled_from(["7", "14", "90"]),
    )
    def test_flag_then_file_then_environment_then_default(
        self, environment: str, of_file: str | None, flag: str | None
    ) -> None:
        table = {"LogRetentionDays": of_file} if of_file else {}
        given = [f"LogRetentionDays={flag}"] if flag else []
        others = {name: {} for name in ("production", "mine") if name != environment}
        settled = settle(environment, config_file(**others, **{environment: table}), *given)
        expected = ("14", "default")
        if environment == "production":
            expected = ("90", "environment production (built in)")
        if of_file:
            expected = (of_file, f"plldb.toml [environments.{environment}.parameters]")
        if flag:
            expected = (flag, "--parameter")
        assert settled["LogRetentionDays"] == expected

    def test_a_value_may_hold_an_equals_sign_or_nothing(self) -> None:
        assert settle("development", None, "Topic=arn:a=b")["Topic"][0] == "arn:a=b"
        assert settle("development", None, "Topic=")["Topic"][0] == ""


class TestRefusals:
    @pytest.mark.parametrize(
        ("assignment", "said"),
        [
            ("LogRetentionDays", "not NAME=VALUE"),
            ("=7", "not NAME=VALUE"),
            ("", "not NAME=VALUE"),
            ("LogRetentionDay=7", "Did you mean 'LogRetentionDays'?"),
            ("ArtifactsBucket=mine", "plldb's own"),
            ("LogRetentionDays=8", "one of 7, 14, 90"),
            ("LogRetentionDays=14.0", "one of 7, 14, 90"),
            ("DeletionProtection=True", "one of true, false"),
            ("Rate=", "a whole number"),
            ("Rate=1.5", "a whole number"),
            ("Rate=nan", "a whole number"),
            ("Rate=１", "a whole number"),  # noqa: RUF001
            ("Rate=0", "at least 1"),
            ("Rate=-5", "at least 1"),
            ("Rate=1001", "at most 1000"),
            ("Topic=arn:123456789", "at most 8 characters"),
            ("Topic=nope", "of the form (arn:.*)?"),
        ],
    )
    def test_on_the_command_line(self, assignment: str, said: str) -> None:
        with pytest.raises(UsageError) as raised:
            settle("development", None, assignment)
        assert raised.value.exit_code == 2
        assert said in f"{raised.value.message} {raised.value.hint}"
        assert "--parameter" in raised.value.message

    def test_one_that_is_named_twice(self) -> None:
        with pytest.raises(UsageError, match="Rate twice"):
            settle("development", None, "Rate=1", "Rate=2")

    @pytest.mark.parametrize("environment", ["development", "production"])
    def test_in_the_file_even_in_an_environment_that_is_not_used(self, environment: str) -> None:
        for name, value in [("Rat", "1"), ("Rate", "x"), ("FunctionsCodeKey", "x")]:
            with pytest.raises(UsageError) as raised:
                settle(environment, config_file(production={name: value}))
            assert "plldb.toml [environments.production.parameters]" in raised.value.message
            assert name in raised.value.message

    @given(value=st.text(), minimum=st.none() | st.integers(), maximum=st.none() | st.integers())
    def test_a_number_is_a_number_or_refused(
        self, value: str, minimum: int | None, maximum: int | None
    ) -> None:
        one = Parameter("P", "1", is_number=True, minimum=minimum, maximum=maximum)
        if one.describe_violation(value) is None:
            assert minimum is None or int(value) >= minimum
            assert maximum is None or int(value) <= maximum
