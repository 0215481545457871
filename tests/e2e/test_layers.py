"""Layers that no template has as a folder are fetched, and stand where they are deployed."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from plldb.aws import Target

from .project import Project, attach, deployed_project, detach
from .support import Backend, Plldb, allowed, random_name, signed_in, user

IMPORTS = """
import os
import common, extra

def handler(event, context):
    with open(os.environ["WORDS"]) as file:
        return {"common": common.WHERE, "extra": extra.WHERE, "words": file.read()}
"""


def publish(target: Target, name: str, files: dict[str, str]) -> str:
    """The ARN of a version of a new layer."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        for path, text in files.items():
            zipped.writestr(path, text)
    version = target.client("lambda").publish_layer_version(
        LayerName=name, Content={"ZipFile": archive.getvalue()}
    )
    return str(version["LayerVersionArn"])


@pytest.fixture
def project(backend: Backend, target: Target, tmp_path: Path) -> Iterator[Project]:
    variables = {"WORDS": "/opt/data/words"}
    with deployed_project(target, tmp_path / "project", ["Alpha", "Beta"], variables) as project:
        for name in project.functions:
            project.write(name, IMPORTS)
        yield project


def describe_layers(project: Project, *layers: object, name: str) -> Path:
    """The template's own layer is a folder; its name on Lambda is ``name``."""
    template = json.loads(Path(project.template).read_text())
    template["Resources"]["Common"] = {
        "Type": "AWS::Lambda::LayerVersion",
        "Properties": {"LayerName": name, "Content": "layer"},
    }
    for function in project.functions:
        template["Resources"][function]["Properties"]["Layers"] = list(layers)
    Path(project.template).write_text(json.dumps(template))
    module = project.folder / "layer" / "python" / "common.py"
    module.parent.mkdir(parents=True)
    module.write_text("WHERE = 'here'")
    return module


def test_fetched_and_local_layers_stand_in_the_deployed_order(
    plldb: Plldb, project: Project, target: Target
) -> None:
    # Nobody has fetched such a content before.
    words = random_name("words")
    fetched = publish(
        target,
        random_name("fetched"),
        {
            "python/extra.py": "WHERE = 'fetched'",
            "python/common.py": "WHERE = 'fetched'",
            "data/words": words,
        },
    )
    name = random_name("own")
    own = publish(target, name, {"python/common.py": "WHERE = 'deployed'"})
    module = describe_layers(project, {"Ref": "Parameter"}, {"Ref": "Common"}, name=name)
    project.update("Alpha", Layers=[fetched, own])
    project.update("Beta", Layers=[own, fetched])
    before = project.configurations()
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        alpha, beta = (project.invoke(name).json for name in project.functions)
        module.write_text("WHERE = 'edited'")
        edited = project.invoke("Alpha").json
        detach(attached)

    assert alpha == {"common": "here", "extra": "fetched", "words": words}
    assert beta == {"common": "fetched", "extra": "fetched", "words": words}
    assert edited["common"] == "edited"
    project.wait_until_restored(before)

    (download,) = [event for event in attached.seen if event["event"] == "layer.download"]
    assert download["layer"] == fetched.partition(":layer:")[2]
    assert download["bytes"] > 0
    content = Path(plldb.environment["PLLDB_HOME"], "layers", "content")
    assert words in [path.read_text() for path in content.glob("*/data/words")]

    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        assert project.invoke("Alpha").json["extra"] == "fetched"
        detach(attached)
    assert "layer.download" not in [event["event"] for event in attached.seen]


@pytest.mark.needs("iam")
@pytest.mark.parametrize("may_read", [False, True], ids=["denied", "allowed"])
def test_it_takes_one_right_and_without_it_the_session_goes_on(
    plldb: Plldb, project: Project, target: Target, may_read: bool
) -> None:
    layer = random_name("denied")
    project.update("Alpha", Layers=[publish(target, layer, {"python/extra.py": f"# {layer}"})])
    project.write(
        "Alpha",
        """
        from importlib.util import find_spec
        def handler(event, context):
            return find_spec("extra") is not None
        """,
    )
    rights = [
        allowed("cloudformation:DescribeStacks", "cloudformation:ListStackResources"),
        allowed("cloudformation:GetTemplate", "execute-api:Invoke"),
        # MiniStack takes every look at a layer for the second one.
        *([allowed("lambda:GetLayerVersion", "lambda:ListLayers")] if may_read else []),
    ]
    with (
        user(target, *rights) as (_, keys),
        attach(signed_in(plldb, keys), project, "--function", "Alpha") as attached,
    ):
        attached.wait_for("ready")
        answer = project.invoke("Alpha").json
        detach(attached)
    assert answer is may_read, attached.errors()
    told = [json.loads(one)["warning"] for one in attached.errors().splitlines() if layer in one]
    assert len(told) == (0 if may_read else 1)
    for said in told:
        for part in ("Alpha", f"{layer}:1", "may not read it", "lambda:GetLayerVersion"):
            assert part in said
