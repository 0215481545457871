"""Which process is meant: a number alone may be another one's by now."""

from __future__ import annotations

import psutil

# Two looks at the same process may differ by a clock tick.
_SAME_SECONDS = 1


def find_process(pid: int, started: float) -> psutil.Process | None:
    """The process ``pid`` that was started then (seconds since the epoch); None if it is gone."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < _SAME_SECONDS
    except psutil.NoSuchProcess:
        return None
    return process if same else None


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended. A zombie has: where nothing reaps orphans, it stays one."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def is_running(pid: int, started: float) -> bool:
    """Whether the process ``pid`` that was started then runs still."""
    process = find_process(pid, started)
    return process is not None and not is_gone(process)


def identify_self() -> tuple[int, float]:
    """This process's number, and when it was started."""
    this = psutil.Process()
    return this.pid, this.create_time()
