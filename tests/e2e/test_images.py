"""Functions of container images are redirected by their ImageConfig, and restored.

That Lambda calls the shim in an image can be seen on AWS alone: no engine here runs images.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plldb.aws import Target

from .debugging import Debuggee, deployed
from .support import Attached, Backend, Plldb, poll

HANDLER = "PLLDB_IMAGE_HANDLER"
DOCKERFILE = """
FROM public.ecr.aws/lambda/python:3.13
RUN pip install plldb-shim
COPY src ${LAMBDA_TASK_ROOT}
CMD ["app.handler"]
"""


def image(variables: dict[str, str], **properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::Function",
        "Metadata": {"DockerContext": "image"},
        "Properties": {
            "PackageType": "Image",
            "Code": {"ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1"},
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Environment": {"Variables": variables},
        }
        | properties,
    }


def settings(stack: Debuggee, name: str) -> dict[str, Any]:
    found = stack.found(name)
    config = (found.get("ImageConfigResponse") or {}).get("ImageConfig") or {}
    variables = found["Environment"]["Variables"]
    return {"ImageConfig": config, "Timeout": found["Timeout"], "variables": variables}


def prepared_in(attached: Attached) -> list[dict[str, Any]]:
    return [event for event in attached.seen if event["event"] == "prepared"]


@pytest.mark.needs("process")
def test_those_that_carry_the_shim_are_redirected_and_restored(
    plldb: Plldb, backend: Backend, target: Target, tmp_path: Path
) -> None:
    resources = {
        "FnOwn": image({HANDLER: "app.handler"}),
        "FnCommand": image(
            {HANDLER: "1"},
            ImageConfig={"Command": ["other.main"], "WorkingDirectory": "/srv"},
        ),
        "FnWithout": image({"TABLE": "t"}),
    }
    (tmp_path / "image" / "src").mkdir(parents=True)
    (tmp_path / "image" / "Dockerfile").write_text(DOCKERFILE)
    for name in ("app", "other"):
        (tmp_path / "image" / "src" / f"{name}.py").write_text(
            "def handler(e, c): pass\nmain = handler"
        )
    (tmp_path / "template.json").write_text(json.dumps({"Resources": resources}))
    with deployed(target, resources, "images") as stack:
        before = {name: settings(stack, name) for name in resources}
        with plldb.within(tmp_path).attach(stack.name) as attached:
            attached.wait_for("ready")
            during = {name: settings(stack, name) for name in resources}
            poll(lambda: len(prepared_in(attached)) == 2, "prepared")
            attached.process.terminate()
            assert attached.exit_code() == 0
        poll(lambda: {name: settings(stack, name) for name in resources} == before, "restored")

    assert during["FnOwn"]["ImageConfig"] == {"Command": ["plldb_shim.handler"]}
    assert during["FnCommand"]["ImageConfig"] == {
        "Command": ["plldb_shim.handler"],
        "WorkingDirectory": "/srv",
    }
    assert during["FnWithout"] == before["FnWithout"]
    (skipped,) = [event for event in attached.seen if event["event"] == "skipped"]
    assert skipped["function"] == "FnWithout"
    for part in ("pip install plldb-shim", f"set {HANDLER}"):
        assert part in skipped["reason"]
    handlers = {one["function"]: (one["handler"], one["folder"]) for one in prepared_in(attached)}
    folder = str(tmp_path / "image" / "src")
    assert handlers == {"FnOwn": ("app.handler", folder), "FnCommand": ("other.main", folder)}
