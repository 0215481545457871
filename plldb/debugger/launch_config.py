"""VS Code's launch configuration for a function, and its place in .vscode/launch.json.

That file is the developer's, edited by hand: JSON with comments and trailing commas
(https://code.visualstudio.com/docs/languages/json#_json-with-comments). Only our own entry changes
in it, and everything else stays as it is, byte for byte.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from plldb.errors import SourceError
from plldb.files import replace_file

_VERSION = "0.2.0"
_INDENT = "    "
_BYTE_ORDER_MARK = "\ufeff"
# Addresses to listen at that are none to connect to.
_ANY_IPV4 = "0.0.0.0"  # nosec B104  # noqa: S104
_ANY_ADDRESS = {"": "127.0.0.1", _ANY_IPV4: "127.0.0.1", "::": "::1"}


def make_launch_config(name: str, host: str, port: int, code_dir: Path) -> dict[str, Any]:
    """Attaches VS Code to a function; ``name`` is the function's or the stack's.

    https://code.visualstudio.com/docs/python/debugging#_set-configuration-options
    """
    return {
        "name": f"plldb: {name}",
        "type": "debugpy",
        "request": "attach",
        "connect": {"host": _ANY_ADDRESS.get(host, host), "port": port},
        "pathMappings": [{"localRoot": str(code_dir), "remoteRoot": str(code_dir)}],
        "justMyCode": False,
    }


def write_launch_config(path: Path, config: dict[str, Any]) -> bool:
    """Adds the configuration, or replaces the one of the same name; False if it was there already.

    ``path`` is .vscode/launch.json; it is made if it is missing, and written in one step. Raises
    SourceError, whose hint has what to add by hand, if the file can't be read, edited or written.
    """
    try:
        # Through a link, to what it leads to.
        path = path.resolve()
        text = path.read_bytes().decode("utf-8") if path.exists() else ""
        edited = edit(text, config)
        if edited == text:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        replace_file(path, edited.encode("utf-8"), mode)
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise SourceError(
            f"{path} can't be edited: {reason}.",
            f"Add this to its configurations:\n{json.dumps(config, indent=4, ensure_ascii=False)}",
        ) from None
    return True


def edit(text: str, config: dict[str, Any]) -> str:
    """The file's text with the configuration in it. Raises ValueError if it is no such file."""
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    if not text.strip():
        content = {"version": _VERSION, "configurations": [config]}
        return mark + json.dumps(content, indent=_INDENT, ensure_ascii=False) + "\n"
    root = _Parser(text).parse()
    if not isinstance(root.value, dict):
        raise ValueError("it is no JSON object")
    style = _Style(text, root)
    configurations = root.members.get("configurations")
    if configurations is None:
        return mark + style.insert(root, f'"configurations": {style.render([config], 1)}')
    if not isinstance(configurations.value, list):
        raise ValueError('its "configurations" is no list')
    for item in configurations.items:
        if isinstance(item.value, dict) and item.value.get("name") == config["name"]:
            return mark + (text if item.value == config else style.substitute(item, config))
    return mark + style.insert(configurations, config)


# --- JSON with comments, and where everything stands in it ----------------------------------------


@dataclass
class _Node:
    """A value, which stands at ``start`` to ``end``; ``comma``: where a superfluous last one is."""

    start: int
    end: int = 0
    value: Any = None
    members: dict[str, _Node] = field(default_factory=dict)
    items: list[_Node] = field(default_factory=list)
    comma: int | None = None


_BLANK = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_SCALAR = re.compile(r"[-+.\w]+")


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def parse(self) -> _Node:
        node = self._parse_value()
        self._skip()
        if self._at != len(self._text):
            self._fail()
        return node

    def _parse_value(self) -> _Node:
        self._skip()
        node = _Node(self._at)
        match self._text[self._at : self._at + 1]:
            case "{":
                self._parse_object(node)
            case "[":
                self._parse_array(node)
            case '"':
                node.value = self._read_token(_STRING)
            case _:
                node.value = self._read_token(_SCALAR)
        node.end = self._at
        return node

    def _parse_object(self, node: _Node) -> None:
        node.value = {}
        while not self._reaches_end("}", node):
            name = self._read_token(_STRING)
            self._skip()
            self._take(":")
            member = self._parse_value()
            node.members[name] = member
            node.items.append(member)
            node.value[name] = member.value

    def _parse_array(self, node: _Node) -> None:
        node.value = []
        while not self._reaches_end("]", node):
            item = self._parse_value()
            node.items.append(item)
            node.value.append(item.value)

    def _reaches_end(self, bracket: str, node: _Node) -> bool:
        """Goes on to the next item, or beyond the bracket at the end."""
        if self._at == node.start:
            self._at += 1
        else:
            self._skip()
            node.comma = None
            if self._text.startswith(",", self._at):
                node.comma = self._at
                self._at += 1
        self._skip()
        if self._text.startswith(bracket, self._at):
            self._at += 1
            return True
        if node.items and node.comma is None:
            self._fail()
        return False

    def _read_token(self, pattern: re.Pattern[str]) -> Any:
        found = pattern.match(self._text, self._at)
        if found is None:
            self._fail()
        try:
            value = json.loads(found[0], strict=False)
        except ValueError:
            self._fail()
        self._at = found.end()
        return value

    def _take(self, character: str) -> None:
        if not self._text.startswith(character, self._at):
            self._fail()
        self._at += 1

    def _skip(self) -> None:
        found = _BLANK.match(self._text, self._at)
        assert found is not None
        self._at = found.end()

    def _fail(self) -> NoReturn:
        line = self._text.count("\n", 0, self._at) + 1
        raise ValueError(f"line {line} is not JSON")


class _Style:
    """Writes as the file is written: its indentation, its line ends, its commas."""

    def __init__(self, text: str, root: _Node) -> None:
        self._text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"
        first = re.search(r"\n([ \t]+)\S", text[root.start : root.end])
        self._unit = first[1] if first else _INDENT

    def render(self, value: Any, depth: int) -> str:
        """JSON whose first line stands ``depth`` levels deep already."""
        return self._render_indented(value, self._unit * depth)

    def substitute(self, node: _Node, value: Any) -> str:
        new = self._render_indented(value, self._find_indent(node.start))
        return self._text[: node.start] + new + self._text[node.end :]

    def insert(self, node: _Node, new: str | dict[str, Any]) -> str:
        """Puts an item (or a member, as text) at the end, after any comment that stands there."""
        outer = self._find_indent(node.start)
        inner = outer + self._unit
        text = new if isinstance(new, str) else self._render_indented(new, inner)
        close = node.end - 1
        before, left = self._text[:close].rstrip(), self._text[:close]
        tail = left[len(before) :]
        if "\n" not in tail:
            tail = self._newline + outer
        if node.comma is not None:
            text += ","
        elif node.items:
            end = node.items[-1].end
            before = before[:end] + "," + before[end:]
        return before + self._newline + inner + text + tail + self._text[close:]

    def _render_indented(self, value: Any, indent: str) -> str:
        lines = json.dumps(value, indent=self._unit, ensure_ascii=False).split("\n")
        return (self._newline + indent).join(lines)

    def _find_indent(self, position: int) -> str:
        line = self._text[self._text.rfind("\n", 0, position) + 1 : position]
        return line[: len(line) - len(line.lstrip())]
