"""``GET /health``: whether the function and its tables answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..shared.log import LambdaEvent, Record
from .rest import response

# Reads a table, whatever it finds there; raises botocore's exceptions.
Probe = Callable[[], object]


def check_health(
    _: LambdaEvent, record: Record, now: float, probes: Mapping[str, Probe]
) -> dict[str, Any]:
    """200, or 503 if a table can't be read: ``{"status", "time", "tables": {name: …}}``.

    The probes run at once: how long they may take together is limited.
    """
    with ThreadPoolExecutor(len(probes)) as pool:
        tables = dict(zip(probes, pool.map(_reachability, probes.values()), strict=True))
    is_healthy = all(answer == "reachable" for answer in tables.values())
    status = "ok" if is_healthy else "unhealthy"
    record |= {"outcome": status} | ({} if is_healthy else {"level": "ERROR"})
    body = {"status": status, "time": now, "tables": tables}
    return response(200 if is_healthy else 503, body)


def _reachability(probe: Probe) -> str:
    try:
        probe()
    except (BotoCoreError, ClientError):
        return "unreachable"
    return "reachable"
