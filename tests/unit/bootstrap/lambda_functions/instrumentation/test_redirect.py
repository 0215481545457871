"""Redirecting and undoing it: whatever else happens to a function, the rest of it stays."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.instrumentation.image_config import ImageConfig
from lambda_functions.instrumentation.obstacles import find_obstacle
from lambda_functions.instrumentation.redirect import (
    FunctionConfiguration,
    Hold,
    Layer,
    find_lack_of_room,
    redirect,
    undo,
)
from lambda_functions.shared import constants

LAYER = Layer("arn:aws:lambda:eu-west-1:1:layer:plldb-debugger:7")
OLD_LAYER = "arn:aws:lambda:eu-west-1:1:layer:plldb-debugger:3"
OTHER_LAYERS = [
    "arn:aws:lambda:eu-west-1:1:layer:requests:7",
    "arn:aws:lambda:eu-west-1:1:layer:plldb-debugger-two:7",
    "arn:aws:lambda:eu-west-1:2:layer:plldb-debugger:7",
]
HOLD = Hold("app", "12345678", "arn:aws:iam::1:user/me", "t" * 43, "wss://helper/plldb", "original")
PLAIN = FunctionConfiguration("app.handler", 3, (OTHER_LAYERS[0],), {"COLOUR": "green"})

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,9}", fullmatch=True)
configurations = st.builds(
    FunctionConfiguration,
    handler=st.from_regex(r"[a-z/.]{1,9}\.[a-z]{1,9}", fullmatch=True),
    timeout=st.integers(1, 900),
    layers=st.lists(st.sampled_from(OTHER_LAYERS), max_size=4, unique=True).map(tuple),
    variables=st.dictionaries(names, st.text(max_size=9), max_size=5),
)
words = st.from_regex(r"[a-z/.-]{1,9}", fullmatch=True)
# As Lambda shows a function whose image carries the shim, with and without a Command of its own.
images = st.builds(
    lambda timeout, config, variables: FunctionConfiguration.from_lambda(
        {
            "PackageType": "Image",
            "Timeout": timeout,
            "ImageConfigResponse": {"ImageConfig": config},
            "Environment": {"Variables": variables | {constants.IMAGE_HANDLER: "app.handler"}},
        }
    ),
    st.integers(1, 900),
    st.fixed_dictionaries(
        {},
        optional={
            "EntryPoint": st.lists(words, min_size=1, max_size=3),
            "Command": st.lists(words, min_size=1, max_size=3),
            "WorkingDirectory": words,
        },
    ),
    st.dictionaries(names, st.text(max_size=9), max_size=5),
)
holds = st.builds(
    Hold,
    session=st.text("0123456789abcdef", min_size=8, max_size=8),
    owner=st.text(max_size=30),
    token=st.text(max_size=43),
    websocket_url=st.text(max_size=30),
    when_absent=st.sampled_from(["original", "error"]),
    as_function=st.booleans(),
)


def redirected(undone: FunctionConfiguration = PLAIN, limit: int = 900) -> FunctionConfiguration:
    return redirect(undone, "Fn", HOLD, LAYER, limit)


class TestThereAndBack:
    @given(configurations | images, holds, st.integers(0, 50_000))
    def test_nothing_is_left(self, before: FunctionConfiguration, hold: Hold, limit: int) -> None:
        during = redirect(before, "Fn", hold, LAYER, limit)
        assert undo(during, LAYER) == before
        assert undo(before, LAYER) == before

    @given(configurations | images, holds, holds, st.integers(0, 50_000))
    def test_taken_over_it_still_is(
        self, before: FunctionConfiguration, first: Hold, second: Hold, limit: int
    ) -> None:
        during = redirect(before, "Fn", first, LAYER, limit)
        undone = undo(during, LAYER)
        during = redirect(undone, "Fn", second, LAYER, limit)
        assert during.holder == second.session
        assert undo(during, LAYER) == before

    @given(configurations, configurations, st.integers(1, 899))
    def test_edits_made_meanwhile_stay(
        self, before: FunctionConfiguration, edit: FunctionConfiguration, timeout: int
    ) -> None:
        during = redirected(before)
        edited = replace(
            during,
            handler=edit.handler,
            timeout=timeout,
            layers=(*edit.layers, LAYER.version_arn),
            variables=during.variables | edit.variables,
        )
        after = undo(edited, LAYER)
        # 900 is what plldb set, so it counts as untouched.
        assert after == FunctionConfiguration(
            edit.handler, timeout, edit.layers, before.variables | edit.variables
        )

    def test_older_versions_of_the_layer_go_too(self) -> None:
        held = replace(redirected(), layers=(OLD_LAYER, *OTHER_LAYERS, LAYER.version_arn))
        assert undo(held, LAYER).layers == tuple(OTHER_LAYERS)

    def test_what_plldb_0_1_0_wrote_goes_too(self) -> None:
        variables = redirected().variables | {"PLLDB_BROKER_URL": "https://broker/plldb"}
        assert undo(replace(redirected(), variables=variables), LAYER) == PLAIN

    def test_what_lost_its_variables_keeps_the_shim_and_is_known_by_that(self) -> None:
        broken = replace(redirected(), variables={})
        assert undo(broken, LAYER).handler == constants.SHIM_HANDLER


class TestRedirected:
    def test_what_it_looks_like(self) -> None:
        held = redirected()
        assert held.handler == "plldb_shim.handler"
        assert held.timeout == 900
        assert held.layers == (OTHER_LAYERS[0], LAYER.version_arn)
        assert held.variables == {
            "COLOUR": "green",
            "PLLDB_ORIGINAL_HANDLER": "app.handler",
            "PLLDB_ORIGINAL_TIMEOUT": "3",
            "PLLDB_RAISED_TIMEOUT": "900",
            "PLLDB_FUNCTION": "Fn",
            "PLLDB_WEBSOCKET_URL": "wss://helper/plldb",
            "PLLDB_TOKEN": "t" * 43,
            "PLLDB_SESSION": "12345678",
            "PLLDB_STACK": "app",
            "PLLDB_HELD_BY": "arn:aws:iam::1:user/me",
            "PLLDB_WHEN_ABSENT": "original",
        }
        assert held.holder == "12345678"
        assert held.owner == "arn:aws:iam::1:user/me"

    def test_whether_it_sends_its_credentials(self) -> None:
        """Who takes it over, and does not ask for them, gets none."""
        held = redirect(PLAIN, "Fn", replace(HOLD, as_function=True), LAYER, 900)
        assert held.variables == redirected().variables | {"PLLDB_AS_FUNCTION": "true"}
        assert redirected(undo(held, LAYER)) == redirected()

    @pytest.mark.parametrize(
        ("own", "limit", "raised"),
        [(3, 900, 900), (3, 45, 45), (60, 45, 60), (900, 30, 900), (3, 43_200, 900), (3, 0, 3)],
    )
    def test_the_timeout_is_raised_within_the_limit_and_never_lowered(
        self, own: int, limit: int, raised: int
    ) -> None:
        assert redirected(replace(PLAIN, timeout=own), limit).timeout == raised

    def test_a_function_that_nobody_holds(self) -> None:
        assert PLAIN.holder is None
        assert PLAIN.owner == "unknown"

    def test_no_secret_in_what_python_shows_of_it(self) -> None:
        assert HOLD.token not in repr(HOLD)
        assert HOLD.token not in repr(redirected())


class TestFromAndToLambda:
    def test_what_is_not_there_is_empty(self) -> None:
        for found in (
            {"Handler": "a.b", "Timeout": 3},
            {"Handler": "a.b", "Timeout": 3, "Layers": None, "Environment": None},
            {"Handler": "a.b", "Timeout": 3, "Layers": [], "Environment": {}},
        ):
            assert FunctionConfiguration.from_lambda(found) == FunctionConfiguration("a.b", 3)

    def test_what_is(self) -> None:
        found = {
            "Handler": "a.b",
            "Timeout": 3,
            "Layers": [{"Arn": OTHER_LAYERS[0], "CodeSize": 1}],
            "Environment": {"Variables": {"A": ""}},
        }
        expected = FunctionConfiguration("a.b", 3, (OTHER_LAYERS[0],), {"A": ""})
        assert FunctionConfiguration.from_lambda(found) == expected

    def test_only_what_differs_is_changed(self) -> None:
        assert PLAIN.changes(PLAIN) == {}
        assert PLAIN.changes(replace(PLAIN, timeout=4)) == {"Timeout": 4}
        assert PLAIN.changes(FunctionConfiguration("x.y", 3)) == {
            "Handler": "x.y",
            "Layers": [],
            "Environment": {"Variables": {}},
        }


class TestRoom:
    def test_layers(self) -> None:
        full = tuple(f"arn:aws:lambda:eu-west-1:1:layer:l{number}:1" for number in range(5))
        assert find_lack_of_room(redirected(replace(PLAIN, layers=full[:4]))) is None
        assert "5 layers" in str(find_lack_of_room(redirected(replace(PLAIN, layers=full))))

    @pytest.mark.parametrize("character", ["x", "ä", '"'])
    def test_variables(self, character: str) -> None:
        """Lambda measures their JSON text in UTF-8."""
        room = 4096 - len(json.dumps(redirected().variables | {"P": ""}, separators=(",", ":")))
        size = len(json.dumps(character, ensure_ascii=False).encode()) - 2
        for excess in (0, 1):
            padding = character * (room // size + excess)
            wanted = redirected(replace(PLAIN, variables=PLAIN.variables | {"P": padding}))
            assert (find_lack_of_room(wanted) is None) is (excess == 0)


class TestContainerImages:
    """https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#images-parms"""

    def found(self, config: dict[str, Any] | None = None, **variables: str) -> dict[str, Any]:
        return {
            "PackageType": "Image",
            "Timeout": 3,
            "Environment": {"Variables": variables},
            **({} if config is None else {"ImageConfigResponse": {"ImageConfig": config}}),
        }

    def test_the_shim_is_in_the_place_of_the_images_own_command(self) -> None:
        found = self.found(PLLDB_IMAGE_HANDLER="app.handler")
        before = FunctionConfiguration.from_lambda(found)
        assert before.handler == "app.handler"
        during = redirected(before)
        changes = before.changes(during)
        assert changes["ImageConfig"] == {"Command": [constants.SHIM_HANDLER]}
        assert changes.keys() == {"ImageConfig", "Timeout", "Environment"}
        variables = changes["Environment"]["Variables"]
        assert variables[constants.ORIGINAL_HANDLER] == "app.handler"
        assert constants.ORIGINAL_COMMAND not in variables
        assert during.runs_shim
        # What is left out is the image's own again.
        assert during.changes(undo(during, LAYER)) == {
            "ImageConfig": {},
            "Timeout": 3,
            "Environment": {"Variables": {"PLLDB_IMAGE_HANDLER": "app.handler"}},
        }

    def test_the_rest_of_its_configuration_stays(self) -> None:
        config = {
            "EntryPoint": ["/usr/bin/python3"],
            "Command": ["-m", "awslambdaric", "app.handler"],
            "WorkingDirectory": "/srv",
        }
        before = FunctionConfiguration.from_lambda(self.found(config, PLLDB_IMAGE_HANDLER="true"))
        assert before.handler == "app.handler"
        during = redirected(before)
        assert before.changes(during)["ImageConfig"] == config | {
            "Command": ["-m", "awslambdaric", constants.SHIM_HANDLER]
        }
        assert during.changes(undo(during, LAYER))["ImageConfig"] == config

    def test_what_was_deployed_meanwhile_stays(self) -> None:
        found = self.found({"Command": ["app.old"]}, PLLDB_IMAGE_HANDLER="1")
        during = redirected(FunctionConfiguration.from_lambda(found))
        assert during.image is not None
        deployed = replace(during, handler="app.new", image=ImageConfig(command=("app.new",)))
        undone = undo(deployed, LAYER)
        assert (undone.handler, undone.image) == ("app.new", ImageConfig(command=("app.new",)))

    @pytest.mark.parametrize("text", ["", "x", "{}", "[1]", '"app.handler"'])
    def test_an_undo_that_was_changed_by_hand_leaves_the_images_own(self, text: str) -> None:
        during = redirected(FunctionConfiguration.from_lambda(self.found({"Command": ["a.b"]})))
        tampered = replace(during, variables=during.variables | {constants.ORIGINAL_COMMAND: text})
        assert undo(tampered, LAYER).image == ImageConfig()

    def test_whose_variables_are_gone_is_the_images_own_again(self) -> None:
        lost = self.found({"Command": [constants.SHIM_HANDLER]}, PLLDB_IMAGE_HANDLER="app.handler")
        undone = undo(FunctionConfiguration.from_lambda(lost), LAYER)
        assert (undone.handler, undone.image) == ("app.handler", ImageConfig())

    @pytest.mark.parametrize(
        ("config", "variables", "reason"),
        [
            (None, {}, "pip install plldb-shim"),
            ({"Command": ["app.handler"]}, {}, "set PLLDB_IMAGE_HANDLER"),
            (None, {"PLLDB_IMAGE_HANDLER": ""}, "has to name the handler"),
            (None, {"PLLDB_IMAGE_HANDLER": "True"}, "has to name the handler"),
            ({"EntryPoint": ["x"]}, {"PLLDB_IMAGE_HANDLER": "1"}, "has to name the handler"),
            (None, {"PLLDB_IMAGE_HANDLER": "app.handler"}, None),
            ({"Command": ["app.handler"]}, {"PLLDB_IMAGE_HANDLER": "1"}, None),
        ],
    )
    def test_only_an_image_that_is_said_to_carry_the_shim_is_debugged(
        self, config: dict[str, Any] | None, variables: dict[str, str], reason: str | None
    ) -> None:
        obstacle = find_obstacle(self.found(config, **variables))
        assert obstacle is None if reason is None else reason in str(obstacle)

    def test_one_whose_configuration_can_not_be_read(self) -> None:
        found = self.found(PLLDB_IMAGE_HANDLER="app.handler")
        found["ImageConfigResponse"] = {"Error": {"ErrorCode": "X", "Message": "no such image"}}
        assert find_obstacle(found) == "its ImageConfig can't be read: no such image"
