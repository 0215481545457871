"""Where Lambda's folders lie on this machine: ``/var/task`` is the code, ``/opt`` the layers.

A function's variables name files in them. On Lambda, /opt is all layers in one folder, in which a
later layer's file replaces an earlier one's:
https://docs.aws.amazon.com/lambda/latest/dg/adding-layers.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TASK, _OPT = "/var/task", "/opt"
# Only as whole components at a path's beginning: in ``/home/opt``, ``$HOME/opt``, ``/options`` or
# ``https://host/opt``, it is something else.
_PLACE = re.compile(
    r"""(?: (?<![^\s:;,=|"'`(\[{<>&!@]) | (?<=file://) | (?<=:///) )
        (?P<place> /var/task | /opt )
        (?P<rest> (?: / [^\s:;,|"'`)\]}<>&]* )? )
        (?= $ | [\s:;,|"'`)\]}<>&] )""",
    re.VERBOSE,
)
_ABSOLUTE_PATHS = re.compile(r"/[^:;,|\s]*(?::/[^:;,|\s]*)+")
# Lists of folders, even if they have a single one.
_LISTS = frozenset(
    {
        "CPATH",
        "DYLD_LIBRARY_PATH",
        "GI_TYPELIB_PATH",
        "LD_LIBRARY_PATH",
        "LIBRARY_PATH",
        "MANPATH",
        "NODE_PATH",
        "PATH",
        "PERL5LIB",
        "PKG_CONFIG_PATH",
        "PYTHONPATH",
        "XDG_CONFIG_DIRS",
        "XDG_DATA_DIRS",
    }
)


@dataclass(frozen=True)
class LambdaPaths:
    """``layers`` are in the function's order; each is a folder with what it has in /opt."""

    code_dir: Path
    layers: Sequence[Path] = ()

    def map_variables(self, variables: Mapping[str, str]) -> dict[str, str]:
        return {name: self.map_value(name, value) for name, value in variables.items()}

    def map_value(self, name: str, value: str) -> str:
        """The value of a variable with Lambda's folders as they lie here.

        A path in /opt is the one of the last layer that has it, and stays as it is if none has. In
        a list of paths, it is those of all layers that have it.
        """
        if name in _LISTS or _ABSOLUTE_PATHS.fullmatch(value):
            return ":".join(one for item in value.split(":") for one in self._map_item(item))
        return _PLACE.sub(lambda found: next(self._locate(found["place"], found["rest"])), value)

    def map_list(self, name: str, value: str) -> tuple[list[str], list[str]]:
        """The items of a list of folders: those of Lambda's that lie here, and the others."""
        ours: list[str] = []
        others: list[str] = []
        for item in filter(None, value.split(":")):
            found = [*self._map_item(item)]
            (others if found == [item] else ours).extend(found)
        return ours, others

    def list_in_opt(self, folder: str) -> list[Path]:
        """The folders that make up ``/opt/<folder>``, the one that counts first."""
        return [path for layer in reversed(self.layers) if (path := layer / folder).is_dir()]

    def _map_item(self, item: str) -> Iterator[str]:
        whole = _PLACE.fullmatch(item)
        if whole is None:
            yield item
        else:
            yield from self._locate(whole["place"], whole["rest"])

    def _locate(self, place: str, rest: str) -> Iterator[str]:
        """Where a path of Lambda's may lie here, the one that counts first; at least one."""
        if place == _TASK:
            yield f"{self.code_dir}{rest}"
            return
        found = [
            f"{layer}{rest}" for layer in reversed(self.layers) if Path(f"{layer}{rest}").exists()
        ]
        yield from found or [f"{place}{rest}"]
