"""What no terminal is sent as it came."""

from __future__ import annotations

import re

# Commands to a terminal, and what turns the direction of text around: output of the user's code may
# hold them. Line ends that only some know. And halves of surrogate pairs, which no terminal can be
# sent.
UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def make_printable(text: str) -> str:
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
