"""Starts the runtime in a child: ``python …/runtime/__main__.py REQUESTS ANSWERS``."""

from __future__ import annotations

import importlib
import importlib.util
import pathlib
import sys

# The name under which the child has this package: none that the user's code could have.
_NAME = "plldb_runtime"


def _import_package() -> None:
    """Imports the package that this file is in, wherever it lies."""
    folder = pathlib.Path(__file__).parent
    spec = importlib.util.spec_from_file_location(
        _NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    # Python puts our own folder there, unless it was told not to.
    sys.path[:] = [path for path in sys.path if path != str(pathlib.Path(__file__).parent)]
    _import_package()
    importlib.import_module(f"{_NAME}.serving").main(sys.argv[1:])
