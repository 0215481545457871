"""What ``terraform show -json`` says, beyond what tests/projects has."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.deployed_layers.arrangement import arrange_layers
from plldb.debugger.sources.choice import ChosenSources, CodeOptions, choose_sources
from plldb.debugger.sources.project import CodeSource, DescribedLayer, Functions
from plldb.debugger.sources.stack_settings import list_project
from plldb.debugger.sources.terraform import read_project, read_project_file
from plldb.errors import SourceError

FUNCTION = {
    "function_name": "one",
    "handler": "app.handler",
    "runtime": "python3.13",
    "package_type": "Zip",
    "filename": "build/one.zip",
    "source_code_hash": "abc=",
}


def resource(kind: str, **values: Any) -> dict[str, Any]:
    return {"address": f"{kind}.{len(values)}{values}", "type": kind, "values": values}


def function(**changes: Any) -> dict[str, Any]:
    return resource("aws_lambda_function", **(FUNCTION | changes))


def archive(**values: Any) -> dict[str, Any]:
    return resource("archive_file", **({"output_path": "build/one.zip"} | values))


def show(*resources: dict[str, Any]) -> str:
    values = {"root_module": {"resources": list(resources)}}
    return json.dumps({"format_version": "1.0", "values": values})


def read(folder: Path, text: str) -> Functions:
    return read_project(text, Path("show.json"), [folder]).read({})


def found(folder: Path, *resources: dict[str, Any]) -> Path | str:
    source = read(folder, show(*resources))["one"]
    return source.code_dir if isinstance(source, CodeSource) else source


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("def handler(e, c): pass")
    return tmp_path


def test_an_archive_of_a_folder_or_of_a_file(project: Path) -> None:
    assert found(project, function(), archive(source_dir="src")) == project / "src"
    assert found(project, function(), archive(source_file="src/app.py")) == project / "src"


def test_a_package_whose_handler_is_a_monitoring_products(project: Path) -> None:
    (project / "build").mkdir()
    with zipfile.ZipFile(project / "build/one.zip", "w") as package:
        package.write(project / "src/app.py", "app.py")
    wrapper = "datadog_lambda.handler.handler"
    environment = [{"variables": {"DD_LAMBDA_HANDLER": "app.handler"}}]
    assert found(project, function(handler=wrapper)) == project / "src"
    wrapped = function(handler=wrapper, environment=environment)
    source = read(project, show(wrapped))["one"]
    assert isinstance(source, CodeSource)
    assert (source.code_dir, source.handler) == (project / "src", "app.handler")


@pytest.mark.parametrize(
    ("filename", "output_path"),
    [("./build/one.zip", "build/one.zip"), ("build/one.zip", "x/../build//one.zip")],
)
def test_a_path_may_be_spelled_in_another_way(
    project: Path, filename: str, output_path: str
) -> None:
    made = archive(output_path=output_path, source_dir="src")
    assert found(project, function(filename=filename), made) == project / "src"


def test_an_archive_that_was_elsewhere_is_known_by_its_hash(project: Path) -> None:
    elsewhere = archive(output_path="/x/one.zip", output_base64sha256="abc=", source_dir="src")
    assert found(project, function(), elsewhere) == project / "src"
    other = archive(output_path="/y/one.zip", output_base64sha256="abc=", source_dir="other")
    assert "not made by an archive_file" in str(found(project, function(), elsewhere, other))


def test_of_several_archives_at_one_path_it_is_that_with_the_functions_hash(project: Path) -> None:
    """As where a module is used twice, whose archive is in the module's folder."""
    (project / "other").mkdir()
    other = archive(output_base64sha256="xyz=", source_dir="other")
    mine = archive(output_base64sha256="abc=", source_dir="src")
    assert found(project, function(), other, mine) == project / "src"
    assert found(project, function(), mine, other) == project / "src"
    for unknown in (None, "new="):
        reason = found(project, function(source_code_hash=unknown), other, mine)
        assert "several archives are written to build/one.zip" in str(reason)
    again = archive(output_base64sha256="new=", source_dir="src")
    assert found(project, function(source_code_hash=None), mine, again) == project / "src"


def test_an_archive_that_can_not_be_edited(project: Path) -> None:
    made = archive(source=[{"content": "x = 1", "filename": "app.py"}])
    assert "texts in the configuration" in str(found(project, function(), made))
    assert "does not exist" in str(found(project, function(), archive(source_dir="gone")))


def test_a_package_that_something_else_made_is_known_by_what_is_in_it(project: Path) -> None:
    assert "not made by an archive_file" in str(found(project, function()))
    (project / "build").mkdir()
    with zipfile.ZipFile(project / "build" / "one.zip", "w") as package:
        package.write(project / "src" / "app.py", "app.py")
    assert found(project, function()) == project / "src"
    (project / "src" / "app.py").write_text("def handler(e, c): pass\n# edited")
    assert found(project, function()) == project / "src"
    (project / "infra").mkdir()
    elsewhere = function(filename="../build/one.zip")
    assert "not made by an archive_file" in str(found(project / "infra", elsewhere))
    (project / ".git").mkdir()
    assert found(project / "infra", elsewhere) == project / "src"
    (project / "src" / "app.py").write_text("x = 'another one'")
    assert "not made by an archive_file" in str(found(project, function()))


@pytest.mark.parametrize("folder", [".", "infra"])
def test_an_archive_of_what_a_build_has_made(project: Path, folder: str) -> None:
    """Where ``terraform show`` is read from a file, and from stdin."""
    for name in (".git", "infra", "dist"):
        (project / name).mkdir(exist_ok=True)
    (project / "dist" / "app.py").write_text((project / "src" / "app.py").read_text())
    made = show(function(), archive(source_dir=str(project / "dist")))
    for file in (project / folder / "show.json", Path("<stdin>")):
        options = CodeOptions(project, project=read_project(made, file, [project / folder]))
        assert choose_sources(options, "any").found["one"].code_dir == project / "src"


def test_a_package_in_s3(project: Path) -> None:
    uploaded = {"filename": None, "s3_bucket": "b", "s3_key": "k", "source_code_hash": ""}
    assert found(project, function(**uploaded)) == "its code is at s3://b/k"
    source = resource("aws_s3_object", bucket="b", key="k", source="build/one.zip")
    assert (
        found(project, function(**uploaded), source, archive(source_dir="src")) == project / "src"
    )


@pytest.mark.parametrize(
    "source_path",
    ["src", ["src"], [{"path": "src", "pip_requirements": True}], [{"path": "src/app.py"}]],
)
def test_the_module_for_lambda_of_the_community(project: Path, source_path: object) -> None:
    query = {
        "paths": json.dumps({"cwd": str(project), "root": ".", "module": ".terraform/modules/x"}),
        "source_path": json.dumps(source_path),
    }
    result = {"filename": "builds/abc.zip", "build_plan": "{}"}
    prepared = resource("external", query=query, result=result)
    assert found(project / "no", function(filename="builds/abc.zip"), prepared) == project / "src"


def test_a_package_of_that_modules_that_is_made_of_several_folders(project: Path) -> None:
    """What is put beside the first one can be imported as on Lambda, if its name is the same."""
    for name in ("lib/shared", "more", "other"):
        (project / name).mkdir(parents=True)
    source_path = [
        {"path": "src"},
        {"path": "lib/shared", "prefix_in_zip": "shared"},
        {"path": "other", "prefix_in_zip": "vendored"},
        "more",
    ]
    query = {"paths": "{}", "source_path": json.dumps(source_path)}
    prepared = resource("external", query=query, result={"filename": "builds/abc.zip"})
    source = read(project, show(function(filename="builds/abc.zip"), prepared))["one"]
    assert isinstance(source, CodeSource)
    (beside,) = source.layers
    assert source.code_dir == project / "src"
    assert beside.folders == (project / "more", project / "lib")
    assert not beside.is_deployed


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"package_type": "Image", "runtime": ""},
            "it is a container image; name its code with --code",
        ),
        ({"runtime": "nodejs22.x"}, "its runtime is nodejs22.x"),
    ],
)
def test_what_is_none_of_pythons(project: Path, changes: dict[str, Any], reason: str) -> None:
    assert found(project, function(**changes), archive(source_dir="src")) == reason


def test_layers(project: Path) -> None:
    arn = "arn:aws:lambda:eu-west-1:1:layer:common:1"
    layer = resource("aws_lambda_layer_version", arn=arn, filename="l.zip", layer_name="common")
    made = archive(output_path="l.zip", source_dir="src")
    resources = [function(layers=[arn, "arn:other"]), archive(source_dir="src"), layer, made]
    source = read(project, show(*resources))["one"]
    assert isinstance(source, CodeSource)
    common, other = source.layers
    assert (common.name, common.layer_name, common.folders) == (arn, "common", (project / "src",))
    assert (other.name, other.folders) == ("arn:other", ())
    assert other.reason


@pytest.mark.parametrize("installs", [False, True])
def test_a_layer_of_that_modules_whose_content_is_put_into_python(
    project: Path, installs: bool
) -> None:
    """Packages that are installed beside it are those of the deployed one."""
    (project / "common").mkdir()
    arn = "arn:aws:lambda:eu-west-1:123456789012:layer:l:1"
    source_path = [{"path": "common", "prefix_in_zip": "python", "pip_requirements": installs}]
    query = {"paths": "{}", "source_path": json.dumps(source_path)}
    prepared = resource("external", query=query, result={"filename": "builds/l.zip"})
    layer = resource("aws_lambda_layer_version", arn=arn, filename="builds/l.zip", layer_name="l")
    resources = [function(layers=[arn]), archive(source_dir="src"), layer, prepared]
    source = read(project, show(*resources))["one"]
    assert isinstance(source, CodeSource)
    arranged = arrange_layers(source.layers, [arn])
    folders = [one.folders for one in arranged if isinstance(one, DescribedLayer)]
    assert folders == [(project / "common",)]
    assert (arn in arranged) == installs


def test_a_plan(project: Path) -> None:
    """What data sources have read stands in another place there."""
    planned = {"root_module": {"child_modules": [{"resources": [function()]}]}}
    prior = {"values": {"root_module": {"resources": [archive(source_dir="src")]}}}
    plan = {"format_version": "1.2", "planned_values": planned, "prior_state": prior}
    source = read(project, json.dumps(plan))["one"]
    assert isinstance(source, CodeSource)
    assert source.code_dir == project / "src"


def test_nothing_was_applied_yet(project: Path) -> None:
    assert read(project, '{"format_version": "1.0"}') == {}


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("", "is not JSON", "terraform show -json"),
        ("# aws_lambda_function.one:", "is not JSON", "terraform show -json"),
        ("[" * 100_000, "is not JSON", "terraform show -json"),
        ("[]", "is not what", "terraform show -json"),
        ('{"version": 4, "resources": []}', "is not what", "terraform show -json"),
        ('{"format_version": "2.0"}', "format 2.0", "Update plldb"),
    ],
)
def test_what_makes_no_sense(tmp_path: Path, text: str, reason: str, hint: str) -> None:
    with pytest.raises(SourceError, match=reason) as raised:
        read(tmp_path, text)
    assert hint in str(raised.value.hint)
    assert raised.value.message.startswith("show.json ")
    assert "\n" not in raised.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "x", "one", "src"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*FUNCTION, "resources", "source_dir", "query"]), inner)
    ),
    max_leaves=8,
)


@given(values=JSON, kind=st.sampled_from(["aws_lambda_function", "archive_file", "external"]))
def test_strange_values_harm_nothing(
    tmp_path_factory: pytest.TempPathFactory, values: Any, kind: str
) -> None:
    one = {"address": "x", "type": kind, "values": values}
    read(tmp_path_factory.getbasetemp(), show(one, function(), archive(source_dir="nowhere")))


def test_a_file_and_its_folder(project: Path) -> None:
    file = project / "show.json"
    with pytest.raises(SourceError, match=r"show\.json can't be read") as raised:
        read_project_file(file)
    assert "terraform show -json" in str(raised.value.hint)
    file.write_text("\ufeff" + show(function(), archive(source_dir="src")))
    source = read_project_file(file).read({})["one"]
    assert isinstance(source, CodeSource)
    assert source.code_dir == project / "src"
    file.write_bytes(b"\xff")
    with pytest.raises(SourceError, match="can't be read"):
        read_project_file(file)


def test_of_functions_of_one_name_it_is_that_in_the_region(project: Path) -> None:
    """By aliases of the provider, one is deployed to several, with code of its own."""
    (project / "us").mkdir()
    arn = "arn:aws:lambda:{}:123456789012:function:one"
    text = show(
        function(arn=arn.format("eu-west-1")),
        archive(source_dir="src"),
        function(arn=arn.format("us-east-1"), filename="us.zip"),
        archive(output_path="us.zip", source_dir="us"),
        function(region="ap-south-1", filename="us.zip"),
    )
    described = read_project(text, Path("show.json"), [project])
    options = CodeOptions(project, project=described)

    def choose(region: str) -> ChosenSources:
        return choose_sources(options, "any", list_project("any", described, region))

    for region, folder in (("eu-west-1", "src"), ("us-east-1", "us"), ("ap-south-1", "us")):
        assert choose(region).found["one"].code_dir == project / folder
    assert "one" in choose_sources(options, "any").found
    assert "functions of this name with other code" in choose("sa-east-1").left_out["one"]


def test_what_can_be_no_key_or_path(project: Path) -> None:
    odd = {"address": ["x"], "type": "aws_lambda_layer_version", "values": {"arn": {"x": 1}}}
    function = {"function_name": "one", "filename": "x" * 5000, "layers": [["y"]]}
    text = show(odd, {"address": "f", "type": "aws_lambda_function", "values": function})
    assert "does not exist" in str(read(project, text)["one"])
