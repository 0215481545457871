"""One process that runs one Lambda function: its pipes, its output, its end. See runtime/.

A child ends in steps, so that the user's ``finally`` and ``atexit`` run::

    idle              told to end → SIGTERM → SIGKILL
    busy              SIGTERM → SIGKILL
    held by debugpy   SIGKILL: pydevd may swallow anything less, and let it run on

The last step takes all that the child started along.
"""

from __future__ import annotations

import array
import asyncio
import codecs
import contextlib
import fcntl
import logging
import os
import signal
import socket
import termios
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from plldb.debugger.children.file_changes import NOTHING_LOADED, read_loaded_files
from plldb.debugger.children.runtime.frames import ErrorReport, FrameParser, encode_frame
from plldb.debugger.children.runtime.output import (
    LOG,
    NOTE,
    RAW,
    REQUEST,
    STDERR,
    OutputParser,
    make_mark,
)

if TYPE_CHECKING:
    from plldb.debugger.children.runtime.frames import Header

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 1024 * 1024
# A line may be as long as it likes; it is not kept in memory for ever.
_MAX_LINE_CHARACTERS = 1024 * 1024
_ADAPTER_SECONDS = 1.0
_ADAPTER_KILLED_SECONDS = 1.0
_POLL_SECONDS = 0.02
# How the number of threads that debugpy holds changes with a frame. ``resumed`` comes after other
# frames, too, while debugpy holds none.
_STOPS = {"stopped": 1, "resumed": -1}


@dataclass(frozen=True)
class Launch:
    """How to start a child. ``start`` is the first frame; ``inherited`` are further descriptors.

    ``patience`` is how many seconds the child gets for each step of its end but the last.
    """

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    start: Header
    patience: float
    inherited: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reply:
    """What a handler returned, as JSON text, or how it failed; or bytes that are no JSON, in base64
    as ``raw``: the others are None.

    ``is_loaded``: the handler was found, and is there for the next invocation. ``wants_retry``:
    nobody is to get it; the developer wants the same event to be run again by the saved code.
    ``is_overdue``: its time was over while the developer looked at that error.
    """

    result: str | None
    error: ErrorReport | None
    is_loaded: bool = True
    raw: str | None = None
    wants_retry: bool = False
    is_overdue: bool = False


@dataclass(frozen=True)
class ImportReply:
    """``error``: why the handler can't be had, or None; the ``remedy`` is for the developer."""

    error: ErrorReport | None
    remedy: str = ""


class ChildFailedError(Exception):
    """The child can't do its work: ``message`` and ``hint`` say why, for the developer."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ChildExitedError(Exception):
    """The process ended before it answered; ``status`` is negative if a signal ended it."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True)
class OutputLine:
    """A line that a child wrote, without its end.

    ``stream`` is "stdout" or "stderr", or "plldb" for what the runtime adds for the developer. What
    does not go through Python's ``sys.stderr``, like a subprocess, counts as "stdout". The log of
    the function is a part of that. ``request_id`` is the invocation's in which it was written; None
    for what is written while the code is loaded, or between invocations.
    """

    stream: str
    text: str
    request_id: str | None


@dataclass
class Listener:
    """What a child tells while it works: of its output a line each, and frames without answers."""

    on_line: Callable[[OutputLine], None]
    on_frame: Callable[[Header], None]


class Child:
    """Started by ``start``. It is gone once ``end`` returns, and what it started is killed."""

    def __init__(
        self, process: asyncio.subprocess.Process, listener: Listener, patience: float
    ) -> None:
        self._process = process
        self._patience = patience
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        # What was loaded by the end of the last request; of use only while it has not changed.
        self.loaded = NOTHING_LOADED
        self._reply: asyncio.Future[Reply | ImportReply] | None = None
        # That of the last request. Processes that the code forks may answer former ones once more.
        self._number = 0
        self._ready: asyncio.Future[Header] = self._loop.create_future()
        self._is_running = True
        self._is_ending = False
        # From an invocation's arrival until its reply, whether anybody waits for that or not.
        self._is_busy = False
        # How many threads of the user's code a debugger holds.
        self._stops = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_usable(self) -> bool:
        """Whether it can take an invocation. asyncio notices a death a moment after the system."""
        return self._is_running and not self._is_ending and not _has_exited(self.pid)

    @classmethod
    async def start(cls, launch: Launch, listener: Listener) -> Child:
        """Raises OSError if the process can't be started."""
        requests_in, requests = _open_pipe()
        answers, answers_out = _open_pipe()
        # One for both streams: so their lines stay in the order in which they were written.
        output, output_in = _open_pipe()
        ours, theirs = (requests, answers, output), (requests_in, answers_out, output_in)
        try:
            process = await asyncio.create_subprocess_exec(
                *launch.command,
                str(requests_in),
                str(answers_out),
                stdin=launch.inherited[0] if launch.inherited else asyncio.subprocess.DEVNULL,
                stdout=output_in,
                stderr=output_in,
                cwd=launch.folder,
                env=dict(launch.environment),
                pass_fds=(requests_in, answers_out, *launch.inherited),
                # A group to kill, and out of reach of the terminal's Ctrl-C.
                start_new_session=True,
            )
        except BaseException:
            _close(ours)
            raise
        finally:
            _close(theirs)
        child = cls(process, listener, launch.patience)
        mark = make_mark()
        child._connect(*ours, mark)
        own = {"type": "start", "patience": launch.patience, "outputMark": mark.hex()}
        child._send(own | launch.start)
        logger.debug("child %d runs %s in %s", child.pid, launch.command[0], launch.folder)
        return child

    def _connect(self, requests: int, answers: int, output: int, mark: bytes) -> None:
        self._lines = _OutputLines(mark, self._on_line)
        self._output = _Pipe(self._loop, output, self._lines.feed)
        self._answers = _Pipe(self._loop, answers, FrameParser(self._handle_frame).feed)
        self._requests = _Writer(self._loop, requests)
        self._exit = asyncio.create_task(self._await_exit())

    async def wait_ready(self) -> Header:
        """Returns once a debugger can attach. Raises ChildFailedError or ChildExitedError."""
        return await asyncio.shield(self._ready)

    async def request(self, header: Header, text: str) -> Reply:
        """Runs one invocation; its output has been reported when this returns.

        Raises ChildFailedError or ChildExitedError. If it is cancelled, the child is still busy and
        of no use any more.
        """
        reply = await self._ask({"type": "invoke"} | header, text)
        assert isinstance(reply, Reply)
        return reply

    async def import_handler(self, is_changed: bool) -> ImportReply:
        """Has the code read; as with ``request``. ``is_changed``: what was read before is old."""
        reply = await self._ask({"type": "import", "isChanged": is_changed})
        assert isinstance(reply, ImportReply)
        return reply

    async def _ask(self, header: Header, text: str = "") -> Reply | ImportReply:
        if not self.is_usable:
            raise ChildExitedError(self._process.returncode or 0)
        self._is_busy = True
        self._number += 1
        self._reply = self._loop.create_future()
        self._send(header | {"number": self._number}, text)
        try:
            return await self._reply
        finally:
            self._reply = None

    def go(self) -> None:
        """Answers ``paused``: what the child wrote so far is on the terminal."""
        self._send({"type": "go"})

    def answer_for_it(self, reply: Reply) -> None:
        """In place of the child, which stays busy."""
        self._pass_on(reply)

    def flush_output(self) -> None:
        """Reports all that the child has written until now, an unfinished line included."""
        self._output.drain()
        self._lines.flush()

    def kill_if_stopped(self) -> None:
        """For what a debugger holds: it must not go on, even if an editor lets go of it now."""
        if self._stops:
            _signal_group(self.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Ends the child and all that it started, as gently as it lets itself be ended.

        If this is cancelled, the child is killed at once.
        """
        self._is_ending = True
        try:
            for ask, seconds in self._list_gentle_ways():
                ask()
                if await self._exits_within(seconds):
                    break
        finally:
            if self._process.returncode is None:
                logger.debug("child %d is killed", self.pid)
                _signal_group(self.pid, signal.SIGKILL)
        await asyncio.shield(self._exit)

    def _list_gentle_ways(self) -> list[tuple[Callable[[], None], float]]:
        """Each with the seconds that the child gets for it."""
        if self._stops:
            return []
        # A signal that comes just before a system call does not interrupt it: the second one does.
        terminating = [(self._terminate, self._patience / 2)] * 2
        return terminating if self._is_busy else [(self._tell_to_end, self._patience), *terminating]

    def _tell_to_end(self) -> None:
        logger.debug("child %d is told to end", self.pid)
        self._send({"type": "end"})

    def _terminate(self) -> None:
        logger.debug("child %d gets SIGTERM", self.pid)
        _signal_group(self.pid, signal.SIGTERM)

    async def _exits_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._process.wait()
        return self._process.returncode is not None

    def _send(self, header: Header, text: str = "") -> None:
        self._requests.write(encode_frame(header, text))

    def _on_line(self, line: OutputLine) -> None:
        self._listener.on_line(line)

    def _handle_frame(self, header: Header, text: str) -> None:
        match header["type"]:
            case "result" | "error" | "retry" | "imported":
                if header["number"] == self._number:
                    self._settle(_read_reply(header, text))
            case "loaded":
                self.loaded = read_loaded_files(header)
            case "ready":
                if not self._ready.done():
                    self._ready.set_result(header)
            case "failed":
                self._give_up(ChildFailedError(header["message"], header["hint"]))
            case kind:
                self._stops = max(0, self._stops + _STOPS.get(kind, 0))
                self._listener.on_frame(header)

    def _settle(self, reply: Reply | ImportReply) -> None:
        self._is_busy = False
        self._pass_on(reply)

    def _pass_on(self, reply: Reply | ImportReply) -> None:
        self.flush_output()
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(reply)

    def _give_up(self, error: Exception) -> None:
        for future in (self._reply, self._ready):
            if future is not None and not future.done():
                future.set_exception(error)
        # Nobody need have asked.
        if self._ready.done() and not self._ready.cancelled():
            self._ready.exception()

    async def _await_exit(self) -> None:
        status = await self._process.wait()
        logger.debug("child %d has ended with status %d", self.pid, status)
        self._is_running = False
        # Its children outlive it, unless somebody ends them.
        _signal_group(self.pid, signal.SIGKILL)
        self._answers.drain()
        self.flush_output()
        self._give_up(ChildExitedError(status))
        for pipe in (self._answers, self._output):
            pipe.close()
        self._requests.close()
        await self._end_adapter()

    async def _end_adapter(self) -> None:
        """debugpy's adapter tells the editor and ends, when the process that it serves has ended.

        It is no member of the child's process group, and nobody waits for it: that its port is free
        again is how its end is noticed. One that an editor keeps busy is ended by force.
        """
        if not self._ready.done() or self._ready.cancelled() or self._ready.exception():
            return
        ready = self._ready.result()
        for seconds in (_ADAPTER_SECONDS, _ADAPTER_KILLED_SECONDS):
            give_up = self._loop.time() + seconds
            while not _is_free(ready["host"], ready["port"]) and self._loop.time() < give_up:
                await asyncio.sleep(_POLL_SECONDS)
            if ready["adapterGroup"] is not None:
                _signal_group(ready["adapterGroup"], signal.SIGKILL)


def _read_reply(header: Header, text: str) -> Reply | ImportReply:
    match header["type"]:
        case "result":
            return Reply(None, None, raw=text) if header["isBase64"] else Reply(text, None)
        case "error":
            return Reply(None, header["error"], header["isLoaded"])
        case "retry":
            return Reply(None, None, is_loaded=False, wants_retry=True)
    return ImportReply(header["error"], header.get("remedy", ""))


def _signal_group(group: int, number: signal.Signals) -> None:
    # macOS says PermissionError of a group that has zombies only.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _has_exited(pid: int) -> bool:
    """Whether a child has; where the system can't tell, as macOS before Python 3.13, it has not."""
    if not hasattr(os, "waitid"):
        return False
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True  # somebody has been told already


def _open_pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    # Large enough that most results pass in one piece; Linux only, and only if there is room.
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _CHUNK_BYTES)
    return reader, writer


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _is_free(host: str, port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


class _Pipe:
    """The end of a pipe from which the loop reads."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, descriptor: int, feed: Callable[[bytes], None]
    ) -> None:
        os.set_blocking(descriptor, False)
        self._loop = loop
        self._descriptor = descriptor
        self._feed = feed
        self._is_open = True
        loop.add_reader(descriptor, self._read)

    def drain(self) -> None:
        """Reads what is there now: not more, so that it ends even if the writer does not."""
        if not self._is_open:
            return
        available = array.array("i", [0])
        fcntl.ioctl(self._descriptor, termios.FIONREAD, available)
        left = available[0]
        while left > 0 and self._is_open:
            left -= self._read()

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)

    def _read(self) -> int:
        try:
            data = os.read(self._descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return 0
        if data:
            self._feed(data)
        else:
            self.close()
        return len(data)


class _Writer:
    """The end of a pipe to which the loop writes. What nobody reads any more is lost."""

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._loop = loop
        self._descriptor = descriptor
        self._left = memoryview(b"")
        self._is_open = True

    def write(self, data: bytes) -> None:
        if self._left:
            self._left = memoryview(bytes(self._left) + data)
        elif self._is_open:
            self._left = memoryview(data)
            self._loop.add_writer(self._descriptor, self._write)
            self._write()

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._loop.remove_writer(self._descriptor)
            os.close(self._descriptor)

    def _write(self) -> None:
        try:
            self._left = self._left[os.write(self._descriptor, self._left) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            # The end of the process is noticed elsewhere.
            self._left = memoryview(b"")
        if not self._left:
            self._loop.remove_writer(self._descriptor)


class _OutputLines:
    """The output of a child, line by line: each kind of it apart, as an unfinished line may be.

    A line counts as written when it is finished.
    """

    _STREAMS = {RAW: "stdout", LOG: "stdout", STDERR: "stderr", NOTE: "plldb"}

    def __init__(self, mark: bytes, on_line: Callable[[OutputLine], None]) -> None:
        self._on_line = on_line
        self._request_id: str | None = None
        self._parser = OutputParser(mark, self._take)
        self._splitters = {
            kind: _LineSplitter(partial(self._report, stream))
            for kind, stream in self._STREAMS.items()
        }

    def feed(self, data: bytes) -> None:
        self._parser.feed(data)

    def flush(self) -> None:
        self._parser.flush()
        self._finish_lines()

    def _take(self, kind: bytes, content: bytes) -> None:
        if kind == REQUEST:
            self._finish_lines()
            self._request_id = content.decode() or None
        else:
            self._splitters[kind].feed(content)

    def _finish_lines(self) -> None:
        for splitter in self._splitters.values():
            splitter.flush()

    def _report(self, stream: str, text: str) -> None:
        self._on_line(OutputLine(stream, text, self._request_id))


class _LineSplitter:
    """Bytes in, lines out. What is not UTF-8 is replaced."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = ""
        self._start()

    def feed(self, data: bytes) -> None:
        *lines, rest = (self._rest + self._decoder.decode(data)).split("\n")
        for line in lines:
            self._on_line(line.removesuffix("\r"))
        while len(rest) > _MAX_LINE_CHARACTERS:
            self._on_line(rest[:_MAX_LINE_CHARACTERS])
            rest = rest[_MAX_LINE_CHARACTERS:]
        self._rest = rest

    def flush(self) -> None:
        rest = self._rest + self._decoder.decode(b"", final=True)
        self._start()
        if rest:
            self._on_line(rest)

    def _start(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
