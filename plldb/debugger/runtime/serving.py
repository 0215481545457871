"""The life of a child: it loads one function, and answers invocations until it is told to end."""

from __future__ import annotations

import contextlib
import sys
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple

from . import frames
from .context import LambdaContext
from .debugpy_server import DebuggerFailed, report_stops, start_debugpy
from .encoding import TooLargeError, decode_event, encode_result
from .faults import Fault, TraceFormatter, explain, has_more_to_say, skip_ours
from .invoker_pipes import InvokerPipes, end_on_sigterm
from .loading import FallbackFinder, forget_modules, load_handler
from .log_format import log_error, set_up_logging
from .passed_over import say_that_nothing_stops
from .standard_streams import LogSink, mark_stderr
from .terminal_debuggers import start_pdb

if TYPE_CHECKING:
    from types import TracebackType

    from .frames import Header
    from .loading import Handler


class Runtime:
    def __init__(self, pipes: InvokerPipes, start: Header) -> None:
        self._pipes = pipes
        self._code_dir: str = start["codeDir"]
        self._name: str = start["handler"]
        self._debugger: Header = start["debugger"]
        self._traces = TraceFormatter(self._code_dir)
        self._handler: Handler | None = None
        sys.path.insert(0, self._code_dir)
        sys.argv = sys.argv[:1]
        sys.meta_path.append(FallbackFinder(start["fallbackPackages"]))
        mark = bytes.fromhex(start["outputMark"]) if start["outputMark"] else None
        self._sink = LogSink(mark)
        if mark is not None:
            mark_stderr(mark)
        self._request = set_up_logging(self._sink)
        sys.excepthook = _print_uncaught
        self._start_debugger()

    def _start_debugger(self) -> None:
        kind = self._debugger["kind"]
        if kind == "pdb":
            start_pdb(self._pipes, self._debugger["terminal"])
        elif kind == "debugpy":
            debugger = self._debugger
            where = start_debugpy(debugger["host"], debugger["port"], debugger["patience"])
            report_stops(self._pipes)
            self._pipes.send("ready", where)
        else:
            sys.breakpointhook = say_that_nothing_stops

    def serve(self) -> None:
        """Answers invocations until it is told to end."""
        while True:
            header, event = self._pipes.receive()
            if header["type"] == "end":
                return
            if header["isChanged"]:
                self._forget()
            self._answer(header, event)

    def _answer(self, header: Header, event: str) -> None:
        """Sends the result, or how it failed.

        What is no Exception ends the process, as do errors in reporting an error: as on Lambda.
        """
        try:
            result = encode_result(self._call(header, event))
        except Exception as error:  # noqa: BLE001 (whatever the user's code raises)
            report = self._describe(error)
        else:
            # Half of a surrogate pair ends Lambda's process, too.
            result.text.encode("utf-8")
            self._leave_request()
            self._pipes.send("result", {"isBase64": result.is_base64}, result.text)
            return
        self._report(report)

    def _describe(self, error: Exception) -> _Report:
        """Raises whatever the error does that is asked for its words."""
        if isinstance(error, TooLargeError):
            return _Report(error.kind, error.message, [], None, f"{error.message}\n")
        if isinstance(error, Fault):
            cause = error.__cause__
            more = "" if cause is None else _explain(cause)
            return _Report(error.kind, error.message, error.trace, error.trace_here, more)
        trace = error.__traceback__
        return _Report(
            type(error).__name__,
            str(error),
            self._traces.format(trace),
            self._traces.format_here(trace),
            _explain(error) if has_more_to_say(error) else "",
        )

    def _report(self, report: _Report) -> None:
        """To the log, with the paths of this machine; to the developer; and to the caller."""
        error = frames.make_error_report(report.kind, report.message, report.trace)
        is_final = report.trace_here is None
        if report.trace_here is not None:
            log_error(
                self._sink,
                {
                    "errorMessage": report.message,
                    "errorType": report.kind,
                    "requestId": self._request.request_id,
                    "stackTrace": report.trace_here,
                },
            )
        if report.more:
            self._sink.note(report.more)
        self._leave_request()
        is_loaded = self._handler is not None and not is_final
        self._pipes.send("error", {"error": error, "isLoaded": is_loaded})

    def _call(self, header: Header, event: str) -> Any:
        self._await_debugger()
        if self._handler is None:
            self._load()
        self._enter_request(header["context"])
        context = LambdaContext(header["context"], header["deadline"], self._sink)
        assert self._handler is not None
        try:
            return self._handler(decode_event(event), context)
        finally:
            if self._debugger["kind"] == "pdb":
                sys.settrace(None)

    def _await_debugger(self) -> None:
        if self._debugger["kind"] == "debugpy" and self._debugger["waitForClient"]:
            import debugpy

            if not debugpy.is_client_connected():
                self._pipes.send("waiting")
                debugpy.wait_for_client()
                self._pipes.send("resumed")

    def _forget(self) -> None:
        self._handler = None
        forget_modules(self._code_dir)

    def _load(self) -> None:
        """What is written meanwhile belongs to no request, as on Lambda."""
        self._request.request_id, self._request.tenant_id = "", None
        # Whatever an import that failed left behind is read again, too.
        forget_modules(self._code_dir)
        self._handler = load_handler(self._name, self._traces)

    def _enter_request(self, context: Header) -> None:
        self._request.request_id = str(context.get("aws_request_id") or "")
        self._request.tenant_id = context.get("tenant_id")
        self._sink.enter_request(self._request.request_id)

    def _leave_request(self) -> None:
        """What threads write from now on belongs to no request; their records keep its id."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # whatever the user's code made of it
                stream.flush()
        self._sink.enter_request("")


class _Report(NamedTuple):
    """``trace_here`` is None where Lambda logs nothing and its process ends; ``more`` is for the
    developer.
    """

    kind: str
    message: str
    trace: list[str]
    trace_here: list[str] | None
    more: str


def _explain(error: BaseException) -> str:
    """What Lambda's log leaves out."""
    with contextlib.suppress(Exception):  # raised by the user's errors
        return explain(error)
    return ""


def _print_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """As Python does, without the runtime's frames."""
    context: BaseException | None = error
    while context is not None:
        context.__traceback__ = skip_ours(context.__traceback__)
        context = context.__cause__ or context.__context__
    traceback.print_exception(kind, error, skip_ours(trace))


def main(arguments: list[str]) -> None:
    pipes = InvokerPipes(int(arguments[0]), int(arguments[1]))
    end_on_sigterm(pipes)
    start, _ = pipes.receive()
    pipes.patience = start["patience"]
    try:
        runtime = Runtime(pipes, start)
    except DebuggerFailed as failure:
        pipes.send("failed", {"message": failure.message, "hint": failure.hint})
        return
    runtime.serve()
