"""Deployed layers are the project's folders where the project has them, in the deployed order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.deployed_layers.arrangement import arrange_layers, parse_layer_arn
from plldb.debugger.sources.project import DescribedLayer

POWERTOOLS = (
    "arn:aws:lambda:eu-west-1:017000801446:layer:AWSLambdaPowertoolsPythonV3-python312-x86_64:7"
)


def arn(name: str, version: int = 1) -> str:
    return f"arn:aws:lambda:eu-west-1:123456789012:layer:{name}:{version}"


def local(name: str, layer_name: str | None = None) -> DescribedLayer:
    return DescribedLayer(name, (Path("/layers", name),), layer_name=layer_name)


def elsewhere(name: str) -> DescribedLayer:
    return DescribedLayer(name, reason="it is none of this template's")


class TestArn:
    def test_its_parts(self) -> None:
        parsed = parse_layer_arn(POWERTOOLS)
        assert parsed is not None
        assert parsed.region == "eu-west-1"
        assert parsed.account == "017000801446"
        assert parsed.label == "AWSLambdaPowertoolsPythonV3-python312-x86_64:7"

    @pytest.mark.parametrize("partition", ["aws-cn", "aws-us-gov", "aws-iso-b"])
    def test_other_partitions(self, partition: str) -> None:
        assert parse_layer_arn(arn("x").replace("arn:aws:", f"arn:{partition}:"))

    @pytest.mark.parametrize(
        "text", ["", "x", arn("x")[:-2], arn("x") + ":1", arn("x\n"), arn("x") + "\n", arn("ä")]
    )
    def test_none(self, text: str) -> None:
        assert parse_layer_arn(text) is None


class TestOrder:
    def test_local_ones_stand_where_they_are_deployed(self) -> None:
        described = [local("Common"), elsewhere(POWERTOOLS), local("Tools")]
        deployed = [arn("Common"), POWERTOOLS, arn("Tools")]
        common, tools = described[0], described[2]
        assert arrange_layers(described, deployed) == [common, POWERTOOLS, tools]
        assert arrange_layers(described, deployed[::-1]) == [tools, POWERTOOLS, common]

    def test_by_the_name_that_the_template_gives_them(self) -> None:
        named = local("Common", "company-common")
        deployed = [arn("other"), arn("company-common", 12), arn("third")]
        assert arrange_layers([named], deployed) == [deployed[0], named, deployed[2]]

    def test_by_the_logical_id_that_an_emulator_has_put_into_the_name(self) -> None:
        common = local("Common")
        deployed = [arn("other"), arn("app-Common-1A2B3C")]
        assert arrange_layers([common], deployed) == [deployed[0], common]

    def test_by_their_place_where_no_name_tells(self) -> None:
        """A parameter, ``Fn::ImportValue`` and ``Fn::Sub`` are known to CloudFormation alone."""
        one, two = local("One", None), local("Two", None)
        parameter = elsewhere('{"Ref": "LayerArn"}')
        deployed = [arn("a"), arn("b"), arn("c")]
        assert arrange_layers([one, parameter, two], deployed) == [one, arn("b"), two]

    def test_what_is_deployed_with_the_code_takes_no_place(self) -> None:
        """Such as Chalice's folder ``vendor``."""
        vendor = DescribedLayer("vendor", (Path("/app/vendor"),), is_deployed=False)
        assert arrange_layers([vendor], [arn("a")]) == [arn("a"), vendor]
        parameter = elsewhere('{"Ref": "LayerArn"}')
        assert arrange_layers([vendor, parameter], [arn("a")]) == [arn("a"), vendor]

    def test_what_the_template_lacks_is_fetched(self) -> None:
        """Added by a macro, or by hand; or the code is named by --code alone."""
        common = local("Common")
        assert arrange_layers([common], [arn("Common"), arn("x")]) == [common, arn("x")]
        assert arrange_layers([], [arn("x")]) == [arn("x")]

    def test_a_local_one_that_is_not_deployed_yet_comes_last(self) -> None:
        common, new = local("Common"), local("New")
        assert arrange_layers([new, common], [arn("Common")]) == [common, new]

    def test_what_the_template_names_and_nothing_has_is_passed_over(self) -> None:
        """For example since a condition leaves it out."""
        assert arrange_layers([elsewhere("x"), elsewhere("y")], [arn("a")]) == [arn("a")]

    def test_one_that_the_developer_names_by_its_arn_comes_last(self) -> None:
        """As the settings file may, besides those that are deployed."""
        added = DescribedLayer(arn("added"), reason="x", is_deployed=False)
        assert arrange_layers([added], [arn("a")]) == [arn("a"), arn("added")]
        assert arrange_layers([added], [arn("added"), arn("a")]) == [arn("added"), arn("a")]

    def test_another_version_of_a_layer_by_its_arn(self) -> None:
        """What is deployed counts: it is what the code runs with."""
        newer = POWERTOOLS[:-1] + "8"
        common = local("Common")
        assert arrange_layers([elsewhere(newer), common], [POWERTOOLS, arn("Common")]) == [
            POWERTOOLS,
            common,
        ]

    def test_one_that_two_have_the_name_of_is_taken_by_its_place(self) -> None:
        common = local("Common")
        deployed = [arn("x-Common"), arn("y-Common")]
        assert arrange_layers([common, elsewhere("z")], deployed) == [common, deployed[1]]

    @given(
        st.lists(
            st.builds(
                DescribedLayer,
                st.sampled_from(["A", "B", "C", arn("A"), arn("x")]),
                st.sampled_from([(), (Path("/layers/x"),)]),
                layer_name=st.sampled_from([None, "A", "x"]),
            ),
            max_size=5,
        ),
        st.lists(st.sampled_from([arn(name) for name in "ABxyz"]), max_size=5, unique=True),
    )
    def test_nothing_is_lost_and_nothing_is_there_twice(
        self, described: list[DescribedLayer], deployed: list[str]
    ) -> None:
        arranged = arrange_layers(described, deployed)
        folders = [one for one in arranged if isinstance(one, DescribedLayer)]
        arns = [one for one in arranged if isinstance(one, str)]
        assert sorted(map(repr, folders)) == sorted(repr(one) for one in described if one.folders)
        # In the deployed order; each deployed one is there, or a folder in its place.
        assert arns == [one for one in deployed if one in arns]
        assert len(deployed) <= len(arranged) <= len(deployed) + len(folders)
