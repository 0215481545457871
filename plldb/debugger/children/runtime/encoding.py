"""Events and results as JSON text, in the way of awslambdaric.

awslambdaric decodes and encodes with simplejson, which a project need not have; what that does
with its options is done here with the standard library: a Decimal as it is written, whatever has
``_asdict`` as an object, bytes as the text that they hold.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import sys
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import TYPE_CHECKING, Any, NamedTuple

from .faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# Lambda's runtimes before these write ASCII only.
_RUNTIMES_WITH_UTF_8 = ("python3.12", "python3.13", "python3.14", "python3.15")
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_MAX_RESPONSE_BYTES = 6 * 1024 * 1024 + 100
# Whether code in C, like simplejson's, has a limit of recursion of its own.
_LIMITS_C_APART = sys.version_info >= (3, 12)
_CONSTANTS = {None: "null", True: "true", False: "false"}
_PLAIN_LEAVES = frozenset([str, int, float, bool, type(None)])


def decode_event(text: str) -> Any:
    """The event: its text is the function's own, which writes Infinity for a number like 1e999."""
    try:
        return json.loads(text)
    except Exception as error:  # noqa: BLE001 (as awslambdaric)
        reason = str(error).replace(
            " from a unicode string", " from a string"
        )  # simplejson's words
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {reason}") from None


class Result(NamedTuple):
    """What the caller gets: the text of its bytes in UTF-8, or those bytes in base64."""

    text: str
    is_base64: bool = False


def encode_result(value: Any) -> Result:
    """What the caller gets for what a handler returned: bytes as they are, anything else as JSON.

    Raises Fault. The text may have half of a surrogate pair, where the runtime writes UTF-8.
    """
    if isinstance(value, bytes):
        _check_size(len(value))
        return _describe_bytes(value)
    try:
        text = to_json(value)
    except Exception as error:  # noqa: BLE001 (as awslambdaric)
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from None
    _check_size(len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")))
    return Result(text)


def _check_size(size: int) -> None:
    if size > _MAX_RESPONSE_BYTES:
        raise TooLargeError(size)


def _describe_bytes(value: bytes) -> Result:
    """As text if they are JSON, so that whoever looks at the answer on its way can read it."""
    try:
        text = value.decode("utf-8")
        json.loads(text)
    except (ValueError, RecursionError):
        return Result(base64.b64encode(value).decode("ascii"), is_base64=True)
    return Result(text)


class TooLargeError(Fault):
    """Lambda takes no such result; the process that gave it ends."""

    def __init__(self, size: int) -> None:
        super().__init__(
            "Function.ResponseSizeTooLarge",
            f"Response payload size ({size} bytes) exceeded maximum allowed payload size "
            f"({_MAX_RESPONSE_BYTES} bytes).",
        )


def to_json(value: Any) -> str:
    """JSON text of whatever awslambdaric can write. Raises what it raises for anything else."""
    runtime = os.environ.get("AWS_EXECUTION_ENV", "").replace("AWS_Lambda_", "", 1)
    is_ascii = runtime not in _RUNTIMES_WITH_UTF_8
    if _is_plain(value):
        with _like_simplejson(sys.getrecursionlimit()):
            # The standard library's encoder does the same with these, and is written in C.
            return json.dumps(value, ensure_ascii=is_ascii)
    quote = encode_basestring_ascii if is_ascii else encode_basestring
    chunks: list[str] = []
    depth = max(sys.getrecursionlimit(), 10_000 if _LIMITS_C_APART else 0)
    with _like_simplejson(2 * depth):  # two calls for each level
        _Encoder(quote, chunks.append).encode(value)
    return "".join(chunks)


@contextlib.contextmanager
def _like_simplejson(limit: int) -> Iterator[None]:
    """With another limit of recursion, so that what is nested is encoded as long as simplejson does
    it. Beyond that, raises its error.
    """
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    try:
        yield
    except RecursionError:
        doing = "calling a Python" if _LIMITS_C_APART else "encoding a JSON"
        raise RecursionError(f"maximum recursion depth exceeded while {doing} object") from None
    finally:
        sys.setrecursionlimit(before)


def _is_plain(value: Any) -> bool:
    """Whether it consists of what JSON has, and of no subclasses of that."""
    waiting, seen = [value], set()
    while waiting:
        item = waiting.pop()
        kind = type(item)
        if kind in _PLAIN_LEAVES:
            continue
        if kind is dict:
            if not all(type(key) in _PLAIN_LEAVES for key in item):
                return False
            children: Iterable[Any] = item.values()
        elif kind is list or kind is tuple:
            children = item
        else:
            return False
        if id(item) not in seen:
            seen.add(id(item))
            waiting.extend(children)
    return True


class _Encoder:
    """simplejson's encoder, with the options that awslambdaric gives it.

    The order of the questions is that of its C code: it decides, for example, what becomes of a
    dict that has ``_asdict``.
    """

    def __init__(self, quote: Callable[[str], str], write: Callable[[str], Any]) -> None:
        self._quote = quote
        self._write = write
        # By their ids, the containers that the value under way is in.
        self._around: dict[int, Any] = {}

    def encode(self, value: Any) -> None:
        simple = self._encode_simple(value)
        if simple is not None:
            self._write(simple)
            return
        is_dict, fields = _call_asdict(value)
        if is_dict:
            if not _is(fields, dict):
                name = type(fields).__name__
                raise TypeError(f"_asdict() must return a dict, not {name}")
            self._enter(value)
            self._encode_dict(fields)
            self._leave(value)
        elif _is(value, list, tuple):
            self._encode_list(value)
        elif _is(value, dict):
            self._encode_dict(value)
        else:
            self._encode_other(value)

    def _encode_simple(self, value: Any) -> str | None:
        if _is(value, str, bytes):
            return self._quote(_decode(value))
        if value is None or _is(value, bool):
            return _CONSTANTS[value]
        if _is(value, int):
            # What a subclass makes of itself as text is not to be trusted.
            return str(value if type(value) is int else int(value))
        return _encode_float(value) if _is(value, float) else None

    def _encode_list(self, items: list[Any] | tuple[Any, ...]) -> None:
        self._enter(items)
        separator = "["
        for item in items:
            self._write(separator)
            separator = ", "
            self.encode(item)
        self._write("[]" if separator == "[" else "]")
        self._leave(items)

    def _encode_dict(self, fields: dict[Any, Any]) -> None:
        if not dict.__len__(fields):
            self._write("{}")
            return
        self._enter(fields)
        self._write("{")
        separator = ""
        for key, value in fields.items():
            self._write(f"{separator}{self._quote(self._name(key))}: ")
            separator = ", "
            self.encode(value)
        self._write("}")
        self._leave(fields)

    def _name(self, key: Any) -> str:
        if _is(key, str, bytes):
            return _decode(key)
        name = self._encode_simple(key)
        if name is None:
            kind = key.__class__.__name__
            raise TypeError(f"keys must be str, int, float, bool or None, not {kind}")
        return name

    def _encode_other(self, value: Any) -> None:
        raw = _find_raw_json(value)
        if raw is not None:
            self._write(raw)
            return
        self._enter(value)
        decimal = sys.modules.get("decimal")
        if decimal is None or not isinstance(value, decimal.Decimal):
            raise TypeError(f"Object of type {value.__class__.__name__} is not JSON serializable")
        self._write("NaN" if value.is_nan() else str(value))
        self._leave(value)

    def _enter(self, value: Any) -> None:
        if id(value) in self._around:
            raise ValueError("Circular reference detected")
        self._around[id(value)] = value

    def _leave(self, value: Any) -> None:
        del self._around[id(value)]


def _is(value: Any, *kinds: type) -> bool:
    """What it is in truth, whatever its ``__class__`` says: so asks code in C."""
    return issubclass(type(value), kinds)


def _decode(value: Any) -> str:
    return value if _is(value, str) else str(value, "utf-8")


def _encode_float(value: float) -> str:
    number = float.__pos__(value)  # what a subclass says of itself does not count yet
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return repr(number if type(value) is float else float(value))


def _call_asdict(value: Any) -> tuple[bool, Any]:
    """Whether it has such a method that can be called without arguments, and what that gives."""
    method = getattr(value, "_asdict", None)
    if callable(method):
        try:
            return True, method()
        except TypeError:
            pass
    return False, None


def _find_raw_json(value: Any) -> str | None:
    """The text of simplejson's RawJSON: on Lambda, a project has the runtime's own simplejson."""
    simplejson = sys.modules.get("simplejson")
    if simplejson is not None and isinstance(value, simplejson.RawJSON):
        text: str = value.encoded_json
        return text
    return None
