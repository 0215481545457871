"""MiniStack as a child process: the embedded emulator, with IAM enforced."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

import psutil

from plldb.emulators.base import LOOPBACK, RunningEmulator, choose_port
from plldb.emulators.process_identity import is_gone, is_running
from plldb.errors import EmulatorError

logger = logging.getLogger(__name__)

_GATEWAY = Path(__file__).with_name("ministack_gateway.py")
_STOP_SECONDS = 1
_KILL_SECONDS = 5
_POLL_SECONDS = 0.02
# An invocation that calls back into the gateway holds one of its threads while it waits for
# another one; the default of 64 starves under nested waits.
_WORKER_THREADS = "512"
# What the child may know of our environment: nothing that selects or opens an AWS account.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "VIRTUAL_ENV")


class MiniStack:
    """MiniStack, with its log and its temporary files in ``folder``, which is its own.

    The process may outlive this object, and another object for the same folder can stop it. Being
    asked to end, it has ``stop_seconds`` to do so before it is killed. ``program`` starts it.
    """

    name = "ministack"

    def __init__(
        self, folder: Path, stop_seconds: float = _STOP_SECONDS, program: Path = _GATEWAY
    ) -> None:
        self._stop_seconds = stop_seconds
        self._program = program
        self._child: psutil.Popen | None = None
        folder = folder.resolve()
        self._log = folder / "ministack.log"
        self._temporary = folder / "tmp"

    def start(self, port: int | None) -> RunningEmulator:
        if importlib.util.find_spec("ministack") is None:
            raise EmulatorError(
                "MiniStack, the embedded emulator, is not installed.",
                "Install it, in plldb's checkout: pip install '.[local]'",
            )
        port = choose_port(port)
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir(parents=True)
        with self._log.open("wb") as log:
            self._child = child = psutil.Popen(
                # The folder of that file is no place to import from.
                [sys.executable, "-P", str(self._program)],
                env=self._make_environment(port),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Out of reach of the terminal's Ctrl-C, so that it is stopped in order.
                start_new_session=True,
            )
        logger.info("MiniStack is process %d, its log is %s", child.pid, self._log)
        url = f"http://{LOOPBACK}:{port}"
        return RunningEmulator(
            emulator=self.name,
            endpoint_url=url,
            inside_url=url,
            pid=child.pid,
            process_started=child.create_time(),
        )

    def is_alive(self, running: RunningEmulator) -> bool:
        return is_running(running.pid, running.process_started)

    def health_url(self, running: RunningEmulator) -> str:
        return f"{running.endpoint_url}/_ministack/health"

    def last_log_lines(self, running: RunningEmulator, count: int) -> list[str]:
        try:
            with self._log.open(encoding="utf-8", errors="replace") as log:
                return [line.rstrip() for line in deque(log, maxlen=count)]
        except FileNotFoundError:
            return []

    def stop(self) -> None:
        """Terminates it and its Lambda workers, and kills what is left after a short wait.

        All that MiniStack knows is in memory, and so it is lost anyway.
        """
        family = self._find_family()
        logger.info("terminating MiniStack's processes: %s", [process.pid for process in family])
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _wait_until_gone(family, self._stop_seconds)
        # Including those that were started meanwhile.
        rest = self._find_family()
        if rest:
            logger.info("killing MiniStack's processes: %s", [process.pid for process in rest])
        for process in rest:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        _wait_until_gone([*family, *rest], _KILL_SECONDS)
        self._reap()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _reap(self) -> None:
        """Takes the exit code of an ended child, which stays a zombie until somebody does.

        A process looks like a zombie as soon as its first thread has ended.
        """
        if self._child is not None:
            with suppress(psutil.TimeoutExpired):
                self._child.wait(_KILL_SECONDS)
                self._child = None

    def _find_family(self) -> list[psutil.Process]:
        """Finds the emulator and its Lambda workers, by the temporary folder that is theirs."""
        return [process for process in psutil.process_iter() if self._is_member(process)]

    def _is_member(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("TMPDIR") == str(self._temporary)
        except psutil.Error:
            return False

    def _make_environment(self, port: int) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return inherited | {
            "GATEWAY_PORT": str(port),
            "BIND_HOST": LOOPBACK,
            "AUTH": "true",
            # Its MQTT broker listens on all addresses, wherever the package cryptography is there.
            "IOT_MTLS_ENABLED": "0",
            "MINISTACK_WORKER_THREADS": _WORKER_THREADS,
            # Functions that it runs leave their files here, and `stop` takes them away.
            "TMPDIR": str(self._temporary),
            "PYTHONUNBUFFERED": "1",
        }


def _wait_until_gone(processes: list[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not all(map(is_gone, processes)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
