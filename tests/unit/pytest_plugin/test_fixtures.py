"""The fixtures as pytest shows them, and what they say if they can't be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from plldb.pytest_plugin.explained import explained
from tests.unit.pytest_plugin.test_recordings_as_tests import ROOT, run

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


def test_what_is_not_installed_is_named() -> None:
    with (
        pytest.raises(pytest.fail.Exception, match=r"psutil is not installed.*extra 'pytest'"),
        explained(),
    ):
        raise ModuleNotFoundError("No module named 'psutil'", name="psutil")


@pytest.mark.parametrize("bug", [ModuleNotFoundError(name="plldb.other"), ZeroDivisionError()])
def test_bugs_are_raised_as_they_are(bug: Exception) -> None:
    with pytest.raises(type(bug)), explained():
        raise bug


WATCHED = """
    import pytest

    from plldb.debugger.invocation_runner import NotPrepared
    from plldb.errors import ConnectionLostError
    from plldb.pytest_plugin.explained import explained
    from plldb.pytest_plugin.failure_report import InvocationSections
    from plldb.pytest_plugin.session_watch import SessionWatch
    from tests.unit.pytest_plugin.test_attached import ANSWER, run
    from tests.unit.replay.test_history import finished, started, written

    WATCH = SessionWatch("shop")

    def pytest_configure(config):
        config.pluginmanager.register(InvocationSections(lambda: [WATCH]))
"""


def test_a_test_that_fails_shows_what_ran_meanwhile(pytester: pytest.Pytester) -> None:
    pytester.syspathinsert(ROOT)
    pytester.makeconftest(WATCHED)
    pytester.makepyfile(
        """
        from conftest import *

        def test_that_passes():
            run(WATCH, "earlier", event='"earlier"')

        def test_that_fails():
            WATCH.take(started())
            WATCH.take(written("hello"))
            WATCH.take(finished(result=ANSWER))
            WATCH.take(NotPrepared("Biller", "no module named x"))
            assert False

        def test_without_any():
            assert False

        def test_at_the_end():
            WATCH.take(finished("r2", function="Biller", error="it can't be run here"))
            WATCH.end(ConnectionLostError("The session is lost."))
            with explained():
                WATCH.wait_for(lambda: False, 0)
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        [
            "* plldb: stack shop (call) *",
            'Greeter succeeded: {"n":1} → {"total":1}',
            "  | hello",
            "*_ test_without_any _*",
            "*_ test_at_the_end _*",
            "> *with explained():",
            "E *Failed: The session is lost.",
            "* plldb: stack shop (call) *",
            "Biller abandoned (it can't be run here): null",
            "Biller does not run here: no module named x",
            "The session is lost.",
        ]
    )
    shown = result.stdout.str()
    assert shown.count("plldb: stack shop") == 2, "nothing ran during the other one"
    assert "earlier" not in shown
    assert "During handling" not in shown
