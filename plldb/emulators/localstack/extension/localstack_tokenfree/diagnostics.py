"""``GET /_tokenfree/diagnostics``: what this process holds, to see that nothing is left behind."""

import collections
import threading
from pathlib import Path
from typing import Any

import psutil
from rolo import Request, Response

PATH = "/_tokenfree/diagnostics"


def install() -> None:
    from localstack.services.edge import ROUTER

    ROUTER.add(path=PATH, endpoint=diagnostics, methods=["GET"])


def diagnostics(_request: Request) -> Response:
    response = Response()
    response.set_json(measure())
    return response


def measure() -> dict[str, Any]:
    """Counts: ``connections`` (WebSocket records), ``threads``, ``threadsByName``,
    ``fileDescriptors``, and ``subprocesses`` (with ``zombies`` among them). ``runtimes`` are the
    families of runtimes whose functions run here."""
    from .lambda_runtime.runtimes import FAMILIES, command_of
    from .websocket.gateway import CONNECTIONS

    children = psutil.Process().children(recursive=True)
    names = collections.Counter(_family(thread.name) for thread in threading.enumerate())
    return {
        "connections": len(CONNECTIONS),
        "fileDescriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "runtimes": [family for family in FAMILIES if command_of(family) is not None],
        "subprocesses": len(children),
        "threads": threading.active_count(),
        "threadsByName": dict(names),
        "zombies": sum(_is_zombie(child) for child in children),
    }


def _is_zombie(child: psutil.Process) -> bool:
    """One that has gone since it was counted is none."""
    try:
        return child.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _family(name: str) -> str:
    """``Thread-12 (run)`` and ``Thread-13 (run)`` are of one family."""
    return "".join(character for character in name if not character.isdigit())
