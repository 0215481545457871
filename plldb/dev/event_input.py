"""The event of ``plldb invoke``: given as JSON, in a file, or one of the samples."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from plldb.errors import UsageError

_SAMPLES = Path(__file__).parent / "samples"
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_LONGEST_BYTES = 6 * 1024 * 1024
# With a byte order mark; of a device such as /dev/zero there is no end.
_MOST_READ = _LONGEST_BYTES + 4
_EMPTY = b"{}"


def read_event(
    given: str | None, sample: str | None, folder: Path, read_stdin: Callable[[int], bytes]
) -> bytes:
    """The event as JSON text, byte for byte as it was given; ``{}`` if none was.

    ``given`` is ``-``, JSON, or a file, which is in ``folder``. ``sample`` is one of
    ``SAMPLE_KINDS``. ``read_stdin`` gives as many bytes at most. Raises UsageError for what is no
    event.
    """
    if sample is not None:
        return (_SAMPLES / f"{sample}.json").read_bytes()
    if given is None:
        return _EMPTY
    if not given:
        raise UsageError("--event is empty.", "Give a file, JSON in quotes, or - for stdin.")
    if given == "-":
        return _check(read_stdin(_MOST_READ), "stdin")
    path = folder / Path(given).expanduser()
    if given.lstrip().startswith(("{", "[", '"')):
        return _check(given.encode("utf-8", "surrogateescape"), "--event")
    try:
        with path.open("rb") as file:
            event = file.read(_MOST_READ)
        return _check(event, str(path))
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"The event {given} can't be read: {reason}.", "Name a file.") from None
    if _is_json(given):
        return given.encode()
    raise UsageError(
        f"There is no file {path}, and {given!r} is no JSON either.", _suggest_file(path)
    )


def _check(event: bytes, where: str) -> bytes:
    event = event.removeprefix(b"\xef\xbb\xbf")
    if len(event) > _LONGEST_BYTES:
        raise UsageError(
            f"The event in {where} has more than {_LONGEST_BYTES:,} bytes.",
            "Lambda takes 6 MB at most.",
        )
    try:
        json.loads(event.decode(), parse_constant=_refuse, parse_int=str, parse_float=str)
    except UnicodeDecodeError as error:
        reason = f"it is not UTF-8 (byte {error.start})"
    except json.JSONDecodeError as error:
        reason = f"{error.msg} (line {error.lineno}, column {error.colno})"
    except (ValueError, RecursionError) as error:
        reason = str(error)
    else:
        return event
    raise UsageError(f"The event in {where} is no JSON: {reason}.", "Lambda takes JSON only.")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is none of its values")


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return True


def _suggest_file(path: Path) -> str:
    try:
        names = [one.name for one in path.parent.iterdir()]
    except OSError:
        names = []
    from difflib import get_close_matches

    likely = get_close_matches(path.name, names, n=1)
    guess = f"Did you mean {path.with_name(likely[0])}? " if likely else ""
    return f"{guess}Give a file, JSON in quotes, or - for stdin."
