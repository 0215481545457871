"""Writes docs/reference from the code (``make docs``).

``cli.md`` is made from the click commands, ``api.md`` from docs/openapi.yaml and from the module of
wire messages, ``json.md`` from the schema of JSON output, ``permissions.md`` from what
``plldb doctor`` looks for. A unit test compares the
files with what is made here.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import click
import yaml

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.cli.main import plldb
from plldb.doctor.requirements import PURPOSES, Purpose

ROOT = Path(__file__).parents[1]
OPENAPI = ROOT / "docs" / "openapi.yaml"
REFERENCE = ROOT / "docs" / "reference"
OUTPUT = ROOT / "plldb" / "output.schema.json"

_MADE = "<!-- Made by tools/reference.py (`make docs`) from {}. Don't edit it. -->\n"
_ENVIRONMENT = re.compile(r"\s*\[env: (\w+)\]")
_METHODS = ("get", "post", "put", "patch", "delete")


def make_pages() -> dict[Path, str]:
    """Each file of the reference, with what it must hold."""
    return {
        REFERENCE / "cli.md": make_cli_page(),
        REFERENCE / "api.md": make_api_page(),
        REFERENCE / "json.md": make_json_page(),
        REFERENCE / "permissions.md": make_permissions_page(),
    }


def main() -> None:
    for path, text in make_pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))


# --- The command line -----------------------------------------------------------------------------


def find_commands(
    command: click.Command = plldb, path: tuple[str, ...] = ("plldb",)
) -> Iterator[tuple[str, click.Command]]:
    """``plldb``, then each command and subcommand, with its full name."""
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from find_commands(inner, (*path, name))


def make_cli_page() -> str:
    everywhere = {_join_names(option) for option in _list_options(plldb)}
    sections = [_render_command(name, command, everywhere) for name, command in find_commands()]
    return "\n".join([_MADE.format("the commands"), "# Commands\n", *sections])


def list_option_names(command: click.Command) -> list[str]:
    """The long names of its options, which the reference must have."""
    return [
        name for option in _list_options(command) for name in option.opts if name.startswith("--")
    ]


def _list_options(command: click.Command) -> list[click.Option]:
    """Without --help, which click adds to each, and without hidden ones."""
    return [p for p in command.params if isinstance(p, click.Option) and not p.hidden]


def _join_names(option: click.Option) -> str:
    return ", ".join([*option.opts, *option.secondary_opts])


def _render_command(name: str, command: click.Command, everywhere: set[str]) -> str:
    is_root = command is plldb
    own = [o for o in _list_options(command) if is_root or _join_names(o) not in everywhere]
    parts = [
        f"## {name}\n",
        f"```\n{_render_usage(name, command)}\n```\n",
        _render_help(command.help or ""),
    ]
    if own:
        rows = [_make_option_row(option) for option in own]
        parts.append(_render_table(("option", "", "default", "environment variable"), rows))
    if not is_root:
        parts.append("It takes the [global options](#plldb) as well.\n")
    return "\n".join(parts)


def _render_usage(name: str, command: click.Command) -> str:
    with click.Context(command, info_name=name) as context:
        return " ".join([name, *command.collect_usage_pieces(context)])


def _render_help(text: str) -> str:
    """Its paragraphs; those that click is told not to wrap stay as they are."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return (
        "\n\n".join(
            f"```\n{textwrap.dedent(paragraph[1:]).strip()}\n```"
            if paragraph.startswith("\b")
            else _convert_prose(paragraph)
            for paragraph in paragraphs
        )
        + "\n"
    )


def _make_option_row(option: click.Option) -> tuple[str, str, str, str]:
    help_ = _ENVIRONMENT.sub("", option.help or "").strip()
    if isinstance(option.type, click.Choice):
        help_ = f"{help_} One of {', '.join(f'`{choice}`' for choice in option.type.choices)}."
    if option.required:
        help_ += " Required."
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    if option.metavar or not (
        option.is_flag or option.count or isinstance(option.type, click.Choice)
    ):
        names += f" `{option.metavar or option.type.name.split()[0].upper()}`"
    variables = ", ".join(f"`{name}`" for name in _list_variables(option))
    return names, help_.strip(), _render_default(option), variables


def _render_default(option: click.Option) -> str:
    is_shown = isinstance(option.default, str | int | float) and not option.is_flag
    return f"`{option.default}`" if is_shown and option.default != "" else ""


def _list_variables(option: click.Option) -> list[str]:
    named = _ENVIRONMENT.findall(option.help or "")
    given = [option.envvar] if isinstance(option.envvar, str) else [*(option.envvar or ())]
    return [*given, *(name for name in named if name not in given)]


# --- JSON output ----------------------------------------------------------------------------------


def make_json_page() -> str:
    schema = json.loads(OUTPUT.read_text(encoding="utf-8"))
    sections = [_render_shape(name, shape) for name, shape in schema["$defs"].items()]
    return "\n".join(
        [
            _MADE.format("plldb/output.schema.json"),
            f"# {schema['title']}\n",
            f"{schema['description']}\n",
            "The same as JSON Schema: [output.schema.json](../../plldb/output.schema.json), which"
            " is installed with plldb. Members are always there, unless they are optional.\n",
            *sections,
        ]
    )


def _render_shape(name: str, shape: dict[str, Any]) -> str:
    if "oneOf" not in shape:
        rows = list(_list_members(shape))
        return f"## {name}\n\n{shape['description']}\n\n{_render_table(('member', 'is', ''), rows)}"
    rows = [
        (f"`{one['properties']['event']['const']}`", ", ".join(_name_members(one)), _describe(one))
        for one in shape["oneOf"]
    ]
    table = _render_table(("`event`", "with", ""), rows)
    return f"## {name}\n\n{shape['description']}\n\n{table}"


def _name_members(shape: dict[str, Any]) -> Iterator[str]:
    for member in shape["properties"]:
        if member not in ("event", "stackName") or member in shape["required"][1:]:
            yield f"`{member}`" + ("" if member in shape["required"] else " (optional)")


def _list_members(shape: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for member, one in shape["properties"].items():
        optional = "" if member in shape.get("required", [member]) else " (optional)"
        yield f"`{member}`{optional}", _name_type(one), _describe(one)


def _describe(shape: dict[str, Any]) -> str:
    return str(shape.get("description", ""))


def _name_type(shape: dict[str, Any]) -> str:
    """In the words of JSON; another shape is a link."""
    if "$ref" in shape:
        name = str(shape["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in shape:
        return f"`{json.dumps(shape['const'])}`"
    if "enum" in shape:
        return ", ".join(f"`{json.dumps(one)}`" for one in shape["enum"])
    if "anyOf" in shape:
        return " or ".join(_name_type(one) for one in shape["anyOf"])
    if shape.get("type") == "array":
        return f"list of {_name_type(shape['items'])}"
    kinds = shape.get("type", "any JSON")
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


# --- The management API ---------------------------------------------------------------------------


def make_api_page() -> str:
    document = yaml.safe_load(OPENAPI.read_text(encoding="utf-8"))
    resolve = _make_resolver(document)
    parts = [
        _MADE.format("docs/openapi.yaml and lambda_functions/websocket/wire.py"),
        "# The APIs of the helper stack\n",
        "The same, for machines: [openapi.yaml](../openapi.yaml).\n",
        "## Management API\n",
        _end_paragraph(document["info"]["description"]),
    ]
    for tag in document["tags"]:
        parts.append(f"### {tag['description']}\n")
        parts += [
            _render_operation(method, path, item, resolve)
            for path, item in document["paths"].items()
            for method in _METHODS
            if method in item and tag["name"] in item[method]["tags"]
        ]
    parts.append("### Objects\n")
    schemas = document["components"]["schemas"]
    parts += [
        _render_schema(name, schema) for name, schema in schemas.items() if _has_section(schema)
    ]
    return "\n".join([*parts, *_render_messages()])


Resolve = Callable[[dict[str, Any]], dict[str, Any]]


def _make_resolver(document: dict[str, Any]) -> Resolve:
    def resolve(node: dict[str, Any]) -> dict[str, Any]:
        """The node, or what its $ref stands for."""
        while "$ref" in node:
            found: Any = document
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    return resolve


def _render_operation(method: str, path: str, item: dict[str, Any], resolve: Resolve) -> str:
    operation = item[method]
    (security,) = operation["security"]
    by = "signed (AWS_IAM)" if "sigv4" in security else "with the function's bearer token"
    parts = [
        f"#### {method.upper()} {path}\n",
        f"{operation['summary']}; {by}.\n",
        _end_paragraph(operation.get("description", "")),
    ]
    parameters = [
        resolve(p) for p in [*item.get("parameters", []), *operation.get("parameters", [])]
    ]
    if parameters:
        rows = [_make_parameter_row(parameter, resolve) for parameter in parameters]
        parts.append(_render_table(("parameter", "in", "", "rule"), rows))
    if body := operation.get("requestBody"):
        parts.append(
            f"Body: {_render_content(body)}. {body.get('description', '')}".rstrip() + "\n"
        )
    answers = {status: resolve(answer) for status, answer in operation["responses"].items()}
    parts.append(
        _render_table(
            ("status", "body", ""),
            [(status, _render_content(one), one["description"]) for status, one in answers.items()],
        )
    )
    return "\n".join(part for part in parts if part)


def _make_parameter_row(parameter: dict[str, Any], resolve: Resolve) -> tuple[str, str, str, str]:
    needed = " Required." if parameter["required"] and parameter["in"] == "query" else ""
    schema = resolve(parameter["schema"])
    text = _join_lines(parameter.get("description") or schema.get("description", ""))
    return f"`{parameter['name']}`", parameter["in"], text + needed, _describe_rule(schema)


def _render_content(node: dict[str, Any]) -> str:
    schema = node.get("content", {}).get("application/json", {}).get("schema", {})
    return _describe_kind(schema) if schema else ""


def _make_link(reference: str) -> str:
    name = reference.rpartition("/")[2]
    return f"[{name}](#{name.lower()})"


def _has_section(schema: dict[str, Any]) -> bool:
    return "properties" in schema or "enum" in schema or "pattern" in schema


def _render_schema(name: str, schema: dict[str, Any]) -> str:
    parts = [f"#### {name}\n"]
    if "description" in schema:
        parts.append(_join_lines(schema["description"]) + "\n")
    if "properties" not in schema:
        parts.append(_describe_rule(schema) + "\n")
        return "\n".join(parts)
    rows = []
    for member, node in schema["properties"].items():
        given = "always" if member in schema.get("required", []) else ""
        text = _join_lines(node.get("description", ""))
        rows.append((f"`{member}`", given, _describe_kind(node), text))
    parts.append(_render_table(("member", "", "what it is", ""), rows))
    return "\n".join(parts)


def _describe_kind(node: dict[str, Any]) -> str:
    if "$ref" in node:
        return _make_link(node["$ref"])
    if "oneOf" in node:
        return ", or ".join(_describe_kind(one) for one in node["oneOf"])
    if "items" in node:
        return f"list of {_describe_kind(node['items'])}" + (
            ", null" if "null" in node["type"] else ""
        )
    if node.get("type") == "object" and "properties" in node:
        return "; ".join(
            f"`{name}`: {_describe_kind(one)}" for name, one in node["properties"].items()
        )
    return _describe_rule(node)


def _describe_rule(schema: dict[str, Any]) -> str:
    """What a value must be, in few words."""
    kind = schema.get("type", "")
    words = [", ".join(kind) if isinstance(kind, list) else kind]
    if "const" in schema:
        words = [f"`{schema['const']}`"]
    if "enum" in schema:
        words = [", ".join(f"`{value}`" for value in schema["enum"])]
    for key, sign in (("pattern", ""), ("format", ""), ("minimum", "≥ "), ("maximum", "≤ ")):
        if key in schema:
            words.append(f"{sign}`{schema[key]}`")
    if "default" in schema:
        words.append(f"default `{schema['default']}`")
    return ", ".join(word for word in words if word)


# --- The WebSocket --------------------------------------------------------------------------------


def _render_messages() -> list[str]:
    overview, _, dialogue = (wire.__doc__ or "").partition("::\n")
    kinds: tuple[tuple[str, type[Any], str], ...] = (
        ("From debuggers and functions", wire.Action, "action"),
        ("From the server", wire.MessageType, "type"),
    )
    parts = [
        "## WebSocket API\n",
        _convert_prose(overview.strip()) + "\n",
        "```" + "\n" + inspect.cleandoc("\n" + dialogue) + "\n```\n",
    ]
    for title, enum, key in kinds:
        made = _find_builders(enum)
        parts.append(f"### {title}\n")
        rows = []
        for member in enum:
            fields, text = made.get(member.name, ([], ""))
            others = ", ".join(f"`{field}`" for field in fields if field != key)
            rows.append((f"`{member.value}`", others, text))
        parts.append(_render_table((f"`{key}`", "with", ""), rows))
    codes = ", ".join(f"`{code.value}`" for code in wire.ErrorCode)
    return [*parts, f"The `code` of an error is one of {codes}.\n"]


def _find_builders(enum: type[Any]) -> dict[str, tuple[list[str], str]]:
    """Member of the enum → (the message's fields, what its docstring says), from its function."""
    found = {}
    for function in vars(wire).values():
        if isinstance(function, FunctionType) and function.__module__ == wire.__name__:
            tree = ast.parse(inspect.getsource(function))
            fields, members = _find_fields(tree), _find_members(tree, enum.__name__)
            if fields and members:
                found[members[0]] = fields, _join_lines(inspect.getdoc(function) or "")
    return found


def _find_fields(tree: ast.AST) -> list[str]:
    """The keys that a function gives its message, in their order."""
    keys = [
        key.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    ] + [
        node.slice.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
    ]
    return list(dict.fromkeys(keys))


def _find_members(tree: ast.AST, enum: str) -> list[str]:
    return [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == enum
    ]


# --- Permissions ----------------------------------------------------------------------------------

_PERMISSIONS = """# Permissions

What each command needs to be allowed, by IAM resource and action. `plldb doctor` tells what of it
is missing. Names in braces stand for the account, the region, the helper stack (`{helper}`), the
stack to debug (`{stack}`) and what belongs to the helper stack; `{identity}` is who asks. Restoring
and looking at sessions find the helper stack as attaching does: they need its
`cloudformation:DescribeStacks` as well.

CloudFormation acts with the permissions of whoever runs `plldb bootstrap`, unless that names a role
by `--cloudformation-role`. Then the role needs what is listed of the helper stack's resources, and
`s3:GetObject`; you need `iam:PassRole` on the role, what is listed of `s3` and `cloudformation`,
`dynamodb:Scan` and `dynamodb:UpdateTable` of the tables, and `lambda:InvokeFunction`.
"""


def make_permissions_page() -> str:
    sections = [_render_purpose(purpose) for purpose in PURPOSES]
    return "\n".join([_MADE.format("plldb/doctor/requirements.py"), _PERMISSIONS, *sections])


def _render_purpose(purpose: Purpose) -> str:
    resources: dict[str, list[str]] = {}
    for permission in purpose.permissions:
        resources.setdefault(permission.resource, []).append(f"`{permission.action}`")
    rows = [(f"`{name}`", ", ".join(sorted(set(all_)))) for name, all_ in resources.items()]
    instead = [
        f"`{purpose.alternatives[one].resource}` in place of `{one.resource}`"
        for one in purpose.permissions
        if one in purpose.alternatives
    ]
    alternatives = f"\nFor one stack alone, {', '.join(instead)} will do.\n" if instead else ""
    head = f"## {purpose.name}\n\nThis is {purpose.description}.\n{alternatives}"
    return "\n".join([head, _render_table(("resource", "actions"), rows)])


# --- Markdown -------------------------------------------------------------------------------------


def _render_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(map(_render_cell, line)) + " |\n" for line in lines)


def _render_cell(text: str) -> str:
    return _join_lines(_convert_prose(text)).replace("|", "\\|")


def _end_paragraph(text: str) -> str:
    return text.strip() + "\n" if text else ""


def _join_lines(text: str) -> str:
    return " ".join(text.split())


def _convert_prose(text: str) -> str:
    """Docstrings' ``code`` as Markdown's; stars outside of code are stars."""
    text = text.replace("``", "`")
    pieces = text.split("`")
    return "`".join(
        piece if is_code else re.sub(r"(?<!\\)\*", r"\\*", piece)
        for piece, is_code in zip(pieces, (i % 2 for i in range(len(pieces))), strict=True)
    )


if __name__ == "__main__":
    main()
