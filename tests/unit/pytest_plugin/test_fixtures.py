"""The fixtures as pytest shows them, and what they say if they can't be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.pytest_plugin.test_recordings_as_tests import run

pytest_plugins = ["pytester"]

NEEDS_EMULATOR = "def test_needs_one(plldb_emulator): pass"
NAMES = ("plldb_emulator", "plldb_stack", "plldb_attached")


@pytest.fixture(autouse=True)
def no_target(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PLLDB_TARGET", "PLLDB_PROFILE", "PLLDB_ENDPOINT_URL", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PLLDB_HOME", str(tmp_path / "home"))


def test_each_has_its_words(pytester: pytest.Pytester) -> None:
    shown = run(pytester, "--fixtures", "-q").stdout
    for name in NAMES:
        shown.re_match_lines([rf"{name} \[session scope\] -- ", r"    [A-Z]"], consecutive=True)
    assert "--plldb-emulator" in run(pytester, "--help").stdout.str()


def test_another_engine_is_no_choice(pytester: pytest.Pytester) -> None:
    result = run(pytester, "--plldb-emulator", "none")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(
    ("variables", "options", "said"),
    [
        (
            {"PLLDB_TARGET": "aws"},
            (),
            "plldb's fixtures deploy to an emulator, and AWS was selected (PLLDB_TARGET).*",
        ),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            ("--plldb-emulator", "ministack"),
            "--plldb-emulator ministack starts an emulator, and calls go to http://127.0.0.1:9 *",
        ),
        ({"PLLDB_TARGET": "nowhere"}, (), "PLLDB_TARGET: 'nowhere' is no target.*"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, (), "*127.0.0.1:9*"),
    ],
    ids=["AWS", "two places", "no target", "nobody there"],
)
def test_why_there_is_none_is_said_without_a_traceback(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    options: tuple[str, ...],
    said: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    pytester.makepyfile(NEEDS_EMULATOR)
    result = run(pytester, *options)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([said])
    assert "Traceback" not in result.stdout.str()
