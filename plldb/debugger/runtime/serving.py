"""The life of a child: it loads one function, and answers invocations until it is told to end."""

from __future__ import annotations

import contextlib
import sys
import traceback
from typing import TYPE_CHECKING, Any

from . import frames
from .context import LambdaContext, set_variables
from .debugpy_server import DebuggerFailed, report_stops, start_debugpy
from .encoding import decode_event, encode_result
from .faults import Fault, TraceFormatter, skip_to_user_code
from .invoker_pipes import InvokerPipes, end_on_sigterm
from .loading import FallbackFinder, forget_modules, load_handler
from .log_format import set_up_logging
from .passed_over import say_that_nothing_stops
from .terminal_debuggers import start_pdb

if TYPE_CHECKING:
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
        self._log_handler = set_up_logging()
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
            self._pipes.send("result", text=result)

    def _call(self, header: Header, event: str) -> Any:
        self._await_debugger()
        if self._handler is None:
            # Whatever an import that failed left behind is read again, too.
            forget_modules(self._code_dir)
            self._handler = load_handler(self._name, self._traces)
        set_variables(header["context"])
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
                self._pipes.send("waiting")
                debugpy.wait_for_client()
                self._pipes.send("resumed")

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
        self._pipes.send("error", {"error": error, "isLoaded": self._handler is not None})

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()


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
