"""One process of one function: started, fed, listened to, and ended for certain."""

import fcntl
import os
import select
import signal
import subprocess
import sys
import tempfile
import termios
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ..settings import SETTINGS
from .runtime_api import Invocation, Outcome, RuntimeApi
from .runtimes import node_path

MAX_LOG_CHUNKS = 1000


class LambdaProcess:
    """A child of ``command`` that runs ``handler`` from ``task_root``, with ``layers`` behind it on
    its path.
    """

    def __init__(
        self,
        command: Sequence[str],
        handler: str,
        task_root: Path,
        layers: Sequence[Path],
        environment: Mapping[str, str],
    ) -> None:
        self.api = RuntimeApi()
        self._killed = False
        self._output: deque[bytes] = deque(maxlen=MAX_LOG_CHUNKS)
        self._output_lock = threading.Lock()
        lifeline, self._lifeline = os.pipe()
        try:
            # No shell reads it; that functions run is what this is for.
            self._child = subprocess.Popen(  # nosec B603
                [*command, handler, str(lifeline)],
                cwd=task_root,
                env=child_environment(environment, task_root, layers, self.api.address),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lifeline,),
            )
        except OSError:
            os.close(self._lifeline)
            self.api.close()
            raise
        finally:
            os.close(lifeline)
        threading.Thread(target=self._watch, name="lambda-process", daemon=True).start()

    @property
    def usable(self) -> bool:
        """Whether it can take an invocation: it lives, and nobody has killed it."""
        return not self._killed and self._lives

    @property
    def _lives(self) -> bool:
        return self._child.returncode is None

    def submit(self, invocation: Invocation) -> None:
        self.api.submit(invocation)

    def kill(self) -> None:
        """End the child and everything in its process group. Idempotent."""
        self._killed = True
        with self._output_lock:  # under which the child's id is given up
            if self._lives:
                self._kill_group()

    def take_output(self) -> str:
        """Everything written since the last call, up to this moment."""
        with self._output_lock:
            if self._lives:
                self._read_available()
            output = b"".join(self._output)
            self._output.clear()
        return output.decode("utf-8", "replace")

    def _watch(self) -> None:
        """Read output until the child ends; a grandchild may keep the pipe open for longer."""
        assert self._child.stdout is not None
        output = self._child.stdout.fileno()
        exited = os.pidfd_open(self._child.pid)
        poll = select.poll()
        poll.register(exited, select.POLLIN)
        poll.register(output, select.POLLIN)
        while exited not in (ready := dict(poll.poll())):
            with self._output_lock:
                self._read_available()
            if ready[output] & select.POLLHUP:
                poll.unregister(output)  # the child closed it, but lives on
        os.close(exited)
        self._bury()

    def _read_available(self) -> None:
        """Needs the lock. Asks the pipe how much there is, so that it never blocks."""
        assert self._child.stdout is not None
        descriptor = self._child.stdout.fileno()
        while available := _bytes_in_pipe(descriptor):
            self._output.append(os.read(descriptor, available))

    def _bury(self) -> None:
        with self._output_lock:
            self._kill_group()  # what it left behind, before its id can be another's
            self._read_available()
            returncode = self._child.wait()
            assert self._child.stdout is not None
            self._child.stdout.close()
        self.api.fail(Outcome.error("Runtime.ExitError", describe_exit(returncode)))
        self.api.close()
        os.close(self._lifeline)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)


def describe_exit(returncode: int) -> str:
    if returncode < 0:
        return f"Runtime exited with error: signal: {signal.strsignal(-returncode)}"
    return f"Runtime exited with error: exit status {returncode}"


def child_environment(
    environment: Mapping[str, str], task_root: Path, layers: Sequence[Path], runtime_api: str
) -> dict[str, str]:
    """A function's variables, with layers on the path in AWS's order: later ones win.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    search_path = [str(folder) for layer in reversed(layers) for folder in _layer_folders(layer)]
    if own := environment.get("PYTHONPATH"):
        search_path.append(own)
    modules = node_path(list(layers), environment, SETTINGS.lambda_node_modules)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": tempfile.gettempdir(),
        "LANG": "en_US.UTF-8",
        **environment,
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "LAMBDA_TASK_ROOT": str(task_root),
        "NODE_PATH": os.pathsep.join(modules),
        "PYTHONPATH": os.pathsep.join(search_path),
        "PYTHONUNBUFFERED": "1",
    }


def _layer_folders(layer: Path) -> list[Path]:
    """``python`` and every ``python/lib/python3.X/site-packages`` that a layer has."""
    root = layer / "python"
    return [root, *sorted(root.glob("lib/python3*/site-packages"))]


def _bytes_in_pipe(descriptor: int) -> int:
    size = fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4)
    return int.from_bytes(size, sys.byteorder)
