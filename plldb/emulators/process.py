"""MiniStack as a child process: the embedded emulator, with IAM enforced."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

import psutil

from plldb.emulators.base import LOOPBACK, RunningEmulator, port_to_use
from plldb.errors import EmulatorError

_STOP_SECONDS = 0.5
_KILL_SECONDS = 5
_POLL_SECONDS = 0.02
# An invocation that calls back into the gateway holds one of its threads while it waits for
# another one; the default of 64 starves under nested waits.
_WORKER_THREADS = "512"
# What the child may know of our environment: nothing that selects or opens an AWS account.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "SYSTEMROOT", "VIRTUAL_ENV")


class MiniStack:
    """Its log and its temporary files lie in ``folder``, which is its own."""

    name = "ministack"

    def __init__(self, folder: Path) -> None:
        folder = folder.resolve()
        self._log = folder / "ministack.log"
        self._temporary = folder / "tmp"

    def start(self, port: int | None) -> RunningEmulator:
        if importlib.util.find_spec("ministack") is None:
            raise EmulatorError(
                "MiniStack, the embedded emulator, is not installed.",
                "Install it, in plldb's checkout: pip install '.[local]'",
            )
        port = port_to_use(port)
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir(parents=True)
        with self._log.open("wb") as log:
            process = psutil.Popen(
                [sys.executable, "-m", "ministack"],
                env=self._environment(port),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Out of reach of the terminal's Ctrl-C, so that it is stopped in order.
                start_new_session=True,
            )
        url = f"http://{LOOPBACK}:{port}"
        return RunningEmulator(
            emulator=self.name,
            endpoint_url=url,
            inside_url=url,
            pid=process.pid,
            process_started=process.create_time(),
        )

    def is_alive(self, running: RunningEmulator) -> bool:
        process = _process(running)
        return process is not None and not _is_gone(process)

    def health_url(self, running: RunningEmulator) -> str:
        return f"{running.endpoint_url}/_ministack/health"

    def last_log_lines(self, running: RunningEmulator, count: int) -> list[str]:
        try:
            with self._log.open(encoding="utf-8", errors="replace") as log:
                return [line.rstrip() for line in deque(log, maxlen=count)]
        except FileNotFoundError:
            return []

    def stop(self) -> None:
        """All it knows is in memory, and so lost anyway: a short wait, then an end by force."""
        family = self._family()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _wait_until_gone(family, _STOP_SECONDS)
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        _wait_until_gone(family, _KILL_SECONDS)
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _family(self) -> list[psutil.Process]:
        """The emulator and its Lambda workers, by the temporary folder that only they have."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("TMPDIR") == str(self._temporary)
        except psutil.Error:
            return False

    def _environment(self, port: int) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return inherited | {
            "GATEWAY_PORT": str(port),
            "BIND_HOST": LOOPBACK,
            "AUTH": "true",
            "MINISTACK_WORKER_THREADS": _WORKER_THREADS,
            # Functions that it runs leave their files here, and `stop` takes them away.
            "TMPDIR": str(self._temporary),
            "PYTHONUNBUFFERED": "1",
        }


def _process(running: RunningEmulator) -> psutil.Process | None:
    """The process that was started; None if it is gone, even if its number is in use again."""
    try:
        process = psutil.Process(running.pid)
        same = abs(process.create_time() - running.process_started) < 1
    except psutil.NoSuchProcess:
        return None
    return process if same else None


def _is_gone(process: psutil.Process) -> bool:
    """A zombie counts: where nothing reaps orphans, it stays one."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _wait_until_gone(processes: list[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not all(map(_is_gone, processes)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
