"""What runs in the child: loads one Lambda function and calls it, as Lambda's Python runtime does.

A script for the interpreter of the user's project: Python 3.8 or newer, standard library only. It
is executed by its path and imports nothing of plldb; of the files beside this one, it loads
frames.py. Rules and wordings are those of Lambda's own runtime
(https://github.com/aws/aws-lambda-python-runtime-interface-client), named ``awslambdaric`` below;
what differs is said there.

It talks to the invoker over two pipes, whose numbers are its arguments, and leaves stdin, stdout
and stderr to the user's code. These are the frames (see frames.py)::

    invoker → runner                         runner → invoker
    start {handler, codeDir, debugger, …}    ready {…}: a debugger can attach
    invoke {deadline, context} + event       result + JSON text
                                             error {errorType, errorMessage, stackTrace}
                                             waiting: for a debugger to attach; resumed: it has
                                             stopped: by a debugger; resumed: it goes on
    go                                 ←     paused: about to use the terminal; resumed: done
    end: after the answer, if any            failed {message, hint}: the debugger can't be started

How it ends: ``end`` makes it leave its loop, so that the interpreter shuts down as it does after
any program. SIGTERM does the same in the middle of an invocation, as ``sys.exit`` would. The end of
the first pipe means that plldb itself is gone: then this process ends as by SIGTERM, or else by
force, and takes along all that it started.
"""

# Python 3.8 must be able to run this; it never looks at the annotations.
from __future__ import annotations

import atexit
import contextlib
import importlib
import importlib.machinery
import importlib.util
import json
import logging
import os
import pathlib
import queue
import re
import signal
import sys
import threading
import time
import traceback
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Iterator

    from plldb.debugger import frames
    from plldb.debugger.frames import Header

    Handler = Callable[[Any, Any], Any]
else:

    def _load_frames() -> types.ModuleType:
        """Loads frames.py without a name in sys.modules: that name may be one of the user's."""
        path = pathlib.Path(__file__).with_name("frames.py")
        spec = importlib.util.spec_from_file_location("plldb.debugger.frames", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    frames = _load_frames()

# Where Lambda has a function's code.
_TASK_ROOT = "/var/task"
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_MAX_RESPONSE_BYTES = 6 * 1024 * 1024 + 100
_LISTEN_RETRY_SECONDS = 0.1
_CHUNK_BYTES = 1024 * 1024


# --- The pipes, and the end -----------------------------------------------------------------------


class Channel:
    """The two pipes. A thread reads, so that their end is noticed whatever the handler does."""

    def __init__(self, requests: int, answers: int) -> None:
        for descriptor in (requests, answers):
            os.set_inheritable(descriptor, False)
        self._requests = requests
        self._answers = answers
        self._received: queue.SimpleQueue[tuple[Header, str]] = queue.SimpleQueue()
        self._sending = threading.Lock()
        # Those that a debugger holds. Code that is stopped must not go on by itself.
        self.stopped_threads: set[int] = set()
        # How many seconds the user's code has to end after SIGTERM, once plldb is gone.
        self.patience = 0.0
        self._is_orphan = False
        # Registered before the user's code registers anything, it runs after all of that.
        atexit.register(self._end_group_of_orphan)
        reader = threading.Thread(target=self._read, name="plldb", daemon=True)
        # pydevd leaves such a thread alone.
        reader.pydev_do_not_trace = True  # type: ignore[attr-defined]
        reader.is_pydev_daemon_thread = True  # type: ignore[attr-defined]
        reader.start()

    def receive(self) -> tuple[Header, str]:
        return self._received.get()

    def request_end(self) -> None:
        """Puts ``end`` behind the frames that were received."""
        self._received.put(({"type": "end"}, ""))

    def send(self, kind: str, header: Header | None = None, text: str = "") -> None:
        frame = memoryview(frames.encode_frame({"type": kind, **(header or {})}, text))
        with self._sending:
            while frame:
                frame = frame[os.write(self._answers, frame) :]

    def _read(self) -> None:
        parser = frames.FrameParser(lambda header, text: self._received.put((header, text)))
        with contextlib.suppress(OSError):
            while True:
                data = os.read(self._requests, _CHUNK_BYTES)
                if not data:
                    break
                parser.feed(data)
        self._end_orphan()

    def _end_orphan(self) -> None:
        self._is_orphan = True
        if not self.stopped_threads:
            _signal_group(signal.SIGTERM)
            time.sleep(self.patience)
        self._end_group_of_orphan()
        os._exit(1)

    def _end_group_of_orphan(self) -> None:
        if self._is_orphan:
            _signal_group(signal.SIGKILL)


def _signal_group(number: int) -> None:
    """Sends a signal to this process and all that it started; only to those of a child's group."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, number)


def end_on_sigterm(channel: Channel) -> None:
    """Makes SIGTERM run the user's ``finally`` and ``atexit``, unless the user's code handles it.

    Code that catches SystemExit is asked again after its answer.
    """
    this = os.getpid()

    def on_sigterm(number: int, _frame: object) -> None:
        if os.getpid() != this:  # forked by the user's code, and none of our business
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        channel.request_end()
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, on_sigterm)


# --- The context ----------------------------------------------------------------------------------


class _Attributes:
    """An object that has just the attributes of ``_NAMES``; each is None unless given."""

    _NAMES: tuple[str, ...] = ()

    def __init__(self, values: Header) -> None:
        for name in self._NAMES:
            setattr(self, name, values.get(name))

    def __repr__(self) -> str:
        shown = ",".join(f"{name}={getattr(self, name)}" for name in self._NAMES)
        return f"{type(self).__name__}([{shown}])"


class CognitoIdentity(_Attributes):
    _NAMES = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(_Attributes):
    _NAMES = (
        "installation_id",
        "app_title",
        "app_version_name",
        "app_version_code",
        "app_package_name",
    )


class ClientContext(_Attributes):
    _NAMES = ("custom", "env", "client")

    def __init__(self, values: Header) -> None:
        super().__init__(values)
        self.client: Any = Client(values["client"]) if values.get("client") is not None else None


class LambdaContext:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html

    ``values`` are its attributes by their names; ``deadline`` is in seconds since the epoch.
    """

    def __init__(self, values: Header, deadline: float) -> None:
        environment = os.environ.get
        self.aws_request_id = values.get("aws_request_id")
        self.function_name = _or_default(
            values.get("function_name"), environment("AWS_LAMBDA_FUNCTION_NAME")
        )
        self.function_version = _or_default(
            values.get("function_version"), environment("AWS_LAMBDA_FUNCTION_VERSION")
        )
        self.memory_limit_in_mb = str(
            _or_default(
                values.get("memory_limit_in_mb"), environment("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
            )
        )
        self.log_group_name = _or_default(
            values.get("log_group_name"), environment("AWS_LAMBDA_LOG_GROUP_NAME")
        )
        self.log_stream_name = _or_default(
            values.get("log_stream_name"), environment("AWS_LAMBDA_LOG_STREAM_NAME")
        )
        self.invoked_function_arn = values.get("invoked_function_arn")
        self.tenant_id = values.get("tenant_id")
        self.identity = CognitoIdentity(values.get("identity") or {})
        client_context = values.get("client_context")
        self.client_context = None if client_context is None else ClientContext(client_context)
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int(self._deadline * 1000) - int(time.time() * 1000))

    def log(self, message: object) -> None:
        sys.stdout.write(str(message))

    def __repr__(self) -> str:
        names = (
            "aws_request_id",
            "log_group_name",
            "log_stream_name",
            "function_name",
            "memory_limit_in_mb",
            "function_version",
            "invoked_function_arn",
            "client_context",
            "identity",
            "tenant_id",
        )
        shown = ",".join(f"{name}={getattr(self, name)}" for name in names)
        return f"LambdaContext([{shown}])"


def _or_default(value: Any, default: Any) -> Any:
    return default if value is None else value


# --- Errors ---------------------------------------------------------------------------------------


class Fault(Exception):  # noqa: N818
    """An error that Lambda reports in its own words; ``trace`` is its stack trace."""

    def __init__(self, kind: str, message: str, trace: list[str] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.trace = trace or []


class TraceFormatter:
    """Formats stack traces without this file's frames, with the code folder as Lambda has it."""

    def __init__(self, code_dir: str) -> None:
        self._folders = sorted({code_dir, os.path.realpath(code_dir)}, key=len, reverse=True)

    def format(self, trace: types.TracebackType | None) -> list[str]:
        """One string a frame, as awslambdaric has them: file, line, function and source line."""
        entries = [
            (self.lambda_path(entry.filename), entry.lineno, entry.name, entry.line)
            for entry in traceback.extract_tb(trace)
            if not _is_import_machinery(entry.filename)
        ]
        return traceback.format_list(entries)  # type: ignore[arg-type]

    def lambda_path(self, filename: str) -> str:
        """Where the file would be on Lambda; a file outside of the code folder stays as it is."""
        for folder in self._folders:
            if filename == folder or filename.startswith(folder.rstrip("/") + "/"):
                return _TASK_ROOT + filename[len(folder.rstrip("/")) :]
        return filename


def skip_to_user_code(trace: types.TracebackType | None) -> types.TracebackType | None:
    """The rest of a traceback from the first frame on that is the user's."""
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if not _is_ours(filename) and not _is_import_machinery(filename):
            break
        trace = trace.tb_next
    return trace


def _is_ours(filename: str) -> bool:
    return filename == _is_ours.__code__.co_filename


def _is_import_machinery(filename: str) -> bool:
    return filename.startswith("<frozen importlib") or filename == importlib.__file__


# --- Loading --------------------------------------------------------------------------------------


def load_handler(name: str, traces: TraceFormatter) -> Handler:
    """The function of ``module.function`` or ``folder/module.function``.

    Raises Fault, or whatever the module raises while it is imported. Where awslambdaric gives an
    import error no trace, this one has the user's frames: they name the file and the line.
    """
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        raise Fault(
            "Runtime.MalformedHandlerName",
            f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)",
        )
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault(
            "Runtime.BuiltInModuleConflict",
            f"Cannot use built-in module {module_name} as a handler module",
        )
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault(
            "Runtime.ImportModuleError",
            f"Unable to import module '{module_name}': {error}",
            traces.format(skip_to_user_code(error.__traceback__)),
        ) from error
    except SyntaxError as error:
        where = '  File "{}" Line {}\n    {}'.format(
            traces.lambda_path(error.filename or ""), error.lineno, (error.text or "").strip()
        )
        raise Fault(
            "Runtime.UserCodeSyntaxError",
            f"Syntax error in module '{module_name}': {error}",
            [where],
        ) from error
    try:
        handler: Handler = getattr(module, function_name)
    except AttributeError:
        raise Fault(
            "Runtime.HandlerNotFound",
            f"Handler '{function_name}' missing on module '{module_name}'",
        ) from None
    return handler


def forget_modules(code_dir: str) -> None:
    """Makes the next import read the user's modules again.

    Those of a package with compiled parts stay: such a part can't be loaded twice.
    """
    root = pathlib.Path(os.path.realpath(code_dir))
    compiled = {
        name.partition(".")[0]
        for name, module in list(sys.modules.items())
        if str(getattr(module, "__file__", None)).endswith(
            tuple(importlib.machinery.EXTENSION_SUFFIXES)
        )
    }
    for name, module in list(sys.modules.items()):
        path = pathlib.Path(os.path.realpath(_find_path(module)))
        inside = path.relative_to(root).parts if root in path.parents else ()
        is_code = inside and not any(
            part.startswith(".") or part == "site-packages" for part in inside
        )
        if is_code and name.partition(".")[0] not in compiled and name != "__main__":
            del sys.modules[name]
    importlib.invalidate_caches()


def _find_path(module: types.ModuleType) -> str:
    path = getattr(module, "__file__", None)
    if path is None:
        with contextlib.suppress(Exception):
            path = next(iter(module.__path__))
    return str(path or os.sep)


class FallbackFinder:
    """Finds packages that the project does not have in a folder of plldb's own.

    ``folders`` is by the package's name. No other package of those folders can be imported.
    """

    def __init__(self, folders: dict[str, str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if path is not None or name not in self._folders:
            return None
        return importlib.machinery.PathFinder.find_spec(name, [self._folders[name]])


# --- Events and results ---------------------------------------------------------------------------


def decode_event(text: str) -> Any:
    try:
        return json.loads(text)
    except Exception as error:  # noqa: BLE001 (as awslambdaric)
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from None


def encode_result(value: Any) -> str:
    """The JSON text of what a handler returned.

    awslambdaric encodes with simplejson: a Decimal as it is written, a named tuple as an object,
    bytes as the text that they hold. bytes by themselves are the text of the answer.
    """
    try:
        text = _check_json(value) if isinstance(value, bytes) else _encode(value)
    except Exception as error:  # noqa: BLE001 (as awslambdaric)
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from None
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > _MAX_RESPONSE_BYTES:
        raise Fault(
            "Function.ResponseSizeTooLarge",
            f"Response payload size ({size} bytes) exceeded maximum allowed payload size "
            f"({_MAX_RESPONSE_BYTES} bytes).",
        )
    return text


def _check_json(value: bytes) -> str:
    text = value.decode("utf-8")
    json.loads(text)
    return text


def _encode(value: Any) -> str:
    decimals: list[str] = []
    # The standard library can't write a number as given: a mark stands for it meanwhile.
    mark = f"plldb-{uuid.uuid4().hex}-"

    def default(item: Any) -> Any:
        if type(item).__name__ == "Decimal" and type(item).__module__ == "decimal":
            if item.is_nan():
                return float("nan")
            decimals.append(str(item))
            return mark + str(len(decimals) - 1)
        if isinstance(item, bytes):
            return item.decode("utf-8")
        raise TypeError(f"Object of type {type(item).__name__} is not JSON serializable")

    if _has_named_tuple(value):
        value = _expand_named_tuples(value)
    text = json.dumps(value, ensure_ascii=False, default=default)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair: UTF-8 has no form for it
            text = json.dumps(value, default=default)
    if decimals:
        text = re.sub(f'"{mark}([0-9]+)"', lambda found: decimals[int(found[1])], text)
    return text


def _has_named_tuple(value: Any) -> bool:
    waiting, seen = [value], set()
    while waiting:
        item = waiting.pop()
        if not isinstance(item, (dict, list, tuple)) or id(item) in seen:
            continue
        if isinstance(item, tuple) and hasattr(item, "_asdict"):
            return True
        seen.add(id(item))
        waiting.extend(item.values() if isinstance(item, dict) else item)
    return False


def _expand_named_tuples(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _expand_named_tuples(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_expand_named_tuples(item) for item in value]
    return value


# --- Logging --------------------------------------------------------------------------------------


class LogHandler(logging.Handler):
    """The root logger's, as on Lambda: to stdout, with the request's id."""

    request_id = ""

    def emit(self, record: logging.LogRecord) -> None:
        record.aws_request_id = self.request_id
        sys.stdout.write(self.format(record) + "\n")


def set_up_logging() -> LogHandler:
    handler = LogHandler()
    formatter = logging.Formatter(
        "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s",
        "%Y-%m-%dT%H:%M:%S",
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    with contextlib.suppress(ValueError):
        logging.getLogger().setLevel({"TRACE": "DEBUG", "FATAL": "CRITICAL"}.get(level, level))
    return handler


# --- Debuggers ------------------------------------------------------------------------------------


class DebuggerFailed(Exception):  # noqa: N818
    """The debugger can't be started: what is wrong, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def say_that_nothing_stops(*_arguments: Any, **_options: Any) -> None:
    """Instead of ``breakpoint()`` while there is no debugger."""
    frame = sys._getframe(1)
    where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    sys.stderr.write(f"breakpoint() at {where} was passed over: attach with --pdb or --debugpy.\n")


def start_pdb(channel: Channel, terminal: int) -> None:
    """Makes ``breakpoint()`` and ``pdb.set_trace()`` talk to the terminal, a file descriptor."""
    import pdb

    with contextlib.suppress(ImportError):
        importlib.import_module("readline")

    screen = open(terminal, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    os.set_inheritable(terminal, False)

    class TerminalDebugger(pdb.Pdb):
        """Tells the invoker before it writes to the terminal, and when it is done with it."""

        def __init__(self) -> None:
            super().__init__(nosigint=True, skip=["__main__"])
            self.stdout = screen
            self._is_paused = False

        def message(self, msg: str) -> None:
            self._pause()
            super().message(msg)

        def interaction(self, *arguments: Any, **options: Any) -> None:
            self._pause()
            with _redirect_standard_streams(terminal):
                super().interaction(*arguments, **options)
            self._is_paused = False
            channel.send("resumed")

        def get_stack(self, *arguments: Any, **options: Any) -> Any:
            stack, index = super().get_stack(*arguments, **options)
            hidden = 0
            while hidden < len(stack) - 1 and _is_ours(stack[hidden][0].f_code.co_filename):
                hidden += 1
            return stack[hidden:], max(0, index - hidden)

        def _pause(self) -> None:
            if not self._is_paused:
                self._is_paused = True
                channel.send("paused")
                channel.receive()  # go

    debugger = TerminalDebugger()

    def stop(*, header: str | None = None, **_options: Any) -> None:
        if header is not None:
            debugger.message(header)
        debugger.set_trace(sys._getframe().f_back)

    sys.breakpointhook = stop
    pdb.set_trace = stop


@contextlib.contextmanager
def _redirect_standard_streams(terminal: int) -> Iterator[None]:
    """stdin and stdout are the terminal meanwhile: only so does ``input()`` edit lines."""
    streams = sys.stdin, sys.stdout
    for stream in streams:
        with contextlib.suppress(Exception):
            stream.flush()
    saved = os.dup(0), os.dup(1)
    try:
        for descriptor in (0, 1):
            os.dup2(terminal, descriptor)
        sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
        yield
    finally:
        sys.stdout.flush()
        sys.stdin, sys.stdout = streams
        for descriptor in (0, 1):
            os.dup2(saved[descriptor], descriptor)
            os.close(saved[descriptor])


def start_debugpy(host: str, port: int, patience: float) -> Header:
    """Listens for a debugger; the answer says where, and which process group serves it.

    For ``patience`` seconds the port may still be in use by the child before this one.
    """
    # What a stack frame shows is right without it, and pydevd would warn on stderr.
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    try:
        import debugpy
        import debugpy.server.api
    except Exception as error:
        raise DebuggerFailed(
            f"debugpy can't be loaded by {sys.executable}: {error}.",
            f"Install it there: {sys.executable} -m pip install debugpy",
        ) from error
    finally:
        del os.environ["PYDEVD_DISABLE_FILE_VALIDATION"]
    debugpy.configure(subProcess=False)
    give_up = time.monotonic() + patience
    while True:
        try:
            at_host, at_port = debugpy.listen((host, port))
            break
        except Exception as error:
            if time.monotonic() > give_up:
                raise DebuggerFailed(
                    f"debugpy can't listen at {host}:{port}: {error}.",
                    "Choose another port: --debugpy HOST:PORT",
                ) from error
        time.sleep(_LISTEN_RETRY_SECONDS)
    # The adapter left our process group for one that has the number of the process before it.
    adapter = getattr(debugpy.server.api, "_adapter_process", None)
    return {"host": at_host, "port": at_port, "adapterGroup": getattr(adapter, "pid", None)}


def report_stops(channel: Channel) -> None:
    """Tells the invoker when debugpy stops a thread and lets it go on; pydevd has no hook."""
    debugger = getattr(sys.modules.get("pydevd"), "PyDB", None)
    suspend = getattr(debugger, "do_wait_suspend", None)
    if suspend is None:
        return

    def do_wait_suspend(*arguments: Any, **options: Any) -> Any:
        thread = threading.get_ident()
        channel.stopped_threads.add(thread)
        channel.send("stopped")
        try:
            return suspend(*arguments, **options)
        finally:
            channel.stopped_threads.discard(thread)
            channel.send("resumed")

    debugger.do_wait_suspend = do_wait_suspend  # type: ignore[union-attr]


# --- The life of a child --------------------------------------------------------------------------


class Runtime:
    def __init__(self, channel: Channel, start: Header) -> None:
        self._channel = channel
        self._code_dir: str = start["codeDir"]
        self._name: str = start["handler"]
        self._debugger: Header = start["debugger"]
        self._traces = TraceFormatter(self._code_dir)
        self._handler: Handler | None = None
        # In place of our own folder, which Python put there unless it was told not to.
        ours = str(pathlib.Path(__file__).parent)
        sys.path[:] = [self._code_dir, *(path for path in sys.path if path != ours)]
        sys.argv = sys.argv[:1]
        sys.meta_path.append(FallbackFinder(start["fallbackPackages"]))
        self._log_handler = set_up_logging()
        self._start_debugger()

    def _start_debugger(self) -> None:
        kind = self._debugger["kind"]
        if kind == "pdb":
            start_pdb(self._channel, self._debugger["terminal"])
        elif kind == "debugpy":
            debugger = self._debugger
            where = start_debugpy(debugger["host"], debugger["port"], debugger["patience"])
            report_stops(self._channel)
            self._channel.send("ready", where)
        else:
            sys.breakpointhook = say_that_nothing_stops

    def serve(self) -> None:
        """Answers invocations until it is told to end."""
        while True:
            header, event = self._channel.receive()
            if header["type"] == "end":
                return
            if header["isChanged"]:
                self._forget()
            self._log_handler.request_id = str(header["context"].get("aws_request_id") or "")
            self._answer(header, event)

    def _answer(self, header: Header, event: str) -> None:
        """Sends the result, or how it failed. What is no Exception ends the process."""
        try:
            result = encode_result(self._call(header, event))
        except Fault as fault:
            self._report(fault.kind, fault.message, fault.trace, fault.__cause__)
        except Exception as error:  # noqa: BLE001 (whatever the user's code raises)
            trace = skip_to_user_code(error.__traceback__)
            self._report(type(error).__name__, str(error), self._traces.format(trace), error)
        else:
            self._flush()
            self._channel.send("result", text=result)

    def _call(self, header: Header, event: str) -> Any:
        self._await_debugger()
        if self._handler is None:
            # Whatever an import that failed left behind is read again, too.
            forget_modules(self._code_dir)
            self._handler = load_handler(self._name, self._traces)
        context = LambdaContext(header["context"], header["deadline"])
        try:
            return self._handler(decode_event(event), context)
        finally:
            if self._debugger["kind"] == "pdb":
                sys.settrace(None)

    def _await_debugger(self) -> None:
        if self._debugger["kind"] == "debugpy" and self._debugger["waitForClient"]:
            import debugpy

            if not debugpy.is_client_connected():
                self._channel.send("waiting")
                debugpy.wait_for_client()
                self._channel.send("resumed")

    def _forget(self) -> None:
        self._handler = None
        forget_modules(self._code_dir)

    def _report(
        self, kind: str, message: str, trace: list[str], cause: BaseException | None
    ) -> None:
        """To the caller, and to the developer with the paths of this machine."""
        with contextlib.suppress(Exception):  # whatever the user's code made of stderr
            sys.stderr.write(f"[ERROR] {kind}: {message}\n")
            if cause is not None:
                rest = skip_to_user_code(cause.__traceback__)
                traceback.print_exception(type(cause), cause, rest)
        self._flush()
        error = frames.make_error_report(kind, message, trace)
        self._channel.send("error", {"error": error, "isLoaded": self._handler is not None})

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()


def main(arguments: list[str]) -> None:
    channel = Channel(int(arguments[0]), int(arguments[1]))
    end_on_sigterm(channel)
    start, _ = channel.receive()
    channel.patience = start["patience"]
    try:
        runtime = Runtime(channel, start)
    except DebuggerFailed as failure:
        channel.send("failed", {"message": failure.message, "hint": failure.hint})
        return
    runtime.serve()


if __name__ == "__main__":
    main(sys.argv[1:])
