"""Whether what serves the page is installed: it comes with the extra ``inspect``."""

from __future__ import annotations

import importlib.util

from plldb.errors import SourceError

PACKAGES = ("starlette", "uvicorn")


def is_installed() -> bool:
    """Nothing of it is imported for that."""
    return all(importlib.util.find_spec(name) is not None for name in PACKAGES)


def require_installed() -> None:
    """Raises SourceError if it is not."""
    if not is_installed():
        raise SourceError(
            f"The inspector needs {' and '.join(PACKAGES)}, which are not installed beside plldb.",
            "Install them: pip install 'plldb[inspect]', or in plldb's checkout '.[inspect]'; or "
            "leave --inspect out.",
        )
