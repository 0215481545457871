"""What a Dockerfile says of a function: its handler, and what of its context is in /var/task."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from plldb.debugger.sources.project import find_module_path, has_module, is_folder
from plldb.debugger.wrapped_handlers import find_own_handler

# https://docs.docker.com/reference/dockerfile/#parser-directives
_ESCAPE_DIRECTIVE = re.compile(r"\A\s*#\s*escape\s*=\s*`", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(?P<long>\w+)(?::-(?P<default>[^}]*))?\}|(?P<short>\w+))")
# https://docs.docker.com/reference/dockerfile/#here-documents
_TAKE_DOCUMENTS = ("ADD", "COPY", "RUN")
_DOCUMENT = re.compile(r"(?<!<)<<(?P<dash>-?)(?P<quote>[\"']?)(?P<end>[A-Za-z_][\w.-]*)(?P=quote)")
_OPTIONS = re.compile(r"(--\S+\s+)*")
_FROM = re.compile(r"--from=(\S+)")
# As AWS's images have it: https://docs.aws.amazon.com/lambda/latest/dg/python-image.html
_TASK_ROOT = PurePosixPath("/var/task")
# Of a file, or of a pattern of files, that may be a module.
_SUFFIXES = ("", ".py", ".*")


@dataclass(frozen=True)
class Image:
    """``code_dir`` is the folder in the build's context that is /var/task in the image, and
    ``beside`` are others whose content is there as well. ``has_module``: the handler's module is in
    ``code_dir``.
    """

    code_dir: Path
    handler: str | None
    beside: tuple[Path, ...] = ()
    has_module: bool = True


_Copy = tuple[PurePosixPath, PurePosixPath]


@dataclass
class _Stage:
    """``copies`` are (source, destination): a path in the context, and an absolute one."""

    variables: dict[str, str]
    workdir: PurePosixPath = _TASK_ROOT
    copies: list[_Copy] = field(default_factory=list)
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()

    @property
    def handler(self) -> str | None:
        """It is the last word of the command, or else what Lambda's runtime client is given."""
        match self.command or self.entrypoint:
            case (*_, "awslambdaric", handler):
                return handler
            case (*_, handler) if self.command:
                return handler
        return None

    def copy_to(self, source: PurePosixPath, destination: PurePosixPath) -> Iterator[_Copy]:
        """What another stage gets that copies a path of this one."""
        source = "/" / source
        for inner, at in self.copies:
            if at.is_relative_to(source):
                yield inner, destination / at.relative_to(source)
            elif source.is_relative_to(at):
                yield inner / source.relative_to(at), destination


def read_image(
    context: Path,
    dockerfile: Path,
    command: tuple[str, ...] = (),
    target: str | None = None,
    build_args: Mapping[str, str] = {},
    variables: Mapping[str, str] = {},
) -> Image:
    """What is in the image that a build makes of a folder, its context.

    ``command`` stands in place of the Dockerfile's CMD, if there is one. ``target`` names the stage
    that is the image, if it is not the last one. ``build_args`` are values of what ARG declares, in
    place of its defaults, ``variables`` are the function's. The folder is found by what is copied
    where, and by the handler's module; without that it is the first one, and the context if none is
    copied. Raises OSError or UnicodeDecodeError if the Dockerfile can't be read.
    """
    stage = _parse(dockerfile.read_text(encoding="utf-8-sig"), target, build_args)
    handler = command[-1] if command else stage.handler
    copied = [folder for folder in dict.fromkeys(_list_roots(context, stage)) if is_folder(folder)]
    own = find_own_handler(handler or "", {**stage.variables, **variables})
    module = find_module_path(own)
    found = [folder for folder in [*copied, context] if has_module(folder, module)]
    code_dir = [*found, *copied, context][0]
    beside = tuple(folder for folder in copied if folder != code_dir)
    return Image(code_dir, handler, beside, bool(found))


def _list_roots(context: Path, stage: _Stage) -> Iterator[Path]:
    """The folders in the context whose content is copied to where the code runs."""
    for source, destination in stage.copies:
        if not destination.is_relative_to(stage.workdir):
            continue
        inner = destination.relative_to(stage.workdir).parts
        path = context / source
        is_pattern = any(character in source.name for character in "*?[")
        if (is_pattern or path.is_file()) and source.suffix not in _SUFFIXES:
            continue
        if is_pattern:
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


def _parse(text: str, target: str | None, build_args: Mapping[str, str]) -> _Stage:
    """The stage that is the image: the last one, if none is named."""
    # What stands before the first stage is of use in those that name it again.
    arguments: dict[str, str] = {}
    # By their numbers and names.
    stages: dict[str, _Stage] = {}
    count = 0
    stage = _make_stage()
    for instruction, value in _list_instructions(text):
        match instruction:
            case "FROM":
                if target is not None and stage is stages.get(target.lower()):
                    break
                words = [word for word in _split(_substitute(value, arguments)) if word[:2] != "--"]
                base = stages.get(words[0].lower()) if words else None
                stage = _copy(base) if base is not None else _make_stage()
                stages[str(count)] = stage
                count += 1
                if len(words) > 2:
                    stages[words[2].lower()] = stage
            case "ARG" if not stages:
                arguments |= _read_arguments(value, arguments, build_args)
            case "ARG":
                stage.variables |= _read_arguments(value, stage.variables, build_args, arguments)
            case "ENV":
                stage.variables |= _read_variables(value, stage.variables)
            case "WORKDIR":
                stage.workdir /= _substitute(value, stage.variables)
            case "COPY" | "ADD":
                stage.copies += _read_copies(_substitute(value, stage.variables), stage, stages)
            case "CMD":
                stage.command = tuple(_split(value))
            case "ENTRYPOINT":
                stage.entrypoint = tuple(_split(value))
    return stage


def _make_stage() -> _Stage:
    return _Stage({"LAMBDA_TASK_ROOT": str(_TASK_ROOT)})


def _copy(stage: _Stage) -> _Stage:
    return replace(stage, variables=dict(stage.variables), copies=list(stage.copies))


def _list_instructions(text: str) -> Iterator[tuple[str, str]]:
    escape = "`" if _ESCAPE_DIRECTIVE.match(text) else "\\"
    joined = ""
    lines = iter(text.splitlines())
    for line in lines:
        stripped = line.strip()
        if stripped.startswith("#") or not stripped:
            continue
        if stripped.endswith(escape):
            joined += stripped[: -len(escape)] + " "
            continue
        name, _, value = (joined + stripped).strip().partition(" ")
        joined = ""
        if name.upper() in _TAKE_DOCUMENTS:
            _skip_documents(value, lines)
        yield name.upper(), value.strip()


def _skip_documents(value: str, lines: Iterator[str]) -> None:
    """Those that an instruction takes stand in the lines after it, one after the other."""
    for found in _DOCUMENT.finditer(value):
        for line in lines:
            if (line.lstrip("\t") if found["dash"] else line) == found["end"]:
                break


def _read_variables(value: str, variables: Mapping[str, str]) -> dict[str, str]:
    words = _split(_substitute(value, variables))
    pairs = [word.partition("=") for word in words]
    if len(words) > 1 and "=" not in words[0]:  # the old form: ENV NAME value
        return {words[0]: " ".join(words[1:])}
    return {name: text for name, equals, text in pairs if equals}


def _read_arguments(
    value: str,
    variables: Mapping[str, str],
    build_args: Mapping[str, str],
    defaults: Mapping[str, str] = {},
) -> dict[str, str]:
    """What ARG declares, as far as it has a value: what is given, its own default, or another."""
    pairs = [word.partition("=") for word in _split(_substitute(value, variables))]
    own = {name: text for name, equals, text in pairs if equals}
    known = {**defaults, **own, **build_args}
    return {name: known[name] for name, _, _ in pairs if name in known}


def _read_copies(value: str, stage: _Stage, stages: Mapping[str, _Stage]) -> Iterator[_Copy]:
    options = _OPTIONS.match(value)
    words = _split(value[options.end() :] if options else value)
    if len(words) < 2:
        return
    *named, destination = words
    sources = [source for source in named if not source.startswith("<<")]
    other = _FROM.search(options[0]) if options else None
    for source in sources:
        if other is None:
            yield PurePosixPath(source.lstrip("/")), stage.workdir / destination
        elif other[1].lower() in stages:
            # Of what another stage has made, that is known which it has of the context.
            origin = stages[other[1].lower()]
            yield from origin.copy_to(PurePosixPath(source), stage.workdir / destination)


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
