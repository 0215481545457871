"""What a Dockerfile says of a function: its handler, and what of its context is in /var/task."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from plldb.debugger.sources.project import find_module_path, has_module

# https://docs.docker.com/reference/dockerfile/#parser-directives
_ESCAPE_DIRECTIVE = re.compile(r"\A\s*#\s*escape\s*=\s*`", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(?P<long>\w+)(?::-(?P<default>[^}]*))?\}|(?P<short>\w+))")
# As AWS's images have it: https://docs.aws.amazon.com/lambda/latest/dg/python-image.html
_TASK_ROOT = PurePosixPath("/var/task")


@dataclass
class _Stage:
    """``copies`` are (source, destination): a path in the context, and an absolute one."""

    variables: dict[str, str]
    workdir: PurePosixPath = _TASK_ROOT
    copies: list[tuple[PurePosixPath, PurePosixPath]] = field(default_factory=list)
    command: tuple[str, ...] = ()


def read_image(
    context: Path, dockerfile: Path, command: tuple[str, ...] = ()
) -> tuple[Path, str | None]:
    """The folder in a build's context that is /var/task in the image, and the handler.

    ``command`` stands in place of the Dockerfile's CMD, if there is one. The folder is found by
    what is copied where, and by the handler's module; it is the context if neither tells. Raises
    OSError or UnicodeDecodeError if the Dockerfile can't be read.
    """
    stage = _parse(dockerfile.read_text(encoding="utf-8"))
    handler = next(iter((command or stage.command)[-1:]), None)
    candidates = dict.fromkeys([*_list_roots(context, stage), context])
    module = find_module_path(handler or "")
    found = [folder for folder in candidates if has_module(folder, module)]
    return (found or [context])[0], handler


def _list_roots(context: Path, stage: _Stage) -> Iterator[Path]:
    """The folders in the context whose content is copied to where the code runs."""
    for source, destination in stage.copies:
        if not destination.is_relative_to(stage.workdir):
            continue
        inner = destination.relative_to(stage.workdir).parts
        path = context / source
        if any(character in source.name for character in "*?["):
            path = path.parent
        elif path.is_file():
            # It may have another name there.
            path = path.parent
            inner = inner if inner == source.parent.parts[-len(inner) :] else inner[:-1]
        parts = path.relative_to(context).parts if path.is_relative_to(context) else ()
        if not inner:
            yield path
        elif parts[-len(inner) :] == inner:
            # src to /var/task/src: what is above it is what is there.
            yield context.joinpath(*parts[: -len(inner)])


def _parse(text: str) -> _Stage:
    """The last stage, which is what the image is."""
    stage = _Stage({"LAMBDA_TASK_ROOT": str(_TASK_ROOT)})
    for instruction, value in _list_instructions(text):
        match instruction:
            case "FROM":
                stage = _Stage({"LAMBDA_TASK_ROOT": str(_TASK_ROOT)})
            case "ARG" | "ENV":
                stage.variables |= _read_variables(value, stage.variables)
            case "WORKDIR":
                stage.workdir /= _substitute(value, stage.variables)
            case "COPY" | "ADD":
                stage.copies += _read_copies(_substitute(value, stage.variables), stage.workdir)
            case "CMD":
                stage.command = tuple(_split(value))
    return stage


def _list_instructions(text: str) -> Iterator[tuple[str, str]]:
    escape = "`" if _ESCAPE_DIRECTIVE.match(text) else "\\"
    joined = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#") or not stripped:
            continue
        if stripped.endswith(escape):
            joined += stripped[: -len(escape)] + " "
            continue
        name, _, value = (joined + stripped).strip().partition(" ")
        joined = ""
        yield name.upper(), value.strip()


def _read_variables(value: str, variables: Mapping[str, str]) -> dict[str, str]:
    words = _split(_substitute(value, variables))
    pairs = [word.partition("=") for word in words]
    if len(words) > 1 and "=" not in words[0]:  # the old form: ENV NAME value
        return {words[0]: " ".join(words[1:])}
    return {name: text for name, equals, text in pairs if equals}


def _read_copies(
    value: str, workdir: PurePosixPath
) -> Iterator[tuple[PurePosixPath, PurePosixPath]]:
    words = _split(re.sub(r"^(--(?!from=)\S+\s+)*", "", value))
    # What another stage has made is none of the context's.
    if len(words) < 2 or words[0].startswith("--"):
        return
    *sources, destination = words
    for source in sources:
        yield PurePosixPath(source.lstrip("/")), workdir / destination


def _split(value: str) -> list[str]:
    """The words of an instruction, in its form as JSON or as for a shell."""
    if value.startswith("["):
        try:
            words = json.loads(value)
        except ValueError:
            words = None
        if isinstance(words, list):
            return [str(word) for word in words]
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()


def _substitute(value: str, variables: Mapping[str, str]) -> str:
    def find(found: re.Match[str]) -> str:
        return variables.get(found["long"] or found["short"], found["default"] or "")

    return _VARIABLE.sub(find, value)
