"""An emulator of its own that counts what AWS would ask money for, and who reads the count."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plldb.aws import Target
from plldb.config import EmulatorAddress, TargetSettings
from plldb.emulators.lifecycle import Lifecycle
from plldb.emulators.process import MiniStack
from plldb.stacks import find_helper_stack

from .support import Backend, Plldb, clean_environment, poll

_PROGRAM = Path(__file__).with_name("metered_ministack.py")
_LOGICAL_ID = re.compile(r"plldb-(\w+)Function-")
# For how long nothing more must come, before a count is taken for the whole.
_QUIET_SECONDS = 2.0

Units = Mapping[str, float]


class Meter:
    """Reads what the emulator has written down so far, and what was added since."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def position(self) -> int:
        return self._path.stat().st_size

    def since(self, position: int) -> Units:
        """How many of each unit, and how many runs of each function: ``run_websocket``."""
        return _add_up(self._read(position))

    def most_calls_within_a_second(self, position: int) -> int:
        """Of Lambda's control plane since then, as they arrived."""
        times = [one["at"] for one in self._read(position) if _is_of_lambda(one)]
        return max(sum(first <= one < first + 1 for one in times) for first in times)

    def _read(self, position: int) -> list[dict[str, Any]]:
        with self._path.open("rb") as meter:
            meter.seek(position)
            # The last one may be half written.
            return [json.loads(line) for line in meter if line.endswith(b"\n")]

    def wait_for(self, position: int, units: Units) -> Units:
        """Until there are as many since, or, where nothing is expected, until nothing comes."""
        if units:
            poll(
                lambda: all(self.since(position).get(u, 0) >= n for u, n in units.items()),
                f"as much is counted as {units}, which is written in tools/counted_units.json",
            )
            return self.since(position)
        end, changed = self.position(), time.monotonic()

        def is_quiet() -> bool:
            nonlocal end, changed
            if self.position() != end:
                end, changed = self.position(), time.monotonic()
            return time.monotonic() - changed > _QUIET_SECONDS

        poll(is_quiet, "nothing more is counted")
        return self.since(position)


def _is_of_lambda(line: Mapping[str, Any]) -> bool:
    """Paths of Lambda's API begin with the date of its version; the other service has none."""
    return line["unit"] == "control_call" and line["of"].partition(" ")[2] != "/"


def _add_up(lines: Iterable[dict[str, Any]]) -> Units:
    units: defaultdict[str, float] = defaultdict(float)
    for line in lines:
        if line["unit"] != "run":
            units[line["unit"]] += line["count"]
        elif found := _LOGICAL_ID.match(line["of"]):
            units[f"run_{found[1].lower()}"] += 1
            units["log_bytes"] += line["log_bytes"]
            units["run_ms"] += line["run_ms"]
    return units


@contextmanager
def metered(home: Path) -> Iterator[tuple[Plldb, Backend, Meter]]:
    """An emulator with a helper stack, which is nobody else's."""
    lifecycle = Lifecycle(home, lambda _: MiniStack(home, program=_PROGRAM))
    try:
        running = lifecycle.up("ministack", port=None).running
        address = EmulatorAddress(running.endpoint_url, running.endpoint_url)
        target = Target(TargetSettings("emulator", "us-east-1", emulator=address))
        plldb = Plldb(clean_environment() | {"PLLDB_HOME": str(home)})
        plldb("bootstrap").succeeded()
        backend = Backend(target, find_helper_stack(target, "plldb"))
        yield plldb, backend, Meter(home / "meter.jsonl")
    finally:
        lifecycle.down()
