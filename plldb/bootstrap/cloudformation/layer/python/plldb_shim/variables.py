"""What plldb wrote into the function's environment, taken out of it.

So the function's own handler does not see plldb's variables; ``constants`` has their names.
"""

from __future__ import annotations

import os

from . import constants

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    from collections.abc import MutableMapping

# What WHEN_ABSENT may be; anything else counts as "original".
ERROR = "error"
WAIT = "wait"


def take(environ: MutableMapping[str, str]) -> dict[str, str]:
    """The variables, name → value; none of them stays in ``environ``."""
    taken = {name: environ.pop(name) for name in constants.FUNCTION_VARIABLES if name in environ}
    if environ.get("_HANDLER") == constants.SHIM_HANDLER:
        environ["_HANDLER"] = taken.get(constants.ORIGINAL_HANDLER, constants.SHIM_HANDLER)
    return taken


TAKEN = take(os.environ)
