"""Writes docs/reference from the code (``make docs``).

``cli.md`` is made from the click commands, ``api.md`` from docs/openapi.yaml and from the module of
wire messages, ``permissions.md`` from what ``plldb doctor`` looks for. A unit test compares the
files with what is made here.
"""

from __future__ import annotations

import ast
import inspect
import re
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

_MADE = "<!-- Made by tools/reference.py (`make docs`) from {}. Don't edit it. -->\n"
_ENVIRONMENT = re.compile(r"\s*\[env: (\w+)\]")
_METHODS = ("get", "post", "put", "patch", "delete")


def pages() -> dict[Path, str]:
    """Each file of the reference, with what it must hold."""
    return {
        REFERENCE / "cli.md": cli_page(),
        REFERENCE / "api.md": api_page(),
        REFERENCE / "permissions.md": permissions_page(),
    }


def main() -> None:
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))


# --- The command line -----------------------------------------------------------------------------


def commands(
    command: click.Command = plldb, path: tuple[str, ...] = ("plldb",)
) -> Iterator[tuple[str, click.Command]]:
    """``plldb``, then each command and subcommand, with its full name."""
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, (*path, name))


def cli_page() -> str:
    everywhere = {_names(option) for option in _options(plldb)}
    sections = [_command_section(name, command, everywhere) for name, command in commands()]
    return "\n".join([_MADE.format("the commands"), "# Commands\n", *sections])


def options_of(command: click.Command) -> list[str]:
    """The long names of its options, which the reference must have."""
    return [name for option in _options(command) for name in option.opts if name.startswith("--")]


def _options(command: click.Command) -> list[click.Option]:
    """Without --help, which click adds to each."""
    return [p for p in command.params if isinstance(p, click.Option)]


def _names(option: click.Option) -> str:
    return ", ".join([*option.opts, *option.secondary_opts])


def _command_section(name: str, command: click.Command, everywhere: set[str]) -> str:
    is_root = command is plldb
    own = [o for o in _options(command) if is_root or _names(o) not in everywhere]
    parts = [f"## {name}\n", f"```\n{_usage(name, command)}\n```\n", _help(command.help or "")]
    if own:
        rows = [_option_row(option) for option in own]
        parts.append(_table(("option", "", "default", "environment variable"), rows))
    if not is_root:
        parts.append("It takes the [global options](#plldb) as well.\n")
    return "\n".join(parts)


def _usage(name: str, command: click.Command) -> str:
    with click.Context(command, info_name=name) as context:
        return " ".join([name, *command.collect_usage_pieces(context)])


def _help(text: str) -> str:
    """Its paragraphs; those that click is told not to wrap stay as they are."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return (
        "\n\n".join(
            f"```\n{paragraph[1:].strip()}\n```"
            if paragraph.startswith("\b")
            else _prose(paragraph)
            for paragraph in paragraphs
        )
        + "\n"
    )


def _option_row(option: click.Option) -> tuple[str, str, str, str]:
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
    variables = ", ".join(f"`{name}`" for name in _variables(option))
    return names, help_.strip(), _default(option), variables


def _default(option: click.Option) -> str:
    is_shown = isinstance(option.default, str | int | float) and not option.is_flag
    return f"`{option.default}`" if is_shown and option.default != "" else ""


def _variables(option: click.Option) -> list[str]:
    named = _ENVIRONMENT.findall(option.help or "")
    given = [option.envvar] if isinstance(option.envvar, str) else [*(option.envvar or ())]
    return [*given, *(name for name in named if name not in given)]


# --- The management API ---------------------------------------------------------------------------


def api_page() -> str:
    document = yaml.safe_load(OPENAPI.read_text(encoding="utf-8"))
    resolve = _resolver(document)
    parts = [
        _MADE.format("docs/openapi.yaml and lambda_functions/websocket/wire.py"),
        "# The APIs of the helper stack\n",
        "The same, for machines: [openapi.yaml](../openapi.yaml).\n",
        "## Management API\n",
        _paragraph(document["info"]["description"]),
    ]
    for tag in document["tags"]:
        parts.append(f"### {tag['description']}\n")
        parts += [
            _operation(method, path, item, resolve)
            for path, item in document["paths"].items()
            for method in _METHODS
            if method in item and tag["name"] in item[method]["tags"]
        ]
    parts.append("### Objects\n")
    schemas = document["components"]["schemas"]
    parts += [_schema(name, schema) for name, schema in schemas.items() if _has(schema)]
    return "\n".join([*parts, *_messages_part()])


Resolve = Callable[[dict[str, Any]], dict[str, Any]]


def _resolver(document: dict[str, Any]) -> Resolve:
    def resolve(node: dict[str, Any]) -> dict[str, Any]:
        """The node, or what its $ref stands for."""
        while "$ref" in node:
            found: Any = document
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    return resolve


def _operation(method: str, path: str, item: dict[str, Any], resolve: Resolve) -> str:
    operation = item[method]
    (security,) = operation["security"]
    by = "signed (AWS_IAM)" if "sigv4" in security else "with the function's bearer token"
    parts = [
        f"#### {method.upper()} {path}\n",
        f"{operation['summary']}; {by}.\n",
        operation.get("description", ""),
    ]
    parameters = [
        resolve(p) for p in [*item.get("parameters", []), *operation.get("parameters", [])]
    ]
    if parameters:
        rows = [_parameter_row(parameter, resolve) for parameter in parameters]
        parts.append(_table(("parameter", "in", "", "rule"), rows))
    if body := operation.get("requestBody"):
        parts.append(f"Body: {_content(body)}. {body.get('description', '')}".rstrip() + "\n")
    answers = {status: resolve(answer) for status, answer in operation["responses"].items()}
    parts.append(
        _table(
            ("status", "body", ""),
            [(status, _content(one), one["description"]) for status, one in answers.items()],
        )
    )
    return "\n".join(part for part in parts if part)


def _parameter_row(parameter: dict[str, Any], resolve: Resolve) -> tuple[str, str, str, str]:
    needed = " Required." if parameter["required"] and parameter["in"] == "query" else ""
    schema = resolve(parameter["schema"])
    text = _one_line(parameter.get("description") or schema.get("description", ""))
    return f"`{parameter['name']}`", parameter["in"], text + needed, _rule(schema)


def _content(node: dict[str, Any]) -> str:
    schema = node.get("content", {}).get("application/json", {}).get("schema", {})
    return _link(schema["$ref"]) if "$ref" in schema else ""


def _link(reference: str) -> str:
    name = reference.rpartition("/")[2]
    return f"[{name}](#{name.lower()})"


def _has(schema: dict[str, Any]) -> bool:
    return "properties" in schema or "enum" in schema or "pattern" in schema


def _schema(name: str, schema: dict[str, Any]) -> str:
    parts = [f"#### {name}\n"]
    if "description" in schema:
        parts.append(_one_line(schema["description"]) + "\n")
    if "properties" not in schema:
        parts.append(_rule(schema) + "\n")
        return "\n".join(parts)
    rows = []
    for member, node in schema["properties"].items():
        given = "always" if member in schema.get("required", []) else ""
        text = _one_line(node.get("description", ""))
        rows.append((f"`{member}`", given, _kind(node), text))
    parts.append(_table(("member", "", "what it is", ""), rows))
    return "\n".join(parts)


def _kind(node: dict[str, Any]) -> str:
    if "$ref" in node:
        return _link(node["$ref"])
    if "oneOf" in node:
        return ", or ".join(_kind(one) for one in node["oneOf"])
    if "items" in node:
        return f"list of {_kind(node['items'])}" + (", null" if "null" in node["type"] else "")
    if node.get("type") == "object" and "properties" in node:
        return "; ".join(f"`{name}`: {_kind(one)}" for name, one in node["properties"].items())
    return _rule(node)


def _rule(schema: dict[str, Any]) -> str:
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


def _messages_part() -> list[str]:
    overview, _, dialogue = (wire.__doc__ or "").partition("::\n")
    kinds: tuple[tuple[str, type[Any], str], ...] = (
        ("From the debugger", wire.Action, "action"),
        ("From the server", wire.MessageType, "type"),
    )
    parts = [
        "## WebSocket API\n",
        _prose(overview.strip()) + "\n",
        "```" + "\n" + inspect.cleandoc("\n" + dialogue) + "\n```\n",
    ]
    for title, enum, key in kinds:
        made = _builders(enum)
        parts.append(f"### {title}\n")
        rows = []
        for member in enum:
            fields, text = made.get(member.name, ([], ""))
            others = ", ".join(f"`{field}`" for field in fields if field != key)
            rows.append((f"`{member.value}`", others, text))
        parts.append(_table((f"`{key}`", "with", ""), rows))
    codes = ", ".join(f"`{code.value}`" for code in wire.ErrorCode)
    return [*parts, f"The `code` of an error is one of {codes}.\n"]


def _builders(enum: type[Any]) -> dict[str, tuple[list[str], str]]:
    """Member of the enum → (the message's fields, what its docstring says), from its function."""
    found = {}
    for function in vars(wire).values():
        if isinstance(function, FunctionType) and function.__module__ == wire.__name__:
            tree = ast.parse(inspect.getsource(function))
            fields, members = _fields(tree), _members(tree, enum.__name__)
            if fields and members:
                found[members[0]] = fields, _one_line(inspect.getdoc(function) or "")
    return found


def _fields(tree: ast.AST) -> list[str]:
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


def _members(tree: ast.AST, enum: str) -> list[str]:
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
`cloudformation:DescribeStacks` as well. CloudFormation acts with the permissions of whoever runs
`plldb bootstrap`.
"""


def permissions_page() -> str:
    sections = [_purpose_section(purpose) for purpose in PURPOSES]
    return "\n".join([_MADE.format("plldb/doctor/requirements.py"), _PERMISSIONS, *sections])


def _purpose_section(purpose: Purpose) -> str:
    resources: dict[str, list[str]] = {}
    for permission in purpose.permissions:
        resources.setdefault(permission.resource, []).append(f"`{permission.action}`")
    rows = [(f"`{name}`", ", ".join(sorted(set(all_)))) for name, all_ in resources.items()]
    head = f"## {purpose.name}\n\nThis is {purpose.description}.\n"
    return "\n".join([head, _table(("resource", "actions"), rows)])


# --- Markdown -------------------------------------------------------------------------------------


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return _one_line(_prose(text)).replace("|", "\\|")


def _paragraph(text: str) -> str:
    return text.strip() + "\n" if text else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _prose(text: str) -> str:
    """Docstrings' ``code`` as Markdown's; stars outside of code are stars."""
    text = text.replace("``", "`")
    pieces = text.split("`")
    return "`".join(
        piece if is_code else re.sub(r"(?<!\\)\*", r"\\*", piece)
        for piece, is_code in zip(pieces, (i % 2 for i in range(len(pieces))), strict=True)
    )


if __name__ == "__main__":
    main()
