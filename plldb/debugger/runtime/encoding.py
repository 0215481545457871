"""Events and results as JSON text, in the way of awslambdaric."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from .faults import Fault

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_MAX_RESPONSE_BYTES = 6 * 1024 * 1024 + 100


def decode_event(text: str) -> Any:
    try:
        return json.loads(text)
    except Exception as error:  # noqa: BLE001 (as awslambdaric)
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from None


def encode_result(value: Any) -> str:
    """The JSON text of what a handler returned.

    awslambdaric encodes with simplejson: a Decimal as it is written, a named tuple as an object,
    bytes as the text that they hold. bytes by themselves are the text of the answer.
    """
    try:
        text = _check_json(value) if isinstance(value, bytes) else _encode(value)
    except Exception as error:  # noqa: BLE001 (as awslambdaric)
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from None
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > _MAX_RESPONSE_BYTES:
        raise Fault(
            "Function.ResponseSizeTooLarge",
            f"Response payload size ({size} bytes) exceeded maximum allowed payload size "
            f"({_MAX_RESPONSE_BYTES} bytes).",
        )
    return text


def _check_json(value: bytes) -> str:
    text = value.decode("utf-8")
    json.loads(text)
    return text


def _encode(value: Any) -> str:
    decimals: list[str] = []
    # The standard library can't write a number as given: a mark stands for it meanwhile.
    mark = f"plldb-{uuid.uuid4().hex}-"

    def default(item: Any) -> Any:
        if type(item).__name__ == "Decimal" and type(item).__module__ == "decimal":
            if item.is_nan():
                return float("nan")
            decimals.append(str(item))
            return mark + str(len(decimals) - 1)
        if isinstance(item, bytes):
            return item.decode("utf-8")
        raise TypeError(f"Object of type {type(item).__name__} is not JSON serializable")

    if _has_named_tuple(value):
        value = _expand_named_tuples(value)
    text = json.dumps(value, ensure_ascii=False, default=default)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair: UTF-8 has no form for it
            text = json.dumps(value, default=default)
    if decimals:
        text = re.sub(f'"{mark}([0-9]+)"', lambda found: decimals[int(found[1])], text)
    return text


def _has_named_tuple(value: Any) -> bool:
    waiting, seen = [value], set()
    while waiting:
        item = waiting.pop()
        if not isinstance(item, (dict, list, tuple)) or id(item) in seen:
            continue
        if isinstance(item, tuple) and hasattr(item, "_asdict"):
            return True
        seen.add(id(item))
        waiting.extend(item.values() if isinstance(item, dict) else item)
    return False


def _expand_named_tuples(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _expand_named_tuples(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_expand_named_tuples(item) for item in value]
    return value
