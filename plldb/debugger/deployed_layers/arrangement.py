"""A function's layers in the order in which they are deployed: folders here, and ARNs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from plldb.debugger.sources.project import DescribedLayer

# https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersionByArn.html
_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12})"
    r":layer:(?P<name>[A-Za-z0-9_-]+):(?P<version>\d+)",
    re.ASCII,
)


@dataclass(frozen=True)
class LayerArn:
    """The ARN of a version of a layer, and its parts."""

    text: str
    region: str
    account: str
    name: str
    version: str

    @property
    def label(self) -> str:
        """What people call it."""
        return f"{self.name}:{self.version}"


def parse_layer_arn(text: str) -> LayerArn | None:
    """None if it names no version of a layer."""
    found = _ARN.fullmatch(text)
    if found is None:
        return None
    return LayerArn(text, found["region"], found["account"], found["name"], found["version"])


def arrange_layers(
    described: Sequence[DescribedLayer], deployed: Sequence[str]
) -> list[DescribedLayer | str]:
    """The layers in the order in which the function has them: the project's folders and ARNs.

    What the project describes is found among the deployed ARNs by its ARN, else by its name, else,
    where as many are left on both sides, by its place. Folders that are not deployed, or not yet,
    come last: what the developer has at hand has its way. So do ARNs that the developer names
    besides those that are deployed.
    """
    places = _pair(described, deployed)
    by_place = {place: described[number] for number, place in places.items()}
    arranged: list[DescribedLayer | str] = []
    for place, arn in enumerate(deployed):
        layer = by_place.get(place)
        arranged.append(layer if layer is not None and layer.folders else arn)
    rest = [one for number, one in enumerate(described) if number not in places]
    return [*arranged, *(one if one.folders else one.name for one in rest if _is_added(one))]


def _is_added(layer: DescribedLayer) -> bool:
    is_named_arn = not layer.is_deployed and parse_layer_arn(layer.name) is not None
    return bool(layer.folders) or is_named_arn


def _pair(described: Sequence[DescribedLayer], deployed: Sequence[str]) -> dict[int, int]:
    """Numbers of those described → places of those deployed."""
    places: dict[int, int] = {}
    for is_same in (_has_arn, _has_layer_name, _has_logical_id):
        for number, layer in enumerate(described):
            free = [place for place in range(len(deployed)) if place not in places.values()]
            found = [place for place in free if is_same(layer, deployed[place])]
            if number not in places and len(found) == 1:
                places[number] = found[0]
    rest = [n for n, layer in enumerate(described) if n not in places and layer.is_deployed]
    free = [place for place in range(len(deployed)) if place not in places.values()]
    if len(rest) == len(free):
        places |= zip(rest, free, strict=True)
    return places


def _has_arn(layer: DescribedLayer, arn: str) -> bool:
    return layer.name == arn


def _has_layer_name(layer: DescribedLayer, arn: str) -> bool:
    parsed = parse_layer_arn(arn)
    return parsed is not None and layer.layer_name == parsed.name


def _has_logical_id(layer: DescribedLayer, arn: str) -> bool:
    """CloudFormation calls a layer by its logical id; some emulators make that a part of a name."""
    parsed = parse_layer_arn(arn)
    return parsed is not None and layer.name in (parsed.name, *parsed.name.split("-"))
