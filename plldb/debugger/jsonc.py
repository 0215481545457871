"""Edits JSON with comments: what is not asked for stays as it is, byte for byte.

That is the format of VS Code's settings, with comments and trailing commas
(https://code.visualstudio.com/docs/languages/json#_json-with-comments).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

_INDENT = "    "
_BYTE_ORDER_MARK = "\ufeff"

# The names of the members that lead to a value, and what it is to be.
Change = tuple[tuple[str, ...], Any]


def _change_nothing(_: dict[str, Any]) -> Iterable[Change]:
    return ()


@dataclass(frozen=True)
class Entry:
    """An object in the list that a file has under ``section``.

    It is that object whose member ``key`` is the same as here. One that is there already is the
    developer's by now: ``revise`` gets it, and says what must change in it.
    """

    section: str
    key: str
    value: dict[str, Any]
    revise: Callable[[dict[str, Any]], Iterable[Change]] = _change_nothing


def put_entries(text: str, version: str, entries: Iterable[Entry]) -> str:
    """The file's text with the entries in it; an empty one becomes a file of that version.

    Raises ValueError if it is no such file.
    """
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    if not text.strip():
        text = json.dumps({"version": version}, indent=_INDENT) + "\n"
    for entry in entries:
        text = _put(text, entry)
    return mark + text


def _put(text: str, entry: Entry) -> str:
    root = _Parser(text).parse()
    if not isinstance(root.value, dict):
        raise ValueError("it is no JSON object")
    style = _Style(text, root)
    section = root.members.get(entry.section)
    if section is None:
        return style.append(root, [entry.value], entry.section)
    if not isinstance(section.value, list):
        raise ValueError(f'its "{entry.section}" is no list')
    for number, item in enumerate(section.items):
        if isinstance(item.value, dict) and item.value.get(entry.key) == entry.value[entry.key]:
            for path, value in entry.revise(item.value):
                text = _set(text, entry.section, number, path, value)
            return text
    return style.append(section, entry.value)


def _set(text: str, section: str, number: int, path: tuple[str, ...], value: Any) -> str:
    """Changes one member of an item, or adds it."""
    root = _Parser(text).parse()
    style = _Style(text, root)
    node = root.members[section].items[number]
    for name in path[:-1]:
        node = node.members[name]
    member = node.members.get(path[-1])
    if member is not None:
        return style.substitute(member, value)
    return style.append(node, value, path[-1])


# --- Where everything stands in a file ------------------------------------------------------------


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

    def substitute(self, node: _Node, value: Any) -> str:
        new = self._render_indented(value, self._find_indent(node.start))
        return self._text[: node.start] + new + self._text[node.end :]

    def append(self, node: _Node, value: Any, name: str | None = None) -> str:
        """Puts an item, or a member, at the end, after any comment that stands there."""
        outer = self._find_indent(node.start)
        inner = outer + self._unit
        text = self._render_indented(value, inner)
        if name is not None:
            text = f"{json.dumps(name, ensure_ascii=False)}: {text}"
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
