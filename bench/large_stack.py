"""How long plldb takes to attach to 200 functions in five nested stacks, and to leave them: when
the helper stack's functions start cold, as on the first time for hours, and when they do not.

``python -m bench.large_stack`` measures it by itself, on the embedded emulator.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from plldb.aws import Target
from tests.e2e.debugging import Debuggee, deployed, function, nested
from tests.e2e.metering import Meter, metered
from tests.e2e.support import Attached, Plldb

from .report import Report

_STACKS, _FUNCTIONS = 5, 40
_SECONDS = 180


def measure_large_stack(
    report: Report, plldb: Plldb, target: Target, folder: Path, meter: Meter | None = None
) -> None:
    """With the code of all functions in one folder. ``meter`` is the emulator's, if it has one."""
    code = folder / "large"
    code.mkdir()
    (code / "index.py").write_text("def handler(event, context):\n    return 'here'\n")
    children = {
        f"Child{number}": nested(target, {f"Fn{one:02}": function() for one in range(_FUNCTIONS)})
        for number in range(_STACKS)
    }
    with deployed(target, children) as stack:
        before = stack.configurations()
        for helper in ("cold", "warm"):
            count = partial(meter.most_calls_within_a_second, meter.position()) if meter else None
            started = time.perf_counter()
            with plldb.within(code).attach(stack.name, "--code", str(code)) as attached:
                _measure(report, stack, attached, started, helper, count)
        after = stack.configurations()
        differing = [name for name in before if after[name] != before[name]]
        assert not differing, differing


def _measure(
    report: Report,
    stack: Debuggee,
    attached: Attached,
    started: float,
    helper: str,
    count_calls: Callable[[], int] | None,
) -> None:
    """``count_calls``: how many calls of Lambda have arrived within a second, at most."""
    ready = attached.wait_for("ready", _SECONDS)
    seconds = time.perf_counter() - started
    note = f"{ready['instrumented']} ready, {_count_children(attached)} children"
    if count_calls is not None:
        note += f", {count_calls()} calls of Lambda a second"
    name = f"200 functions, {helper} helper stack"
    report.add_figure(f"attach to {name}", seconds * 1000, "≤ 15000 ms", note)
    assert stack.invoke("Child4/Fn39").json == "here"
    started = time.perf_counter()
    attached.signal(signal.SIGINT)
    assert attached.exit_code(_SECONDS) == 0
    report.add_figure(f"detach from {name}", (time.perf_counter() - started) * 1000, "")


def _count_children(attached: Attached) -> int:
    listed = subprocess.run(
        ["pgrep", "-P", str(attached.process.pid)], capture_output=True, text=True, check=False
    )
    return len(listed.stdout.split())


def main() -> None:
    report = Report("large stack")
    with (
        tempfile.TemporaryDirectory(prefix="plldb-bench-") as folder,
        metered(Path(folder)) as (plldb, backend, meter),
    ):
        measure_large_stack(report, plldb, backend.target, Path(folder), meter)
    report.show()


if __name__ == "__main__":
    main()
