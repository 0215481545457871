"""Lists in pages: ``MaxResults`` and ``NextToken`` of every operation that lists."""

import base64
from collections.abc import Sequence

from .kinds import Record
from .refusals import BadRequestError

_MARK = "page:"


def page(items: Sequence[Record], request: Record) -> Record:
    """-> ``Items`` and, where there are more, the ``NextToken`` that leads to them.

    Without ``MaxResults`` all of them are one page.
    """
    start = _start(request.get("NextToken"))
    size = _size(request.get("MaxResults")) or len(items)
    found: Record = {"Items": list(items[start : start + size])}
    if start + size < len(items):
        found["NextToken"] = base64.b64encode(f"{_MARK}{start + size}".encode()).decode()
    return found


def _size(given: str | None) -> int:
    if not given:
        return 0
    if not str(given).isdecimal() or int(given) < 1:
        raise BadRequestError(f"Invalid MaxResults specified: {given}")
    return int(given)


def _start(token: str | None) -> int:
    if not token:
        return 0
    try:
        mark, _, number = base64.b64decode(token, validate=True).decode().partition(":")
    except ValueError:  # of Base64, of UTF-8, or that there are other characters than ASCII's
        mark, number = "", ""
    if f"{mark}:" != _MARK or not number.isdecimal():
        raise BadRequestError("Invalid NextToken specified")
    return int(number)
