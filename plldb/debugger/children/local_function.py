"""A function as it is run here, and how it is debugged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from plldb.debugger.children.interpreter import Interpreter


@dataclass(frozen=True)
class LocalFunction:
    """A function as it was deployed, and the folder of its code; ``timeout`` is in seconds.

    ``memory_size`` is in MB; ``runtime`` is Lambda's name of it, such as python3.13, or empty.
    ``logging`` is its LoggingConfig: https://docs.aws.amazon.com/lambda/latest/api/API_LoggingConfig.html
    ``layers`` are folders with what is in /opt on Lambda; of two that have a file, the later has
    its way. ``build_dir`` is where a build has put the function with its dependencies, if there is
    one. ``as_function``: it runs under its own role, whose credentials its invocations bring.
    ``interpreter`` is its own, if it has one.
    """

    logical_id: str
    code_dir: Path
    handler: str
    function_name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    memory_size: int = 128
    timeout: int = 3
    region: str = "us-east-1"
    runtime: str = ""
    layers: tuple[Path, ...] = ()
    build_dir: Path | None = None
    logging: Mapping[str, str] = field(default_factory=dict)
    as_function: bool = False
    interpreter: Interpreter | None = None


@dataclass(frozen=True)
class NoDebugger:
    """``breakpoint()`` is passed over."""


@dataclass(frozen=True)
class Pdb:
    """``breakpoint()`` talks to a terminal; one invocation at a time. ``post_mortem``: so does an
    exception that the handler does not catch, before its caller hears of it.
    """

    terminal: Path = Path("/dev/tty")
    post_mortem: bool = True


@dataclass(frozen=True)
class Debugpy:
    """An editor attaches. The first function listens at ``port``, the next at the one after it."""

    host: str = "127.0.0.1"
    port: int = 5678
    wait_for_client: bool = False


DebugMode = NoDebugger | Pdb | Debugpy
NO_DEBUGGER = NoDebugger()
