"""A template as CloudFormation takes it: what it has of this machine lies in a bucket.

As ``aws cloudformation package`` does it, without building anything:
https://docs.aws.amazon.com/cli/latest/reference/cloudformation/package.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from plldb.debugger.sources.expansion import (
    has_transform,
    is_loop,
    list_inclusions,
    list_resources,
    put_in_files,
    write_out_loop,
)
from plldb.debugger.sources.functions import SAM_FUNCTION, TEMPLATE_PROPERTIES
from plldb.debugger.sources.intrinsics import Scope
from plldb.debugger.sources.project import Parameters, is_file, is_folder, is_remote, make_absolute
from plldb.deployed import FUNCTION_TYPE
from plldb.dev.code_zip import Upload, upload_file, upload_text, zip_code
from plldb.errors import SourceError
from plldb.templates import as_dict, as_list, read_template

_SAM_PREFIX = "AWS::Serverless::"
_INCLUDE = "AWS::Include"
_CDK_ASSET_PATH = "aws:asset:path"
# Where `sam build` puts what it has made.
_BUILD_FOLDER = ".aws-sam"


@dataclass(frozen=True)
class Storage:
    """Where uploads go: keys begin with ``prefix``. ``url_of`` gives an object's URL by its key."""

    bucket: str
    prefix: str
    url_of: Callable[[str], str]


@dataclass(frozen=True)
class PackagedTemplate:
    """``body`` names nothing of this machine. ``nested`` are templates that it has uploaded, and
    ``files`` what all was made of but code: templates and what they include or name.

    ``remarks`` say what will not be as somebody may expect.
    """

    body: Mapping[str, Any]
    uploads: tuple[Upload, ...]
    nested: tuple[Mapping[str, Any], ...] = ()
    remarks: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the user has to agree to, for CloudFormation to carry it out:
        https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
        """
        found = {one for body in (self.body, *self.nested) for one in _list_capabilities(body)}
        return tuple(sorted(found))


@dataclass(frozen=True)
class Adaptation:
    """What is changed in templates for the target that they are deployed to.

    ``prepare`` changes each one in place, before it is packaged, and says what it did.
    ``finish_nested`` gives what is uploaded in the place of a nested one that is packaged.
    """

    prepare: Callable[[dict[str, Any]], list[str]] = lambda _: []
    finish_nested: Callable[[dict[str, Any]], dict[str, Any]] = lambda body: body


AS_ON_AWS = Adaptation()


def package_template(
    path: Path,
    storage: Storage,
    adaptation: Adaptation = AS_ON_AWS,
    parameters: Parameters = MappingProxyType({}),
) -> PackagedTemplate:
    """Packages the template at ``path`` and those nested in it.

    ``parameters`` are those that it is deployed with; one that is not among them has its default.
    Raises SourceError for what it names and is not there.
    """
    scope = Scope(read_template(path), parameters)
    packer = _Packer(make_absolute(path), storage, adaptation, scope)
    packed = packer.pack()
    return PackagedTemplate(
        packed,
        tuple(packer.uploads),
        tuple(packer.nested),
        tuple(dict.fromkeys(packer.remarks)),
        tuple(dict.fromkeys(packer.files)),
    )


def lacks_image(resource: Mapping[str, Any]) -> bool:
    """Whether it is a function of a container image that nobody has built."""
    properties = as_dict(resource.get("Properties"))
    image = properties.get("ImageUri") or as_dict(properties.get("Code")).get("ImageUri")
    is_one = str(resource.get("Type")).endswith("::Function")
    return is_one and properties.get("PackageType") == "Image" and not image


def render(body: Mapping[str, Any]) -> str:
    """As JSON, which CloudFormation takes for YAML as well; dates are texts there."""
    return json.dumps(body, default=str, ensure_ascii=False, separators=(",", ":"))


# --- What resources name --------------------------------------------------------------------------


def _as_s3_uri(storage: Storage, key: str) -> Any:
    return f"s3://{storage.bucket}/{key}"


def _as_lambda_code(storage: Storage, key: str) -> Any:
    return {"S3Bucket": storage.bucket, "S3Key": key}


def _as_location(storage: Storage, key: str) -> Any:
    return {"Bucket": storage.bucket, "Key": key}


@dataclass(frozen=True)
class _Artifact:
    """``render`` gives what stands in the property then. ``is_code``: it is zipped."""

    property: str
    render: Callable[[Storage, str], Any]
    is_code: bool = False


_RESOLVER = tuple(
    _Artifact(name, _as_s3_uri)
    for name in (
        "RequestMappingTemplateS3Location",
        "ResponseMappingTemplateS3Location",
        "CodeS3Location",
    )
)
_ARTIFACTS: Mapping[str, tuple[_Artifact, ...]] = {
    SAM_FUNCTION: (_Artifact("CodeUri", _as_s3_uri, is_code=True),),
    "AWS::Serverless::LayerVersion": (_Artifact("ContentUri", _as_s3_uri, is_code=True),),
    FUNCTION_TYPE: (_Artifact("Code", _as_lambda_code, is_code=True),),
    "AWS::Lambda::LayerVersion": (_Artifact("Content", _as_lambda_code, is_code=True),),
    "AWS::Serverless::StateMachine": (_Artifact("DefinitionUri", _as_location),),
    "AWS::StepFunctions::StateMachine": (_Artifact("DefinitionS3Location", _as_location),),
    "AWS::ApiGateway::RestApi": (_Artifact("BodyS3Location", _as_location),),
    "AWS::ApiGatewayV2::Api": (_Artifact("BodyS3Location", _as_location),),
    "AWS::AppSync::GraphQLSchema": (_Artifact("DefinitionS3Location", _as_s3_uri),),
    "AWS::AppSync::Resolver": _RESOLVER,
    "AWS::AppSync::FunctionConfiguration": _RESOLVER,
    "AWS::ElasticBeanstalk::ApplicationVersion": (_Artifact("SourceBundle", _as_lambda_code),),
}
_GLUE_JOB = "AWS::Glue::Job"
_GRAPHQL_API = "AWS::Serverless::GraphQLApi"
# These are put into the template, where SAM looks into them.
_DEFINITIONS = {
    "AWS::Serverless::Api": "DefinitionUri",
    "AWS::Serverless::HttpApi": "DefinitionUri",
}


@dataclass(frozen=True)
class _Packer:
    """``scope`` has the template as it was read, ``above`` are those that it is nested in, and
    ``prefix`` is the path to it.
    """

    path: Path
    storage: Storage
    adaptation: Adaptation
    scope: Scope
    above: tuple[Path, ...] = ()
    prefix: str = ""
    uploads: list[Upload] = field(default_factory=list)
    nested: list[Mapping[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def pack(self) -> dict[str, Any]:
        self.files.append(self.path)
        body = self._put_in_files(self.scope.template)
        for remark in self.adaptation.prepare(body):
            self.remarks.append(f"{self.prefix}{remark}")
        defaults = as_dict(as_dict(body.get("Globals")).get("Function"))
        default_code = defaults.pop("CodeUri", None)
        for logical_id, resource in list_resources(body["Resources"]):
            self._pack_resource(logical_id, as_dict(resource), default_code)
        return body

    def _put_in_files(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A template without includes of this machine, and with what its loops name spelled out,
        since each turn may name other files.
        """
        for path in list_inclusions(body, self.path.parent):
            self._check_there(path, f"{_INCLUDE}'s Location")
            self.files.append(path)
        whole = put_in_files(body, self.path.parent)
        resources: dict[str, Any] = {}
        for key, value in whole["Resources"].items():
            names_files = is_loop(key) and _names_files({key: value})
            resources |= write_out_loop(key, value, self.scope) if names_files else {key: value}
        return whole | {"Resources": resources}

    def _pack_resource(self, logical_id: str, resource: dict[str, Any], default_code: Any) -> None:
        kind = str(resource.get("Type"))
        if resource.get("Properties") is None:
            resource["Properties"] = {}
        properties = resource["Properties"]
        if not isinstance(properties, dict):
            return
        has_code = self.scope.choose_one(properties.get("CodeUri")) is not None
        if kind == SAM_FUNCTION and not has_code and not {"InlineCode", "ImageUri"} & {*properties}:
            properties["CodeUri"] = "." if default_code is None else default_code
        if lacks_image(resource):
            raise SourceError(
                f"{self.path}: {logical_id} is a container image that is not built.",
                "Build and push it with its own tool, and name it in ImageUri.",
            )
        for artifact in _ARTIFACTS.get(kind, ()):
            self._pack_artifact(logical_id, artifact, resource, kind)
        if kind == _GLUE_JOB:
            self._pack_parts(logical_id, properties.get("Command"), "ScriptLocation")
        elif kind == _GRAPHQL_API:
            for name in ("SchemaUri", "CodeUri"):
                self._pack_parts(logical_id, properties, name)
        elif kind in _DEFINITIONS:
            self._put_in_definition(logical_id, _DEFINITIONS[kind], properties)
        elif kind in TEMPLATE_PROPERTIES:
            self._pack_nested(logical_id, TEMPLATE_PROPERTIES[kind], resource)
        if not properties:
            del resource["Properties"]

    def _find_local(self, value: Any) -> str | None:
        """What a value names of this machine. One that is computed from what is known counts only
        if that is there.
        """
        if _is_local(value):
            return str(value)
        text = self.scope.find_text(self.scope.choose_one(value))
        if not text or not _is_local(text):
            return None
        path = self.path.parent / text
        return text if is_file(path) or is_folder(path) else None

    def _put_in_definition(self, logical_id: str, name: str, properties: dict[str, Any]) -> None:
        value = self._find_local(properties.get(name))
        if value is not None:
            path = self._find(logical_id, name, value)
            self.files.append(path)
            del properties[name]
            properties["DefinitionBody"] = _read_definition(path)

    def _pack_artifact(
        self, logical_id: str, artifact: _Artifact, resource: Mapping[str, Any], kind: str
    ) -> None:
        properties = resource["Properties"]
        value = self._find_local(properties.get(artifact.property))
        if value is None:
            return
        path = self._find(logical_id, artifact.property, value)
        key = self._upload(path, is_code=artifact.is_code)
        properties[artifact.property] = artifact.render(self.storage, key)
        if artifact.is_code and kind.startswith(_SAM_PREFIX):
            self._remark_on_build(logical_id, path, as_dict(resource.get("Metadata")))

    def _pack_parts(self, logical_id: str, value: Any, name: str) -> None:
        """Uploads the files that parts of a property's value name, at any depth."""
        for key, one in as_dict(value).items():
            if key == name and one and _is_local(one):
                uploaded = self._upload(self._find(logical_id, name, one))
                value[key] = _as_s3_uri(self.storage, uploaded)
            else:
                self._pack_parts(logical_id, one, name)

    def _upload(self, path: Path, *, is_code: bool = False) -> str:
        """The key that it will have in the bucket."""
        prefix = self.storage.prefix
        with _reading(path):
            upload = zip_code(path, prefix) if is_code else upload_file(path, prefix)
        self.uploads.append(upload)
        if not is_code:
            self.files.append(path)
        return upload.key

    def _remark_on_build(self, logical_id: str, path: Path, metadata: Mapping[str, Any]) -> None:
        if _BUILD_FOLDER in path.parts:
            return
        method = metadata.get("BuildMethod")
        logical_id = self.prefix + logical_id
        if method is not None:
            self.remarks.append(
                f"{logical_id} is deployed as it lies here, and not built by {method}: --build "
                "does that"
            )
        elif path.is_dir() and _names_packages(path / "requirements.txt"):
            self.remarks.append(
                f"{logical_id} is deployed without the packages of its requirements.txt: it finds "
                "them while it is debugged here; --build brings them along"
            )

    def _pack_nested(self, logical_id: str, name: str, resource: Mapping[str, Any]) -> None:
        properties = resource["Properties"]
        # The CDK has the template in its folder, and an address in the bucket of its own.
        named = as_dict(resource.get("Metadata")).get(_CDK_ASSET_PATH) or properties.get(name)
        value = self._find_local(named)
        if value is None:
            return
        path = self._find(logical_id, name, value)
        if path == self.path or path in self.above:
            raise SourceError(f"{path} is nested in itself.", f"Mend {logical_id}.")
        prefix = f"{self.prefix}{logical_id}/"
        scope = Scope(read_template(path), *self.scope.pass_on(properties.get("Parameters")))
        above = (*self.above, self.path)
        inner = replace(self, path=path, scope=scope, above=above, prefix=prefix)
        body = self.adaptation.finish_nested(inner.pack())
        self.nested.append(body)
        text = render(body).encode()
        upload = upload_text(text, path.name.partition(".")[0], ".json", self.storage.prefix)
        self.uploads.append(upload)
        properties[name] = self.storage.url_of(upload.key)

    def _find(self, logical_id: str, name: str, value: str) -> Path:
        path = make_absolute(self.path.parent / Path(value).expanduser())
        self._check_there(path, f"{logical_id}'s {name}")
        return path

    def _check_there(self, path: Path, what: str) -> None:
        if not path.exists():
            raise SourceError(
                f"{self.path}: {what} names {path}, which is not there.",
                "Mend the path; what a build makes is there after --build, or a build of your own.",
            )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"{error.filename or path} can't be read: {error.strerror}.",
            "Mend that, or leave it out of the folder.",
        ) from None


def _names_files(resources: Mapping[str, Any]) -> bool:
    """Whether any of the resources is of a kind that may name a file of this machine."""
    kinds = {str(as_dict(resource).get("Type")) for _, resource in list_resources(resources)}
    return not kinds.isdisjoint(
        {*_ARTIFACTS, *_DEFINITIONS, *TEMPLATE_PROPERTIES, _GLUE_JOB, _GRAPHQL_API}
    )


def _is_local(value: Any) -> bool:
    return isinstance(value, str) and not is_remote(value)


def _read_definition(path: Path) -> Any:
    """An OpenAPI document, with CloudFormation's short forms in it if need be."""
    import yaml

    from plldb.templates import parse_yaml

    try:
        return parse_yaml(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise SourceError(f"{path} can't be read: {error}.", "Mend it.") from None


def _names_packages(requirements: Path) -> bool:
    try:
        lines = requirements.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.strip() and not line.strip().startswith(("#", "-")) for line in lines)


# --- Capabilities ---------------------------------------------------------------------------------

_NAMED = {
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
}


def _list_capabilities(body: Mapping[str, Any]) -> Iterator[str]:
    if as_list(body.get("Transform")) or has_transform(body):
        yield "CAPABILITY_AUTO_EXPAND"
    for _, value in list_resources(body["Resources"]):
        resource = as_dict(value)
        kind, properties = str(resource.get("Type")), as_dict(resource.get("Properties"))
        if kind.startswith("AWS::IAM::"):
            is_named = _NAMED.get(kind, "") in properties
            yield "CAPABILITY_NAMED_IAM" if is_named else "CAPABILITY_IAM"
        if kind.startswith(_SAM_PREFIX):
            yield "CAPABILITY_IAM"
        if kind in TEMPLATE_PROPERTIES:
            # What it asks for is known of those alone that lie on this machine.
            yield from ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
