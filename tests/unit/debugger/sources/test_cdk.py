"""The stacks that the CDK synthesised, and where the code of their functions is edited."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.sources.cdk import find_projects, find_template_project
from plldb.debugger.sources.choice import CodeOptions, choose_sources
from plldb.debugger.sources.project import CodeSource, Functions
from plldb.errors import SourceError
from tests.unit.debugger.sources.cloud_assemblies import HANDLER, RUNTIME, synthesise

TEXT = """import json


def handler(event, context):
    what = {what!r}
    print("handling", what)
    return {{"what": what, "event": event}}
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    for name in ("orders", "billing"):
        (tmp_path / "lambda" / name).mkdir(parents=True)
        (tmp_path / "lambda" / name / "index.py").write_text(TEXT.format(what=name))
    # Of what an app is made, this is all that matters.
    (tmp_path / "app.ts").write_text("lambda.Code.fromAsset('lambda/orders')")
    return tmp_path


def read(app: Path, stack: str = "Stack") -> Functions:
    (project,) = (one for one in find_projects(app) if stack in one.stack_names)
    return project.read({})


def found(app: Path, stack: str = "Stack", function: str = "Handler") -> CodeSource:
    source = read(app, stack)[function]
    assert isinstance(source, CodeSource), source
    return source


# --- Stacks ---------------------------------------------------------------------------------------


def test_stacks_are_known_by_the_names_that_they_are_deployed_by(app: Path) -> None:
    orders, billing = app / "lambda/orders", app / "lambda/billing"
    synthesise(app, "OrdersStack", {"Handler": orders})
    synthesise(app, "BillingStack", {"Handler": billing}, stack_name="company-billing")
    synthesise(app, "BetaShop12", {"Handler": billing}, stage="Beta", stack_name="Beta-Shop")
    names = {name for project in find_projects(app) for name in project.stack_names}
    assert names == {"OrdersStack", "company-billing", "Beta-Shop"}
    assert found(app, "OrdersStack").code_dir == orders
    assert found(app, "company-billing").code_dir == billing
    assert found(app, "Beta-Shop").code_dir == billing


def test_nested_stacks_are_followed(app: Path) -> None:
    orders, billing = app / "lambda/orders", app / "lambda/billing"
    for stage in (None, "Beta"):
        name = f"{stage}Stack"
        synthesise(app, name, {"Handler": orders}, nested={"Deep": billing}, stage=stage)
        functions = read(app, name)
        assert functions.keys() == {"Handler", "Child/Deep"}
        assert found(app, name, "Child/Deep").code_dir == billing


@pytest.mark.parametrize("output", ["build/cdk.out", "out"])
def test_cdk_json_says_where_the_assembly_is(app: Path, output: str) -> None:
    synthesise(app, "Stack", {"Handler": app / "lambda/orders"})
    (app / output).parent.mkdir(exist_ok=True)
    shutil.move(app / "cdk.out", app / output)
    assert find_projects(app) == []
    (app / "cdk.json").write_text(json.dumps({"app": "x", "output": "x" * 5000}))
    assert find_projects(app) == []
    (app / "cdk.json").write_text(json.dumps({"app": "x", "output": output}))
    assert found(app).code_dir == app / "lambda/orders"


def test_stacks_of_one_name_are_debugged_where_they_agree(app: Path) -> None:
    """For two regions, say."""
    orders, billing = app / "lambda/orders", app / "lambda/billing"
    synthesise(app, "Us", {"Same": orders, "Handler": orders}, stack_name="Stack")
    there = "aws://unknown-account/eu-west-1"
    functions = {"Same": orders, "Handler": billing, "More": orders}
    synthesise(app, "Eu", functions, stack_name="Stack", environment=there)
    functions = read(app)
    assert found(app, function="Same").code_dir == orders
    for name in ("Handler", "More"):
        assert "Us (aws://unknown-account/unknown-region) and Eu (aws" in str(functions[name])


def test_a_template_that_is_named_serves_any_stack(app: Path) -> None:
    orders = app / "lambda/orders"
    for stage in (None, "Beta"):
        template = synthesise(app, "Stack", {"Handler": orders}, stage=stage)
        project = find_template_project(template)
        assert project is not None
        assert project.stack_names == frozenset()
        source = project.read({})["Handler"]
        assert isinstance(source, CodeSource)
        assert source.code_dir == orders
    assert find_template_project(app / "template.yaml") is None
    (app / "cdk.out" / "mine.template.json").write_text("{}")
    assert find_template_project(app / "cdk.out" / "mine.template.json") is None


# --- Code -----------------------------------------------------------------------------------------


def test_an_assets_source_is_the_folder_that_it_was_made_from(app: Path) -> None:
    synthesise(app, "Stack", {"Handler": app / "lambda/orders"})
    assert found(app) == CodeSource(app / "lambda/orders", HANDLER, RUNTIME)


def test_without_staging_it_is_named(app: Path) -> None:
    synthesise(app, "Stack", {"Handler": app / "lambda/orders"}, staging=False)
    (app / "lambda/orders/index.py").write_text("everything = 'else'")
    assert found(app).code_dir == app / "lambda/orders"


def test_without_metadata_it_is_found_by_its_key(app: Path) -> None:
    synthesise(app, "Stack", {"Handler": app / "lambda/orders"}, metadata=False)
    assert found(app).code_dir == app / "lambda/orders"


def test_a_bundled_asset_has_the_packages_that_the_source_lacks(app: Path) -> None:
    folder = app / "lambda/orders"
    built = shutil.copytree(folder, app / "built")
    (built / "requests").mkdir()
    (built / "requests" / "__init__.py").write_text("VERSION = 1")
    synthesise(app, "Stack", {"Handler": built}, bundled=True)
    shutil.rmtree(built)
    source = found(app)
    assert source.code_dir == folder
    assert source.build_dir is not None
    assert (source.build_dir / "requests").is_dir()


def test_the_folder_of_an_image_is_no_other_origin(app: Path) -> None:
    """However like the function's own it is."""
    (app / "app.ts").write_text("'lambda/orders' 'lambda/billing'")
    synthesise(app, "Stack", {"Handler": app / "lambda/orders"})
    assert found(app).note
    shutil.copytree(app / "lambda/billing", app / "cdk.out/asset.image")
    manifest = app / "cdk.out/Stack.assets.json"
    content = json.loads(manifest.read_text())
    content["dockerImages"] = {"image": {"source": {"directory": "asset.image"}}}
    manifest.write_text(json.dumps(content))
    assert found(app).code_dir == app / "lambda/orders"


def test_the_copy_is_not_used_without_a_word(app: Path) -> None:
    synthesise(app, "Stack", {"Handler": app / "lambda/orders"})
    shutil.copytree(app / "lambda/orders", app / "lambda/invoices")
    source = found(app)
    assert source.code_dir.parent == app / "cdk.out"
    for part in ("invoices or ", "no effect", "--code", "--no-staging"):
        assert part in source.note


def test_an_archive_that_somebody_else_made(app: Path) -> None:
    template = synthesise(app, "Stack", {"Handler": app / "lambda/orders"})
    (copy,) = (app / "cdk.out").glob("asset.*")
    with zipfile.ZipFile(f"{copy}.zip", "w") as archive:
        archive.write(copy / "index.py", "index.py")
    shutil.rmtree(copy)
    for path in (template, app / "cdk.out/Stack.assets.json"):
        path.write_text(path.read_text().replace(f'"{copy.name}"', f'"{copy.name}.zip"'))
    assert found(app).code_dir == app / "lambda/orders"
    shutil.rmtree(app / "lambda/orders")
    assert "is a file" in str(read(app)["Handler"])


def test_synthesised_again_there_is_another_copy(app: Path) -> None:
    """What is edited is looked for anew, whatever lies in the folder from before."""
    folder = app / "lambda/orders"
    synthesise(app, "Stack", {"Handler": folder})
    (folder / "index.py").write_text(TEXT.format(what="edited"))
    synthesise(app, "Stack", {"Handler": folder})
    assert len(list((app / "cdk.out").glob("asset.*"))) == 2
    assert found(app).code_dir == folder
    (folder / "index.py").write_text(TEXT.format(what="orders"))
    assert found(app).code_dir == folder


# --- Trouble --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "can't be read"),
        ("[" * 100_000, "can't be read"),
        ("[]", "no manifest"),
        ('{"version": 1, "artifacts": {}}', "no manifest"),
        ('{"version": "99.0.0", "artifacts": []}', "no manifest"),
        (
            '{"version": "99.0.0", "artifacts": {"X": {"type": "aws:cloudformation:stack"}}}',
            "the artifact X makes no sense",
        ),
        (
            '{"version": "99.0.0", "artifacts": {"X": {"type": "cdk:cloud-assembly"}}}',
            r"\(version 99\.0\.0\): the artifact X makes no sense",
        ),
        (
            '{"version": "9", "artifacts": {"X": {"type": "cdk:cloud-assembly",'
            ' "properties": {"directoryName": ".."}}}}',
            "the artifact X makes no sense",
        ),
        (
            '{"version": "9", "artifacts": {"X": {"type": "cdk:cloud-assembly",'
            ' "properties": {"directoryName": "gone"}}}}',
            r"gone.manifest\.json is not there",
        ),
    ],
)
def test_a_manifest_that_makes_no_sense(app: Path, text: str, reason: str) -> None:
    (app / "cdk.out").mkdir()
    (app / "cdk.out" / "manifest.json").write_text(text)
    with pytest.raises(SourceError, match=reason) as raised:
        find_projects(app)
    assert "cdk synth" in str(raised.value.hint)
    assert "\n" not in raised.value.message


def test_a_later_version_is_read_as_far_as_it_makes_sense(app: Path) -> None:
    synthesise(app, "Stack", {"Handler": app / "lambda/orders"})
    manifest = app / "cdk.out" / "manifest.json"
    content = json.loads(manifest.read_text()) | {"version": "999.0.0", "news": 1}
    content["artifacts"]["Other"] = {"type": "cdk:other"}
    content["artifacts"]["Odd"] = None
    manifest.write_text(json.dumps(content))
    assert found(app).code_dir == app / "lambda/orders"


def test_a_manifest_that_is_out_of_date(app: Path) -> None:
    synthesise(app, "Other", {"Handler": app / "lambda/orders"})
    synthesise(app, "Stack", {"Handler": app / "lambda/orders"}).unlink()
    with pytest.raises(SourceError, match="out of date") as raised:
        read(app)
    assert "cdk synth" in str(raised.value.hint)
    assert found(app, "Other").code_dir == app / "lambda/orders"
    (copy,) = (app / "cdk.out").glob("asset.*")
    shutil.rmtree(copy)
    assert "synthesise it again" in str(read(app, "Other")["Handler"])


def test_a_stack_that_the_manifest_does_not_have_is_never_another_one(app: Path) -> None:
    synthesise(app, "Stack", {"Handler": app / "lambda/orders"})
    with pytest.raises(SourceError, match="no stack 'other'"):
        choose_sources(CodeOptions(app), "other")


# --- Never another stack's code -------------------------------------------------------------------

FOLDERS = ["a", "b", "c", "d"]
TEXTS = st.lists(
    st.sampled_from(["import os", "x = 1", "def handler(e, c):", "    return 1", "    return 2"]),
    min_size=1,
    max_size=8,
).map("\n".join)
# Which folder the functions of a stack are from: its stack, its Stage, and of one nested in it.
STACKS = st.dictionaries(
    st.tuples(st.sampled_from([None, "Beta", "Production"]), st.sampled_from(["Shop", "Users"])),
    st.tuples(st.sampled_from(FOLDERS), st.sampled_from(FOLDERS)),
    min_size=2,
)


@given(
    texts=st.lists(TEXTS, min_size=4, max_size=4, unique=True),
    stacks=STACKS,
    edits=st.dictionaries(st.sampled_from(FOLDERS), TEXTS | st.none()),
    staging=st.booleans(),
    metadata=st.booleans(),
)
def test_for_any_stacks_with_equal_logical_ids_code_of_the_other_never_runs(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    stacks: Mapping[tuple[str | None, str], tuple[str, str]],
    edits: Mapping[str, str | None],
    staging: bool,
    metadata: bool,
) -> None:
    """In whatever stack and Stage, nested or not, and whatever was edited or deleted since: a
    function has its own folder, the copy of that, or a reason.
    """
    app = tmp_path_factory.mktemp("app")
    used = {name for folders in stacks.values() for name in folders}
    (app / "app.py").write_text(f"{sorted(used)}")
    for name, text in zip(FOLDERS, texts, strict=True):
        (app / name).mkdir()
        (app / name / "index.py").write_text(text)
    for (stage, name), (folder, nested) in stacks.items():
        synthesise(
            app,
            f"{stage or ''}{name}",
            {"Handler": app / folder},
            nested={"Handler": app / nested},
            stage=stage,
            stack_name=f"{stage}-{name}",
            staging=staging,
            metadata=metadata,
        )
    for name, edited in edits.items():
        if edited is None:
            shutil.rmtree(app / name)
        elif edited not in texts:
            (app / name / "index.py").write_text(edited)

    for (stage, name), (folder, nested) in stacks.items():
        chosen = choose_sources(CodeOptions(app), f"{stage}-{name}")
        for function, own in (("Handler", folder), ("Child/Handler", nested)):
            source = chosen.found.get(function)
            if source is None:
                assert function in chosen.left_out
            elif source.code_dir != app / own:
                assert source.code_dir.parent == app / "cdk.out"
                assert (source.code_dir / "index.py").read_text() == texts[FOLDERS.index(own)]
                assert function in chosen.warnings


@pytest.mark.parametrize("copied", ["src", "."])
def test_an_image_is_made_of_the_folder_that_its_asset_was_made_from(
    app: Path, copied: str
) -> None:
    folder = app / "lambda/orders"
    (folder / copied).mkdir(exist_ok=True)
    (folder / copied / "app.py").write_text(TEXT.format(what="image"))
    (folder / "Dockerfile.fn").write_text(
        "FROM public.ecr.aws/lambda/python:3.12\nARG FOLDER=test\nCOPY ${FOLDER} .\n"
        'CMD ["app.handler"]'
    )
    template = synthesise(app, "Stack", {"Handler": folder})
    content = json.loads(template.read_text())
    function = content["Resources"]["Handler"]
    for name in ("Handler", "Runtime"):
        del function["Properties"][name]
    function["Properties"] |= {"PackageType": "Image", "Code": {"ImageUri": {"Fn::Sub": "x"}}}
    function["Metadata"] |= {
        "aws:asset:dockerfile-path": "Dockerfile.fn",
        "aws:asset:docker-build-args": {"FOLDER": copied},
        "aws:asset:property": "Code.ImageUri",
    }
    template.write_text(json.dumps(content))
    source = found(app)
    assert (source.code_dir, source.handler) == (folder / copied, "app.handler")


# --- Layers of other stacks, and functions that nobody wrote --------------------------------------


def change(template: Path, **more: object) -> None:
    """Adds resources, by their logical ids, and other sections."""
    body = json.loads(template.read_text())
    for section, content in more.items():
        body[section] = body.get(section, {}) | content
    template.write_text(json.dumps(body))


def layer(app: Path, name: str) -> tuple[dict[str, object], Path]:
    """A layer's resource, whose asset is a copy of a folder of the app, and that folder."""
    folder = app / "layers" / name
    (folder / "python").mkdir(parents=True)
    (folder / "python" / f"{name}.py").write_text(f"NAME = {name!r}")
    shutil.copytree(folder, app / "cdk.out" / f"asset.{name}")
    metadata = {"aws:asset:path": f"asset.{name}", "aws:asset:is-bundled": False}
    return {"Type": "AWS::Lambda::LayerVersion", "Metadata": metadata, "Properties": {}}, folder


def test_a_layer_of_another_stack_is_edited_in_its_folder(app: Path) -> None:
    export = "Layers:ExportsOutputRefCommon8F2A"
    layers = synthesise(app, "Layers", {})
    resource, folder = layer(app, "common")
    output = {"Value": {"Ref": "Common8F2A"}, "Export": {"Name": export}}
    change(layers, Resources={"Common8F2A": resource}, Outputs={"ExportsOutputRef": output})
    template = synthesise(app, "Stack", {"Handler": app / "lambda/orders"})
    function = json.loads(template.read_text())["Resources"]["Handler"]
    function["Properties"]["Layers"] = [{"Fn::ImportValue": export}, {"Fn::ImportValue": "else"}]
    change(template, Resources={"Handler": function})
    assert [one.folders for one in found(app).layers] == [(folder,), ()]


def test_a_layer_of_a_package_is_edited_in_its_folder(app: Path) -> None:
    """PythonLayerVersion puts what the package has, and what that needs, into a folder python."""
    template = synthesise(app, "Stack", {"Handler": app / "lambda/orders"})
    resource, _ = layer(app, "common")
    asset, package = app / "cdk.out/asset.common", app / "layers/common"
    installed = asset / "python/attr-1.0.dist-info/RECORD"
    installed.parent.mkdir()
    installed.write_text("attr/__init__.py,sha256=x,1\nattrs.py,,\n")
    for name in ("attrs.py", "attr/__init__.py"):
        (asset / "python" / name).parent.mkdir(exist_ok=True)
        (asset / "python" / name).write_text("X = 1")
    shutil.rmtree(package / "python")
    (package / "common.py").write_text("NAME = 'common'")
    (app / "app.ts").write_text("new PythonLayerVersion(this, 'L', { entry: 'layers/common' })")
    resource["Metadata"] = {"aws:asset:path": asset.name, "aws:asset:is-bundled": True}
    function = json.loads(template.read_text())["Resources"]["Handler"]
    function["Properties"]["Layers"] = [{"Ref": "Common"}]
    change(template, Resources={"Common": resource, "Handler": function})
    source = found(app)
    assert ([one.folders for one in source.layers], source.note) == ([(asset, package)], "")

    (package / "common.py").write_text("NAME = 'common'\n# edited")
    assert [one.folders for one in found(app).layers] == [(asset, package)]

    (package / "common.py").write_text("all = 'other'")
    source = found(app)
    assert [one.folders for one in source.layers] == [(asset,)]
    assert f"its layer Common is the copy that cdk synth has made, {asset}" in source.note
    shutil.rmtree(package)
    assert found(app).note == ""


def test_a_layer_that_a_nested_stack_is_passed_is_edited_in_its_folder(app: Path) -> None:
    orders = app / "lambda/orders"
    template = synthesise(app, "Stack", {}, nested={"Handler": orders})
    resource, folder = layer(app, "common")
    child = json.loads(template.read_text())["Resources"]["Child"]
    child["Properties"]["Parameters"] = {"referencetoStackCommonRef": {"Ref": "Common"}}
    change(template, Resources={"Common": resource, "Child": child})
    nested = template.with_name("StackChild.nested.template.json")
    function = json.loads(nested.read_text())["Resources"]["Handler"]
    function["Properties"]["Layers"] = [{"Ref": "referencetoStackCommonRef"}]
    change(nested, Resources={"Handler": function})
    assert [one.folders for one in found(app, function="Child/Handler").layers] == [(folder,)]


@pytest.mark.parametrize("is_exported", [False, True])
def test_a_layer_that_comes_of_a_nested_stack_is_edited_in_its_folder(
    app: Path, is_exported: bool
) -> None:
    """It is an output there, be it of the function's own app, or of another stack's that exports
    it; and a nested stack may be passed what comes of its neighbour.
    """
    template = synthesise(app, "Stack", {"Handler": app / "lambda/orders"}, nested={})
    resource, folder = layer(app, "common")
    outputs = {"StackCommonRef": {"Value": {"Ref": "Common"}}}
    nested = template.with_name("StackChild.nested.template.json")
    change(nested, Resources={"Common": resource}, Outputs=outputs)
    value: object = {"Fn::GetAtt": ["Child", "Outputs.StackCommonRef"]}
    if is_exported:
        change(template, Outputs={"Ref": {"Value": value, "Export": {"Name": "common"}}})
        value = {"Fn::ImportValue": "common"}
    function = json.loads(template.read_text())["Resources"]["Handler"]
    function["Properties"]["Layers"] = [value]
    neighbour = json.loads(template.read_text())["Resources"]["Child"]
    neighbour["Metadata"] = {"aws:asset:path": "Neighbour.nested.template.json"}
    neighbour["Properties"]["Parameters"] = {"Passed": value}
    passed = json.loads(json.dumps(function))
    passed["Properties"]["Layers"] = [{"Ref": "Passed"}]
    template.with_name("Neighbour.nested.template.json").write_text('{"Resources": {}}')
    change(template.with_name("Neighbour.nested.template.json"), Resources={"Handler": passed})
    change(template, Resources={"Handler": function, "Neighbour": neighbour})
    for name in ("Handler", "Neighbour/Handler"):
        assert [one.folders for one in found(app, function=name).layers] == [(folder,)]


def test_exports_that_lead_to_one_another_lead_to_no_layer(app: Path) -> None:
    """They may be of several environments, each of which has its own."""
    template = synthesise(app, "Stack", {"Handler": app / "lambda/orders"})
    outputs = {
        ours: {"Value": {"Fn::ImportValue": theirs}, "Export": {"Name": ours}}
        for ours, theirs in (("a", "b"), ("b", "a"))
    }
    function = json.loads(template.read_text())["Resources"]["Handler"]
    function["Properties"]["Layers"] = [{"Fn::ImportValue": "a"}]
    change(template, Resources={"Handler": function}, Outputs=outputs)
    assert [one.folders for one in found(app).layers] == [()]


def test_functions_of_the_cdks_own_are_left_alone(app: Path) -> None:
    names = [
        "CustomCDKBucketDeployment8693BB64968944B69AAFB0CC9EB8756C81C01536",
        "BucketNotificationsHandler050a0587b7544547bf325f094a3db8347ECC3691",
    ]
    synthesise(app, "Stack", dict.fromkeys([*names, "CustomCDKHandler"], app / "lambda/orders"))
    functions = read(app)
    for name in names:
        assert "it is a function of the CDK's own" in str(functions[name])
    assert isinstance(functions["CustomCDKHandler"], CodeSource)


def test_an_asset_that_is_a_zip_file_was_built_of_the_code_and_what_it_needs(app: Path) -> None:
    template = synthesise(app, "Stack", {"Handler": app / "lambda/orders"})
    synthesise(app, "Other", {"Handler": app / "lambda/billing"}, bundled=True)
    with zipfile.ZipFile(app / "cdk.out" / "asset.zip", "w") as archive:
        archive.write(app / "lambda/orders/index.py", "index.py")
        archive.writestr("package/__init__.py", "")
    function = json.loads(template.read_text())["Resources"]["Handler"]
    function["Metadata"]["aws:asset:path"] = "asset.zip"
    change(template, Resources={"Handler": function})
    assert found(app).code_dir == app / "lambda/orders"
