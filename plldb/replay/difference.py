"""What differs between two JSON values, place by place."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plldb.replay.masks import MASK

_LONGEST_SHOWN = 200
_ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """``path`` is that of the place: ``answer.items.0.price``. A side that has nothing there is
    None in ``recorded`` or ``now``; else it is JSON text.
    """

    path: str
    recorded: str | None
    now: str | None

    def __str__(self) -> str:
        lines = [self.path]
        if self.recorded is not None:
            lines.append(f"  - {_shorten(self.recorded)}")
        if self.now is not None:
            lines.append(f"  + {_shorten(self.now)}")
        return "\n".join(lines)


def compare(recorded: Any, now: Any, path: str, ignore: Sequence[str] = ()) -> list[Difference]:
    """Every place at which the values differ, but for those that ``ignore`` names.

    An entry of it is a path, whose parts are separated by dots: ``*`` is any one part, or some of
    its characters, ``**`` any number of parts. JSON in a string is looked into. A recorded value
    that was masked equals anything in its place. 1 and 1.0 are the same number; true and 1 differ.
    """
    patterns = [_compile(entry) for entry in ignore]
    return list(_compare(recorded, now, path, patterns))


def compare_members(
    recorded: Mapping[str, Any], now: Mapping[str, Any], ignore: Sequence[str] = ()
) -> list[Difference]:
    """The same for each of some values, whose names their paths begin with.

    One that only one side has is a difference whatever is ignored.
    """
    differences: list[Difference] = []
    for name in dict.fromkeys([*recorded, *now]):
        if name in recorded and name in now:
            differences += compare(recorded[name], now[name], name, ignore)
        else:
            sides = (_render(one.get(name, _ABSENT)) for one in (recorded, now))
            differences.append(Difference(name, *sides))
    return differences


def _compare(
    recorded: Any, now: Any, path: str, ignored: Sequence[re.Pattern[str]]
) -> Iterator[Difference]:
    """However deeply they are nested: what is left to compare is a list, the next one last."""
    left = [(recorded, now, path)]
    while left:
        recorded, now, path = left.pop()
        if any(pattern.fullmatch(path) for pattern in ignored):
            continue
        if recorded is _ABSENT or now is _ABSENT:
            yield Difference(path, _render(recorded), _render(now))
        elif isinstance(recorded, dict) and isinstance(now, dict):
            left += [
                (recorded.get(key, _ABSENT), now.get(key, _ABSENT), f"{path}.{key}")
                for key in [*dict.fromkeys([*recorded, *now])][::-1]
            ]
        elif isinstance(recorded, list) and isinstance(now, list):
            left += [
                (_get(recorded, index), _get(now, index), f"{path}.{index}")
                for index in reversed(range(max(len(recorded), len(now))))
            ]
        elif isinstance(recorded, str) and isinstance(now, str) and recorded != now:
            yield from _compare_texts(recorded, now, path, ignored)
        elif not _is_same(recorded, now) and recorded != MASK:
            yield Difference(path, _render(recorded), _render(now))


def _compare_texts(
    recorded: str, now: str, path: str, ignored: Sequence[re.Pattern[str]]
) -> Iterator[Difference]:
    """Of two texts that are not the same."""
    inner = _parse(recorded), _parse(now)
    if all(isinstance(one, dict | list) for one in inner):
        found = [*_compare(*inner, path, ignored)]
        yield from found
        # What was masked, or is ignored, may be all that differs; else it is how it is written.
        if not found and not [*_compare(*inner, path, ())] and MASK not in recorded:
            yield Difference(path, _render(recorded), _render(now))
        return
    if not _matches(recorded, now) and not _matches(_decode(recorded), _decode(now)):
        yield Difference(path, _render(recorded), _render(now))


def _matches(recorded: str, now: str) -> bool:
    """Whether they are the same but for what was masked."""
    if MASK not in recorded:
        return False
    parts = map(re.escape, recorded.split(MASK))
    return re.fullmatch(".*".join(parts), now, re.DOTALL) is not None


def _is_same(recorded: Any, now: Any) -> bool:
    if isinstance(recorded, bool) or isinstance(now, bool):
        return recorded is now
    if isinstance(recorded, float) and isinstance(now, float) and recorded != recorded:  # noqa: PLR0124
        return now != now  # noqa: PLR0124
    return bool(recorded == now)


def _get(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else _ABSENT


def _render(value: Any) -> str | None:
    if value is _ABSENT:
        return None
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "… (nested too deeply to be shown)"


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _decode(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""


def _compile(entry: str) -> re.Pattern[str]:
    pieces = re.split(r"(\*\*|\*)", entry)
    made = {"**": ".*", "*": r"[^.]*"}
    return re.compile("".join(made.get(piece, re.escape(piece)) for piece in pieces), re.DOTALL)


def _shorten(text: str) -> str:
    if len(text) <= _LONGEST_SHOWN:
        return text
    return f"{text[:_LONGEST_SHOWN]}… ({len(text)} characters)"
