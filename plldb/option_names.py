"""How the global options are called, and what some of them may be.

``plldb --help`` needs no more than that; how settings come about is told by ``config``.
"""

from __future__ import annotations

from typing import Literal

Kind = Literal["aws", "emulator"]
Output = Literal["text", "json"]

KINDS: tuple[Kind, ...] = ("aws", "emulator")
OUTPUTS: tuple[Output, ...] = ("text", "json")
# Names another settings file than the nearest plldb.toml.
CONFIG_VARIABLE = "PLLDB_CONFIG"


def name_flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def name_variable(option: str) -> str:
    return f"PLLDB_{option.upper()}"
