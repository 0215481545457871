"""Where calls go. The order: AWS by name, then an endpoint URL, then the local emulator."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.config import (
    BUILT_IN_ENVIRONMENTS,
    ConfigFile,
    EmulatorAddress,
    FileEnvironment,
    Options,
    SettingsResolver,
    TargetSettings,
    find_home,
)
from plldb.errors import TargetError, UsageError

LOCAL = EmulatorAddress("http://127.0.0.1:4566", "http://localhost:4566")
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAREALREALREALREAL",
    "AWS_SECRET_ACCESS_KEY": "real",
    "AWS_SESSION_TOKEN": "real",
    "AWS_PROFILE": "production",
    "AWS_DEFAULT_REGION": "eu-west-1",
}


def config_file(environment: str | None = None, **tables: Mapping[str, str]) -> ConfigFile:
    """A plldb.toml; ``tables`` are the options of its environments."""
    return ConfigFile(
        Path("/project/plldb.toml"),
        "--config",
        environment,
        {name: FileEnvironment(options, {}) for name, options in tables.items()},
    )


def resolve_target(
    flags: Options,
    environ: Mapping[str, str],
    running: EmulatorAddress | None,
    file: ConfigFile | None = None,
) -> TargetSettings:
    """Where calls go, if ``running`` is the emulator that 'plldb local up' started."""
    return SettingsResolver(flags, environ, file).resolve_target(lambda: running)


def where(settings: TargetSettings) -> str:
    if settings.kind == "aws":
        return f"aws:{settings.profile}"
    assert settings.emulator is not None
    return settings.emulator.endpoint_url


class TestPrecedence:
    @pytest.mark.parametrize(
        ("flags", "environ", "expected"),
        [
            # Nothing but a running emulator.
            ({}, {}, LOCAL.endpoint_url),
            ({"target": "emulator"}, {}, LOCAL.endpoint_url),
            # An endpoint URL wins over the running one, the flag over the variables.
            ({"endpoint_url": "http://flag:1"}, {}, "http://flag:1"),
            ({}, {"PLLDB_ENDPOINT_URL": "http://ours:2"}, "http://ours:2"),
            ({}, {"AWS_ENDPOINT_URL": "http://aws:3"}, "http://aws:3"),
            (
                {"endpoint_url": "http://flag:1"},
                {"PLLDB_ENDPOINT_URL": "http://ours:2", "AWS_ENDPOINT_URL": "http://aws:3"},
                "http://flag:1",
            ),
            (
                {},
                {"PLLDB_ENDPOINT_URL": "http://ours:2", "AWS_ENDPOINT_URL": "http://aws:3"},
                "http://ours:2",
            ),
            ({"target": "emulator"}, {"AWS_ENDPOINT_URL": "http://aws:3"}, "http://aws:3"),
            ({"target": "emulator"}, {"PLLDB_ENDPOINT_URL": "http://ours:2"}, "http://ours:2"),
            # AWS by name wins over every endpoint URL of the environment.
            ({"profile": "dev"}, {}, "aws:dev"),
            ({"target": "aws"}, {}, "aws:None"),
            ({"profile": "dev", "target": "aws"}, {}, "aws:dev"),
            ({}, {"PLLDB_PROFILE": "dev"}, "aws:dev"),
            ({}, {"PLLDB_TARGET": "aws"}, "aws:None"),
            ({"profile": "dev"}, {"AWS_ENDPOINT_URL": "http://aws:3"}, "aws:dev"),
            ({"profile": "dev"}, {"PLLDB_ENDPOINT_URL": "http://ours:2"}, "aws:dev"),
            ({"target": "aws"}, {"AWS_ENDPOINT_URL": "http://aws:3"}, "aws:None"),
            ({}, {"PLLDB_PROFILE": "dev", "AWS_ENDPOINT_URL": "http://aws:3"}, "aws:dev"),
            # A flag wins over any variable, whatever they select.
            ({"endpoint_url": "http://flag:1"}, {"PLLDB_PROFILE": "dev"}, "http://flag:1"),
            ({"endpoint_url": "http://flag:1"}, {"PLLDB_TARGET": "aws"}, "http://flag:1"),
            ({"target": "emulator"}, {"PLLDB_PROFILE": "dev"}, LOCAL.endpoint_url),
            ({"profile": "dev"}, {"PLLDB_PROFILE": "prod"}, "aws:dev"),
            ({"profile": "dev"}, {"PLLDB_TARGET": "emulator"}, "aws:dev"),
            # Empty is not set.
            ({}, {"PLLDB_PROFILE": "", "PLLDB_TARGET": ""}, LOCAL.endpoint_url),
            ({}, {"AWS_ENDPOINT_URL": "", "PLLDB_ENDPOINT_URL": ""}, LOCAL.endpoint_url),
            ({"profile": ""}, {}, LOCAL.endpoint_url),
            ({"target": "emulator"}, {"AWS_ENDPOINT_URL": ""}, LOCAL.endpoint_url),
            # AWS's own variables never select AWS.
            ({}, CREDENTIALS, LOCAL.endpoint_url),
            ({"region": "eu-west-1"}, CREDENTIALS, LOCAL.endpoint_url),
        ],
    )
    def test_the_order(self, flags: dict[str, Any], environ: dict[str, str], expected: str) -> None:
        assert where(resolve_target(Options(**flags), environ, LOCAL)) == expected

    def test_credentials_in_the_environment_alone_never_select_aws(self) -> None:
        with pytest.raises(TargetError):
            resolve_target(Options(), CREDENTIALS, None)

    def test_without_any_target_the_hint_names_both_ways_out(self) -> None:
        with pytest.raises(TargetError) as raised:
            resolve_target(Options(), {}, None)
        assert raised.value.exit_code == 1
        assert "plldb local up" in str(raised.value.hint)
        assert "--profile" in str(raised.value.hint)

    def test_an_emulator_that_was_asked_for_and_does_not_run_is_no_reason_to_use_aws(self) -> None:
        with pytest.raises(TargetError):
            resolve_target(Options(target="emulator"), CREDENTIALS, None)

    @given(
        environ=st.dictionaries(
            st.sampled_from([*CREDENTIALS, "AWS_ENDPOINT_URL", "AWS_REGION", "HOME"]),
            st.sampled_from(["", "http://127.0.0.1:1", "http://127.0.0.1:2"]),
        ),
        flags=st.builds(
            Options,
            target=st.sampled_from([None, "emulator"]),
            region=st.sampled_from([None, "eu-west-1"]),
            endpoint_url=st.sampled_from([None, "http://127.0.0.1:3"]),
        ),
        running=st.sampled_from([None, LOCAL]),
    )
    def test_aws_is_never_selected_by_accident(
        self, environ: dict[str, str], flags: Options, running: EmulatorAddress | None
    ) -> None:
        try:
            settings = resolve_target(flags, environ, running)
        except TargetError:
            return
        assert settings.kind == "emulator"
        assert settings.emulator is not None
        # And nothing of a real account goes along.
        assert (settings.access_key_id, settings.secret_access_key) == ("test", "test")

    @given(
        environ=st.dictionaries(
            st.sampled_from(
                ["AWS_ENDPOINT_URL", "PLLDB_ENDPOINT_URL", "PLLDB_PROFILE", "AWS_PROFILE"]
            ),
            st.sampled_from(["", "http://127.0.0.1:1"]),
        ),
        running=st.sampled_from([None, LOCAL]),
    )
    def test_a_profile_flag_always_selects_aws(
        self, environ: dict[str, str], running: EmulatorAddress | None
    ) -> None:
        settings = resolve_target(Options(profile="dev"), environ, running)
        assert (settings.kind, settings.profile) == ("aws", "dev")
        assert settings.emulator is None


class TestTheRunningEmulator:
    @pytest.mark.parametrize("flags", [Options(profile="dev"), Options(target="aws")])
    def test_nobody_looks_for_it_when_calls_go_to_aws(self, flags: Options) -> None:
        def find_running() -> EmulatorAddress | None:
            raise AssertionError("it was looked for")

        assert SettingsResolver(flags, {}).resolve_target(find_running).kind == "aws"


class TestContradictions:
    @pytest.mark.parametrize(
        "flags",
        [
            {"profile": "dev", "endpoint_url": "http://h:1"},
            {"target": "aws", "endpoint_url": "http://h:1"},
            {"profile": "dev", "target": "emulator"},
            {"target": "moon"},
        ],
    )
    def test_they_are_refused_as_wrong_usage(self, flags: dict[str, str]) -> None:
        with pytest.raises(UsageError) as raised:
            resolve_target(Options(**flags), {}, LOCAL)
        assert raised.value.exit_code == 2
        assert raised.value.hint

    def test_also_when_they_stand_in_the_environment(self) -> None:
        environ = {"PLLDB_PROFILE": "dev", "PLLDB_ENDPOINT_URL": "http://h:1"}
        with pytest.raises(UsageError):
            resolve_target(Options(), environ, LOCAL)

    def test_also_when_they_stand_in_the_file(self) -> None:
        file = config_file(development={"profile": "dev", "endpoint_url": "http://h:1"})
        with pytest.raises(UsageError, match=r"plldb\.toml \[environments\.development\]"):
            resolve_target(Options(), {}, LOCAL, file)

    def test_but_not_in_a_source_that_something_above_it_makes_void(self) -> None:
        environ = {"PLLDB_PROFILE": "dev", "PLLDB_ENDPOINT_URL": "http://h:1"}
        settings = resolve_target(Options(profile="mine"), environ, LOCAL)
        assert where(settings) == "aws:mine"


# What sets an option in each source, from the one that wins to the one that yields.
SOURCES = {
    "flag": lambda option, value: ({option: value}, {}, {}),
    "variable": lambda option, value: ({}, {f"PLLDB_{option.upper()}": value}, {}),
    "file": lambda option, value: ({}, {}, {option: value}),
}


def resolver(option: str, given: Mapping[str, str]) -> SettingsResolver:
    """``given``: source → value. In the environment production, so that a table counts."""
    flags: dict[str, Any] = {}
    environ: dict[str, str] = {"PLLDB_ENVIRONMENT": "production"}
    table: dict[str, str] = {}
    for source, value in given.items():
        flag, variable, of_file = SOURCES[source](option, value)
        flags |= flag
        environ |= variable
        table |= of_file
    return SettingsResolver(Options(**flags), environ, config_file(production=table))


# Where a setting is not called as its option is.
NAMES_OF_SETTINGS = {"verbose": "verbosity"}
NAMES = {
    "flag": "--{flag}",
    "variable": "PLLDB_{variable}",
    "file": "plldb.toml [environments.production]",
}


class TestEverySource:
    @pytest.mark.parametrize(
        ("option", "values", "default"),
        [
            ("helper_stack", ("one", "two", "three"), "plldb"),
            ("output", ("json", "text", "json"), "text"),
            ("verbose", ("1", "0", "2"), 0),
        ],
    )
    def test_wins_over_those_below_it_in_each_combination(
        self, option: str, values: tuple[str, ...], default: object
    ) -> None:
        for which in itertools.product([True, False], repeat=len(SOURCES)):
            by_source = dict(zip(SOURCES, values, strict=True))
            given = {
                s: by_source[s] for s, is_there in zip(SOURCES, which, strict=True) if is_there
            }
            found = getattr(resolver(option, given), NAMES_OF_SETTINGS.get(option, option))
            if not given:
                assert (found.value, found.source) == (default, "default")
                continue
            winner = next(source for source in SOURCES if source in given)
            expected: object = given[winner]
            if option == "verbose":
                expected = int(given[winner])
            assert found.value == expected
            assert found.source == NAMES[winner].format(
                flag=option.replace("_", "-"), variable=option.upper()
            )

    @given(
        given=st.fixed_dictionaries(
            {},
            optional={
                name: st.sampled_from(["", f"r-{name.lower()}"])
                for name in ("--region", "PLLDB_REGION", "AWS_REGION", "AWS_DEFAULT_REGION", "file")
            },
        ),
        running=st.sampled_from([None, LOCAL]),
    )
    def test_of_the_region_too_with_what_aws_reads_between_ours_and_the_file(
        self, given: dict[str, str], running: EmulatorAddress | None
    ) -> None:
        environ = {name: value for name, value in given.items() if name.isupper() or "_" in name}
        table = {"region": given["file"]} if given.get("file") else {}
        found = SettingsResolver(
            Options(region=given.get("--region")), environ, config_file(development=table)
        ).target.region
        order = ["--region", "PLLDB_REGION", "AWS_REGION", "AWS_DEFAULT_REGION", "file"]
        winner = next((name for name in order if given.get(name)), None)
        assert found.value == (given[winner] if winner else "us-east-1")
        table_name = "plldb.toml [environments.development]"
        assert found.source == {None: "default", "file": table_name}.get(winner, winner)

    @given(st.data())
    def test_of_the_target_and_none_below_contradicts_it(self, data: st.DataObject) -> None:
        """Against a model: the first source that says anything of the target decides."""
        consistent = [
            (profile, target, url)
            for profile in (None, "p")
            for target in (None, "aws", "emulator")
            for url in (None, "http://u:1")
            if not (url and (profile or target == "aws")) and not (profile and target == "emulator")
        ]
        names = ["flags", "variables", "aws", "file"]
        triples = {
            name: tuple(
                value and (f"{value}{number}" if value in ("p", "http://u:1") else value)
                for value in data.draw(st.sampled_from(consistent), label=name)
            )
            for number, name in enumerate(names, start=1)
        }
        triples["aws"] = (None, None, triples["aws"][2])
        environ = dict(CREDENTIALS)
        for option, value in zip(
            ("PROFILE", "TARGET", "ENDPOINT_URL"), triples["variables"], strict=True
        ):
            environ |= {f"PLLDB_{option}": value} if value else {}
        environ |= {"AWS_ENDPOINT_URL": url} if (url := triples["aws"][2]) else {}
        table = {
            option: value
            for option, value in zip(
                ("profile", "target", "endpoint_url"), triples["file"], strict=True
            )
            if value
        }
        profile, target, url = triples["flags"]
        settings = resolve_target(
            Options(profile=profile, target=target, endpoint_url=url),
            environ,
            LOCAL,
            config_file(development=table),
        )
        assert where(settings) == model(list(triples.values()))


def model(triples: list[tuple[str | None, ...]]) -> str:
    """What docs/configuration.md says: (profile, target, endpoint URL) of each source."""
    first = next((triple for triple in triples if any(triple)), (None, None, None))
    if first[0] or first[1] == "aws":
        return f"aws:{next((profile for profile, _, _ in triples if profile), None)}"
    return next((url for _, _, url in triples if url), LOCAL.endpoint_url)


class TestEnvironment:
    @pytest.mark.parametrize(
        ("flag", "variable", "of_file", "expected"),
        [
            (None, None, None, ("development", "default")),
            (None, None, "mine", ("mine", "plldb.toml")),
            (None, "production", "mine", ("production", "PLLDB_ENVIRONMENT")),
            ("development", "production", "mine", ("development", "--environment")),
            (None, "", "mine", ("mine", "plldb.toml")),
        ],
    )
    def test_flag_then_variable_then_file_then_development(
        self, flag: str | None, variable: str | None, of_file: str | None, expected: tuple[str, str]
    ) -> None:
        environ = {} if variable is None else {"PLLDB_ENVIRONMENT": variable}
        found = SettingsResolver(
            Options(environment=flag), environ, config_file(of_file, mine={})
        ).environment
        assert (found.value, found.source) == expected

    @pytest.mark.parametrize("name", BUILT_IN_ENVIRONMENTS)
    def test_the_built_in_ones_need_no_file(self, name: str) -> None:
        assert SettingsResolver(Options(environment=name), {}).environment.value == name

    def test_an_unknown_one_is_wrong_usage_and_says_who_named_it(self) -> None:
        for flags, environ, source in [
            (Options(environment="prodution"), {}, "--environment"),
            (Options(), {"PLLDB_ENVIRONMENT": "prodution"}, "PLLDB_ENVIRONMENT"),
        ]:
            with pytest.raises(UsageError, match=f"{source}.*'prodution'") as raised:
                SettingsResolver(flags, environ, config_file(mine={})).resolve()
            assert "Did you mean 'production'?" in str(raised.value.hint)
            assert "development, mine, production" in str(raised.value.hint)

    def test_even_if_nothing_depends_on_it(self) -> None:
        with pytest.raises(UsageError):
            resolve_target(Options(environment="nope", profile="p"), {}, None)

    def test_only_its_own_table_counts(self) -> None:
        file = config_file(development={"profile": "dev"}, production={"profile": "prod"})
        assert where(resolve_target(Options(), {}, LOCAL, file)) == "aws:dev"
        assert (
            where(resolve_target(Options(environment="production"), {}, LOCAL, file)) == "aws:prod"
        )

    def test_a_profile_of_the_file_yields_to_an_endpoint_of_the_environment(self) -> None:
        file = config_file(development={"profile": "dev"})
        settings = resolve_target(Options(), {"AWS_ENDPOINT_URL": "http://aws:3"}, LOCAL, file)
        assert where(settings) == "http://aws:3"


class TestEndpointUrl:
    @pytest.mark.parametrize(
        "url",
        [
            "127.0.0.1:4566",
            "localhost",
            "ftp://h:1",
            "http://",
            "http://:4566",
            "http://h:0",
            "http://h:99999",
            "http://h:port",
            "http://h/path",
            "http://h?query=1",
            "http://h#fragment",
            "http://[::1",
            "http://user:secret@h:1",
        ],
    )
    @pytest.mark.parametrize("origin", ["flag", "PLLDB_ENDPOINT_URL", "AWS_ENDPOINT_URL"])
    def test_a_bad_one_is_wrong_usage_wherever_it_comes_from(self, url: str, origin: str) -> None:
        flags, environ = Options(), {origin: url}
        if origin == "flag":
            flags, environ = Options(endpoint_url=url), {}
        with pytest.raises(UsageError) as raised:
            resolve_target(flags, environ, None)
        assert "http://" in str(raised.value.hint)

    def test_a_password_in_one_is_not_repeated(self) -> None:
        with pytest.raises(UsageError) as raised:
            resolve_target(Options(endpoint_url="http://user:secret@h:1"), {}, None)
        assert "secret" not in f"{raised.value.message} {raised.value.hint}"

    @given(st.text())
    def test_any_text_is_either_a_url_or_wrong_usage(self, url: str) -> None:
        try:
            settings = resolve_target(Options(endpoint_url=url), {}, LOCAL)
        except UsageError:
            return
        assert settings.emulator is not None
        assert settings.emulator.endpoint_url.startswith(("http://", "https://"))

    def test_a_slash_at_its_end_makes_no_difference(self) -> None:
        assert where(resolve_target(Options(endpoint_url="http://h:1/"), {}, None)) == "http://h:1"


class TestEmulatorAddress:
    def test_functions_find_an_emulator_where_we_do_unless_told_otherwise(self) -> None:
        settings = resolve_target(Options(endpoint_url="http://h:1"), {}, None)
        assert settings.emulator == EmulatorAddress("http://h:1", "http://h:1")

    def test_the_inside_url_can_be_given(self) -> None:
        environ = {"PLLDB_INSIDE_ENDPOINT_URL": "http://inside:4566/"}
        settings = resolve_target(Options(endpoint_url="http://h:1"), environ, None)
        assert settings.emulator == EmulatorAddress("http://h:1", "http://inside:4566")

    def test_a_bad_inside_url_is_wrong_usage(self) -> None:
        with pytest.raises(UsageError):
            resolve_target(
                Options(endpoint_url="http://h:1"), {"PLLDB_INSIDE_ENDPOINT_URL": "inside"}, None
            )

    def test_the_running_emulators_own_inside_url_is_kept_if_its_url_is_given(self) -> None:
        settings = resolve_target(Options(endpoint_url=LOCAL.endpoint_url + "/"), {}, LOCAL)
        assert settings.emulator == LOCAL

    def test_emulators_can_be_given_other_credentials(self) -> None:
        environ = {
            "PLLDB_EMULATOR_ACCESS_KEY_ID": "someone",
            "PLLDB_EMULATOR_SECRET_ACCESS_KEY": "else",
        }
        settings = resolve_target(Options(), environ, LOCAL)
        assert (settings.access_key_id, settings.secret_access_key) == ("someone", "else")


class TestRegion:
    @pytest.mark.parametrize(
        ("flags", "environ", "expected"),
        [
            ({}, {}, "us-east-1"),
            ({"region": "r1"}, {}, "r1"),
            ({}, {"PLLDB_REGION": "r2"}, "r2"),
            ({}, {"AWS_REGION": "r3"}, "r3"),
            ({}, {"AWS_DEFAULT_REGION": "r4"}, "r4"),
            ({"region": "r1"}, {"PLLDB_REGION": "r2", "AWS_REGION": "r3"}, "r1"),
            ({}, {"PLLDB_REGION": "r2", "AWS_REGION": "r3"}, "r2"),
            ({}, {"AWS_REGION": "r3", "AWS_DEFAULT_REGION": "r4"}, "r3"),
        ],
    )
    def test_of_an_emulator(
        self, flags: dict[str, str], environ: dict[str, str], expected: str
    ) -> None:
        assert resolve_target(Options(**flags), environ, LOCAL).region == expected

    def test_of_aws_is_the_profiles_unless_one_is_given(self) -> None:
        assert resolve_target(Options(profile="dev"), {}, None).region is None
        assert resolve_target(Options(profile="dev", region="r1"), {}, None).region == "r1"


def home_of(environ: Mapping[str, str], default: Path) -> Path:
    return find_home(environ, default).value


class TestSettings:
    def test_text_and_the_users_state_folder_by_default(self, tmp_path: Path) -> None:
        settings = SettingsResolver(Options(), {}).resolve()
        assert (settings.output, settings.verbosity) == ("text", 0)
        assert home_of({}, tmp_path) == tmp_path

    def test_plldb_home_moves_the_state(self, tmp_path: Path) -> None:
        assert home_of({"PLLDB_HOME": str(tmp_path)}, Path("/x")) == tmp_path

    def test_plldb_home_may_begin_with_a_tilde(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/someone")
        home = home_of({"PLLDB_HOME": "~/plldb"}, Path("/x"))
        assert home == Path("/home/someone/plldb")

    def test_a_flag_wins_over_the_variable(self) -> None:
        environ = {"PLLDB_OUTPUT": "json", "PLLDB_VERBOSE": "1"}
        settings = SettingsResolver(Options(output="text", verbose=2), environ).resolve()
        assert (settings.output, settings.verbosity) == ("text", 2)
        settings = SettingsResolver(Options(), environ).resolve()
        assert (settings.output, settings.verbosity) == ("json", 1)

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            *[("0", 0), ("false", 0), ("No", 0), ("", 0)],
            *[("1", 1), ("true", 1), ("YES", 1)],
            ("2", 2),
        ],
    )
    def test_verbosity_by_variable(self, value: str, expected: int) -> None:
        settings = SettingsResolver(Options(), {"PLLDB_VERBOSE": value}).resolve()
        assert settings.verbosity == expected

    @pytest.mark.parametrize(
        ("variable", "value"),
        [("PLLDB_OUTPUT", "yaml"), ("PLLDB_VERBOSE", "3"), ("PLLDB_VERBOSE", "very")],
    )
    def test_what_makes_no_sense_is_wrong_usage(self, variable: str, value: str) -> None:
        with pytest.raises(UsageError, match=f"{variable}: '{value}'"):
            SettingsResolver(Options(), {variable: value}).resolve()
