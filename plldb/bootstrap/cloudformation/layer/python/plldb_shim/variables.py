"""The ``PLLDB_*`` variables of an instrumented function.

They are written by lambda_functions/configuration.py, and taken out of the environment here, so
that the function's own handler does not see them.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # without importing typing, which is no small module
if TYPE_CHECKING:
    from collections.abc import MutableMapping

SHIM_HANDLER = "plldb_shim.handler"
ORIGINAL_HANDLER = "PLLDB_ORIGINAL_HANDLER"
ORIGINAL_TIMEOUT = "PLLDB_ORIGINAL_TIMEOUT"
RAISED_TIMEOUT = "PLLDB_RAISED_TIMEOUT"
FUNCTION = "PLLDB_FUNCTION"
BROKER_URL = "PLLDB_BROKER_URL"
TOKEN = "PLLDB_TOKEN"  # nosec B105  # noqa: S105 - the name of a variable
SESSION = "PLLDB_SESSION"
HELD_BY = "PLLDB_HELD_BY"
WHEN_ABSENT = "PLLDB_WHEN_ABSENT"
VARIABLES = (
    ORIGINAL_HANDLER,
    ORIGINAL_TIMEOUT,
    RAISED_TIMEOUT,
    FUNCTION,
    BROKER_URL,
    TOKEN,
    SESSION,
    HELD_BY,
    WHEN_ABSENT,
)

# What WHEN_ABSENT may be; anything else counts as "original".
ERROR = "error"


def take(environ: MutableMapping[str, str]) -> dict[str, str]:
    """The variables, name → value; none of them stays in ``environ``."""
    taken = {name: environ.pop(name) for name in VARIABLES if name in environ}
    if environ.get("_HANDLER") == SHIM_HANDLER:
        environ["_HANDLER"] = taken.get(ORIGINAL_HANDLER, SHIM_HANDLER)
    return taken


TAKEN = take(os.environ)
