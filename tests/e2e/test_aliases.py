"""Callers of an alias come to the debugger; afterwards, alias and versions are as before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from plldb.aws import Target

from .debugging import Debuggee, attached, deployed, end_grace, function, restore, result
from .support import Backend

ALIASED = {
    "Fn0": function(Environment={"Variables": {"COLOUR": "green"}}),
    "Version": {
        "Type": "AWS::Lambda::Version",
        "Properties": {"FunctionName": {"Ref": "Fn0"}},
    },
    "Alias": {
        "Type": "AWS::Lambda::Alias",
        "Properties": {
            "FunctionName": {"Ref": "Fn0"},
            "FunctionVersion": {"Fn::GetAtt": ["Version", "Version"]},
            "Name": "live",
        },
    },
}


class Aliased(Debuggee):
    @property
    def function_name(self) -> str:
        return self.physical["Fn0"]

    def call(self, event: Any) -> Any:
        """What a caller of the alias gets; repeated while the engine ends its environment."""
        while True:
            outcome = self.invoke("Fn0", event, Qualifier="live")
            if not outcome.was_stopped:
                return outcome.json

    def state(self) -> Any:
        """Alias, versions and configuration, as their user sees them."""
        versions = self._lambda.list_versions_by_function(FunctionName=self.function_name)
        aliases = self._lambda.list_aliases(FunctionName=self.function_name)["Aliases"]
        return (
            self.configurations(),
            [one["Version"] for one in versions["Versions"]],
            [(one["Name"], one["FunctionVersion"]) for one in aliases],
        )


@pytest.fixture
def app(target: Target) -> Iterator[Aliased]:
    with deployed(target, ALIASED, "aliased") as debuggee:
        yield Aliased(target, debuggee.name)


def test_the_callers_of_an_alias_get_the_debuggers_answer(backend: Backend, app: Aliased) -> None:
    before = app.state()

    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            messages = await debugger.instrument()
            (told,) = [one for one in messages if one["type"] == "instrumented"]
            assert told["aliases"] == ["live"]
            assert told["variables"] == {"COLOUR": "green"}
            answer, _ = await asyncio.gather(
                asyncio.to_thread(app.call, 1),
                debugger.serve(lambda _, event: result({"here": event})),
            )
            assert answer == {"here": 1}
            await debugger.close()

    asyncio.run(run())
    assert app.state() == before
    assert app.call(2) == {"original": 2, "plldb": []}


def test_killed_the_reaper_restores_it(backend: Backend, app: Aliased) -> None:
    before = app.state()

    async def run() -> str:
        async with attached(backend, app.name) as debugger:
            await debugger.instrument()
            await debugger.cut_off()
            backend.wait_for_status(debugger.session_id, "CLOSED")
            return debugger.session_id

    end_grace(backend, asyncio.run(run()))
    # Nobody is there: the version runs what the user deployed.
    assert app.call(1)["original"] == 1
    backend.reap_until(lambda: app.state() == before, "restored")


def test_an_alias_that_is_moved_meanwhile_is_left_alone(backend: Backend, app: Aliased) -> None:
    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            await debugger.instrument()
            app._lambda.update_alias(
                FunctionName=app.function_name, Name="live", FunctionVersion="$LATEST"
            )
            messages = await debugger.close()
            (warning,) = [one for one in messages if one["type"] == "warning"]
            assert "was pointed to version $LATEST meanwhile" in warning["message"]

    with backend.reaper_off():
        asyncio.run(run())
    _, versions, aliases = app.state()
    assert (versions, aliases) == (["$LATEST", "1"], [("live", "$LATEST")])


def test_a_version_that_an_alias_of_the_users_invokes_stays(backend: Backend, app: Aliased) -> None:
    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            await debugger.instrument()
            app._lambda.create_alias(
                FunctionName=app.function_name, Name="canary", FunctionVersion="2"
            )

    with backend.reaper_off():
        asyncio.run(run())
        assert app.state()[1:] == (["$LATEST", "1", "2"], [("live", "1"), ("canary", "2")])
        app._lambda.update_alias(FunctionName=app.function_name, Name="canary", FunctionVersion="1")
        assert restore(backend, app.name)["restored"] == ["Fn0"]
    assert app.state()[1] == ["$LATEST", "1"]
