"""Where the code of a recording is on this machine, and what it is run with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from plldb.config import ConfigFile
from plldb.debugger.children.local_function import LocalFunction
from plldb.debugger.sources.choice import CodeOptions, choose_sources
from plldb.debugger.sources.project import find_module_path, has_module, make_absolute
from plldb.debugger.sources.stack_settings import find_settings
from plldb.errors import SourceError
from plldb.replay.masks import MASK
from plldb.replay.recording import Recording


@dataclass(frozen=True)
class CodeHere:
    """What the developer says: ``folder`` is where the command runs, ``code`` where the code is
    (else it is looked for), ``variables`` win over those that were recorded.
    """

    folder: Path
    file: ConfigFile | None = None
    code: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)


def find_local_function(recording: Recording, path: Path, here: CodeHere) -> LocalFunction:
    """The function as it was recorded in the file ``path``, with the code that is here.

    The recorded folder is looked for in the folder of the command, then in that of the file and in
    those above it. Where there is none with the handler's module, the project in the command's
    folder says where the code is, as for ``plldb attach``. Raises SourceError if nobody knows.
    """
    made = recording.function
    base, code = _find_code(recording, path, here)
    build = None if made.build is None else make_absolute(base / made.build)
    return LocalFunction(
        logical_id=made.logical_id or made.name,
        code_dir=code,
        handler=made.handler,
        function_name=made.name or made.logical_id,
        variables=_settle_variables(recording, here),
        memory_size=made.memory_size,
        timeout=made.timeout,
        region=made.region,
        runtime=made.runtime,
        layers=tuple(
            folder for one in made.layers if (folder := make_absolute(base / one)).is_dir()
        ),
        build_dir=build if build is not None and build.is_dir() else None,
        logging=made.logging,
    )


def list_masked_variables(recording: Recording, here: CodeHere) -> list[str]:
    """Names of those whose values nobody here knows."""
    settled = _settle_variables(recording, here)
    return sorted(name for name, value in settled.items() if MASK in value)


def _settle_variables(recording: Recording, here: CodeHere) -> dict[str, str]:
    """What was masked has the value that it has in this environment, if any."""
    recorded = {
        name: here.environ.get(name, value) if MASK in value else value
        for name, value in recording.variables.items()
    }
    return recorded | dict(here.variables)


def _find_code(recording: Recording, path: Path, here: CodeHere) -> tuple[Path, Path]:
    """The folder that recorded ones are relative to, and that of the code."""
    made = recording.function
    if here.code is not None:
        code = make_absolute(here.folder / here.code)
        if not code.is_dir():
            raise SourceError(f"{code} is no folder.", "Name that of the code: --code DIR")
        return here.folder, code
    candidates = [(base, make_absolute(base / made.code)) for base in _list_bases(path, here)]
    for base, code in candidates:
        if has_module(code, find_module_path(made.handler)):
            return base, code
    if (found := _ask_project(recording, here)) is not None:
        return here.folder, found
    # The module may come from a build or a layer.
    for base, code in candidates:
        if code.is_dir():
            return base, code
    raise SourceError(
        f"The code of {made.logical_id or made.name} is not here: there is no {made.code} in "
        f"{here.folder}.",
        "Run it in the folder of the project, or say where the code is: --code DIR",
    )


def _list_bases(path: Path, here: CodeHere) -> Iterator[Path]:
    yield here.folder
    for folder in make_absolute(path).parents:
        yield folder
        if (folder / ".git").exists():
            return


def _ask_project(recording: Recording, here: CodeHere) -> Path | None:
    made = recording.function
    try:
        options = CodeOptions(here.folder, settings=find_settings(here.file, made.stack))
        found = choose_sources(options, made.stack).found
        # Of one among several stacks, the name begins with the stack's.
        source = found.get(made.logical_id) or found.get(made.logical_id.partition("/")[2])
    except SourceError:
        # It is another stack's project.
        return None
    return None if source is None else source.code_dir
