"""How much of an id or a token may be shown. The developer's machine uses this module too."""

from __future__ import annotations

# Characters of an id that may be shown, and by which a session may be named.
SHOWN_CHARACTERS = 8


def shortened(secret: str) -> str:
    """The part of an id that logs, errors and listings may carry."""
    return secret[:SHOWN_CHARACTERS]
