"""Where functions find modules: https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html"""

from pathlib import Path

import pytest
from localstack_tokenfree.lambda_runtime.runtimes import node_path

SHARED = "/opt/nodejs/node_modules"
VERSION_2 = "/opt/nodejs/sdk-2/node_modules"


@pytest.mark.parametrize(
    ("runtime", "sdk"),
    [
        ("nodejs12.x", [VERSION_2, SHARED]),
        ("nodejs16.x", [VERSION_2, SHARED]),
        ("nodejs18.x", [SHARED]),
        ("nodejs22.x", [SHARED]),
    ],
)
def test_sdk_of_a_runtime(runtime: str, sdk: list[str]) -> None:
    assert node_path([], {"AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime}"}, SHARED) == sdk


def test_layers_come_first_and_later_ones_win() -> None:
    layers = [Path("/one"), Path("/two")]
    folders = node_path(layers, {"NODE_PATH": "/own"}, "")
    assert folders == ["/two/nodejs/node_modules", "/one/nodejs/node_modules", "/own"]
