"""Files of variables: ``.env``, and the JSON files that ``sam local`` takes."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plldb.errors import UsageError

# Logical id → variables; those of all functions under None.
Variables = Mapping[str | None, Mapping[str, str]]

# What sam local calls the variables of all functions:
# https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/using-sam-cli-local-invoke.html
_OF_ALL = "Parameters"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXAMPLE = '{"Parameters": {"STAGE": "dev"}, "Greeter": {"TABLE": "greetings"}}'


def read_env_file(path: Path, named_by: str, environ: Mapping[str, str]) -> Variables:
    """The variables in a file; those whose name stands alone are taken from ``environ``.

    One that ends in ``.json``, or begins like an object, is of the kind that ``sam local
    --env-vars`` takes, any other one is a ``.env``, in which ``$`` and a name in braces stand for
    another variable. ``named_by`` says in the user's words what names the file. Raises UsageError,
    with no value in it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(
            f"{named_by}: there is no file {path}.", "Name one that is there."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{named_by}: {path} can't be read: {reason}.", "Mend it.") from None
    if path.suffix.lower() == ".json" or text.lstrip().startswith("{"):
        return _parse_json(text, path, named_by)
    return {None: _parse_dotenv(text, path, named_by, environ)}


def _parse_dotenv(
    text: str, path: Path, named_by: str, environ: Mapping[str, str]
) -> dict[str, str]:
    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    for binding in parse_stream(io.StringIO(text)):
        # What is no name may be a part of a value that wants quotes.
        if binding.error or (binding.key is not None and not _NAME.fullmatch(binding.key)):
            raise UsageError(
                f"{named_by}: {path}, line {binding.original.line}, can't be understood.",
                "Write NAME=VALUE, with quotes around a value of several lines.",
            )
    # It would say the same as above, on stderr.
    logging.getLogger("dotenv.main").setLevel(logging.ERROR)
    values: dict[str, str] = {}
    for name, value in dotenv_values(stream=io.StringIO(text)).items():
        if value is None and name not in environ:
            raise UsageError(
                f"{named_by}: {path} gives {name} no value, and there is no such variable here.",
                f"Write {name}=VALUE there, or set {name} before you run plldb.",
            )
        values[name] = environ[name] if value is None else value
    return values


def _parse_json(text: str, path: Path, named_by: str) -> Variables:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise UsageError(f"{named_by}: {path} is no JSON: {reason}.", "Mend it.") from None
    if not isinstance(document, dict):
        raise _make_shape_error(path, named_by, "it is no object")
    return {
        None if name == _OF_ALL else name: _read_table(name, table, path, named_by)
        for name, table in document.items()
    }


def _read_table(name: str, table: Any, path: Path, named_by: str) -> dict[str, str]:
    if not isinstance(table, dict):
        raise _make_shape_error(path, named_by, f"{name} is no object")
    for key, value in table.items():
        if not isinstance(value, str | int | float):
            raise _make_shape_error(path, named_by, f"{name}.{key} is neither text nor a number")
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in table.items()
    }


def _make_shape_error(path: Path, named_by: str, what: str) -> UsageError:
    return UsageError(f"{named_by}: {path}: {what}.", f"Write it as {_EXAMPLE}")
