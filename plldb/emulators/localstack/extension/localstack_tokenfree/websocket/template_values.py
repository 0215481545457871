"""What values are in templates: those of Java, with its methods and as it writes them.

https://velocity.apache.org/engine/1.7/user-guide.html#methods; the methods are those of String,
List, Map and Map.Entry that templates can make use of.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Method = Callable[..., Any]


class Entry(NamedTuple):
    """Of a map."""

    key: Any
    value: Any


class JsonList(list[Any]):
    """One that is written as JSON, as ``$input.path`` gives it."""


def as_text(value: Any) -> str:
    """As a template writes ``value``."""
    match value:
        case None | bool() | JsonList():
            return as_json(value)
        case Entry():
            return f"{as_text(value.key)}={as_text(value.value)}"
        case list():
            return f"[{', '.join(map(as_text, value))}]"
        case dict():
            return f"{{{', '.join(map(as_text, entries(value)))}}}"
    return str(value)


def entries(mapping: Mapping[Any, Any]) -> list[Entry]:
    return [Entry(*pair) for pair in mapping.items()]


def as_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def method_of(value: Any, name: str) -> Method | None:
    """Java's method ``name``, which takes ``value`` first; None if there is none."""
    for kind, methods in METHODS.items():
        if isinstance(value, kind) and name in methods:
            return methods[name]
    return None


def is_plain(value: Any) -> bool:
    """Whether ``value`` has nothing but Java's methods, and the entries of a map."""
    return isinstance(value, tuple(METHODS))


_IN_REPLACEMENT = re.compile(r"\\(?P<literal>.)|\$(?P<group>\d)", re.DOTALL)


def _expanded(replacement: str) -> Callable[[re.Match[str]], str]:
    """``$1`` is a group, and ``\\$`` a dollar sign."""

    def expand(found: re.Match[str]) -> str:
        return _IN_REPLACEMENT.sub(
            lambda part: part["literal"] or found[int(part["group"])] or "", replacement
        )

    return expand


def _replace_all(text: str, pattern: str, replacement: str) -> str:
    return re.sub(pattern, _expanded(replacement), text)


def _replace_first(text: str, pattern: str, replacement: str) -> str:
    return re.sub(pattern, _expanded(replacement), text, count=1)


def _split(text: str, pattern: str) -> list[str]:
    """Without the empty parts at the end."""
    parts = re.split(pattern, text)
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return parts


def _substring(text: str, start: int, end: int | None = None) -> str:
    return text[start:end]


def _add(items: list[Any], *values: Any) -> bool:
    """At the end, or at an index that is named first."""
    *place, value = values
    items.insert(place[0] if place else len(items), value)
    return True


def _add_all(items: list[Any], values: list[Any]) -> bool:
    items.extend(values)
    return bool(values)


def _set(items: list[Any], index: int, value: Any) -> Any:
    before, items[index] = items[index], value
    return before


def _remove(items: list[Any], given: Any) -> Any:
    """By index, or the first that is equal."""
    if isinstance(given, int) and not isinstance(given, bool):
        return items.pop(given)
    if there := given in items:
        items.remove(given)
    return there


def _put(given: dict[Any, Any], key: Any, value: Any) -> Any:
    before = given.get(key)
    given[key] = value
    return before


def _put_all(given: dict[Any, Any], others: Mapping[Any, Any]) -> None:
    given.update(others)


_ALL: Mapping[str, Method] = {
    "equals": lambda value, other: value == other,
    "toString": as_text,
}
_TEXT: Mapping[str, Method] = {
    **_ALL,
    "charAt": lambda text, index: text[index],
    "concat": lambda text, other: text + other,
    "contains": lambda text, part: part in text,
    "endsWith": lambda text, part: text.endswith(part),
    "equalsIgnoreCase": lambda text, other: text.lower() == str(other).lower(),
    "indexOf": lambda text, *given: text.find(*given),
    "isEmpty": lambda text: not text,
    "lastIndexOf": lambda text, part: text.rfind(part),
    "length": len,
    "matches": lambda text, pattern: re.fullmatch(pattern, text) is not None,
    "replace": lambda text, part, other: text.replace(part, other),
    "replaceAll": _replace_all,
    "replaceFirst": _replace_first,
    "split": _split,
    "startsWith": lambda text, part: text.startswith(part),
    "substring": _substring,
    "toLowerCase": lambda text: text.lower(),
    "toUpperCase": lambda text: text.upper(),
    "trim": lambda text: text.strip(),
}
_LIST: Mapping[str, Method] = {
    **_ALL,
    "add": _add,
    "addAll": _add_all,
    "contains": lambda items, value: value in items,
    "get": lambda items, index: items[index],
    "indexOf": lambda items, value: items.index(value) if value in items else -1,
    "isEmpty": lambda items: not items,
    "remove": _remove,
    "set": _set,
    "size": len,
    "subList": lambda items, start, end: items[start:end],
}
_MAP: Mapping[str, Method] = {
    **_ALL,
    "containsKey": lambda given, key: key in given,
    "containsValue": lambda given, value: value in given.values(),
    "entrySet": entries,
    "get": lambda given, key: given.get(key),
    "getOrDefault": lambda given, key, default: given.get(key, default),
    "isEmpty": lambda given: not given,
    "keySet": list,
    "put": _put,
    "putAll": _put_all,
    "remove": lambda given, key: given.pop(key, None),
    "size": len,
    "values": lambda given: list(given.values()),
}
_ENTRY: Mapping[str, Method] = {
    **_ALL,
    "getKey": lambda entry: entry.key,
    "getValue": lambda entry: entry.value,
}
METHODS: Mapping[type, Mapping[str, Method]] = {
    str: _TEXT,
    list: _LIST,
    dict: _MAP,
    Entry: _ENTRY,
    int: _ALL,
    float: _ALL,
}
