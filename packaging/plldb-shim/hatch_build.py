"""Puts the folder of plldb's layer into the package, wherever it is built from.

In the repository that folder is another one's, and a file of it is a link. In the sdist it lies
beside this file, with the contents of what was linked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LAYER = Path("plldb/bootstrap/cloudformation/layer/python/plldb_shim")


class LayerHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds an sdist or a wheel."""
        here = Path(self.root)
        beside = here / "plldb_shim"
        folder = beside if beside.is_dir() else here.parents[1] / LAYER
        files = {str(path.resolve()): f"plldb_shim/{path.name}" for path in folder.glob("*.py")}
        build_data["force_include"] |= files
