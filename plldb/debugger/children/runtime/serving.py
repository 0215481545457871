"""The life of a child: it loads one function, and answers invocations until it is told to end."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple

from . import frames
from .api_names import lead_to_emulator
from .context import LambdaContext
from .debugpy_server import DebuggerFailed, start_debugpy
from .editor_stops import EditorStops
from .encoding import TooLargeError, decode_event, encode_result
from .faults import Fault, TraceFormatter, explain, has_more_to_say, skip_ours
from .import_remedy import suggest_remedy
from .invocation_variables import set_variables
from .invoker_pipes import InvokerPipes, end_on_sigterm
from .loaded_code import LoadedCode
from .loading import (
    PackageFinder,
    add_built_packages,
    add_paths,
    forget_modules,
    load_handler,
    uncover_modules,
)
from .log_format import log_error, set_up_logging
from .passed_over import pass_breakpoints_over, pass_debuggers_over
from .standard_streams import LogSink, mark_stderr
from .terminal_debuggers import BorrowedTerminal

if TYPE_CHECKING:
    from types import TracebackType

    from .frames import Header
    from .loading import Handler


class Runtime:
    def __init__(self, pipes: InvokerPipes, start: Header) -> None:
        self._pipes = pipes
        self._pid = os.getpid()
        self._number = 0
        self._code_dir: str = start["codeDir"]
        self._name: str = start["handler"]
        self._debugger: Header = start["debugger"]
        self._traces = TraceFormatter(self._code_dir)
        self._handler: Handler | None = None
        self._runtime: str = start["runtime"]
        self._layers: list[str] = start["layers"]
        self._loaded = LoadedCode(self._code_dir, self._layers, start["installed"])
        add_paths(self._code_dir, self._layers)
        sys.argv = sys.argv[:1]
        built, fallback = start["builtPackages"], start["fallbackPackages"]
        self._package_folders = {*built.values(), *fallback.values()}
        add_built_packages(built, self._code_dir if start["areBuiltFirst"] else None)
        sys.meta_path.append(PackageFinder(fallback))
        self._loaded.observe()
        lead_to_emulator()
        mark = bytes.fromhex(start["outputMark"]) if start["outputMark"] else None
        self._sink = LogSink(mark)
        if mark is not None:
            mark_stderr(mark)
        self._request = set_up_logging(self._sink)
        sys.excepthook = _print_uncaught
        self._terminal: BorrowedTerminal | None = None
        self._editor: EditorStops | None = None
        self._start_debugger()

    def _start_debugger(self) -> None:
        kind = self._debugger["kind"]
        if kind == "pdb":
            self._terminal = BorrowedTerminal(self._pipes, self._debugger["terminal"])
            self._terminal.lend_to_debuggers()
        elif kind == "debugpy":
            where = start_debugpy(self._debugger["host"])
            self._editor = EditorStops(self._pipes, self._package_folders)
            pass_debuggers_over()
            self._pipes.send("ready", where)
        else:
            pass_breakpoints_over()

    def serve(self) -> None:
        """Answers invocations until it is told to end.

        A process that the code has forked may answer, too, if it comes back out of the handler. It
        ends then: nothing is sent to it.
        """
        while os.getpid() == self._pid:
            header, event = self._pipes.receive()
            if header["type"] == "end":
                return
            self._number = header["number"]
            if header["isChanged"]:
                self._forget()
            if header["type"] == "import":
                self._import()
                continue
            self._answer(header, event)

    def _import(self) -> None:
        """Tells whether the handler can be had, before anybody calls it.

        A breakpoint that it comes to asks for the terminal as ever, and gets no answer.
        """
        if self._terminal is not None:
            self._terminal.begin(deadline=0.0)
        try:
            self._load()
        except Exception as error:  # noqa: BLE001 (whatever the user's code raises)
            self._stop_at_uncaught(error)
            report = self._describe(error)
        else:
            self._send("imported", {"error": None})
            return
        finally:
            if self._terminal is not None:
                self._terminal.end()
        self._log(report)
        self._send("imported", {"error": report.for_caller, "remedy": report.remedy})

    def _answer(self, header: Header, event: str) -> None:
        """Sends the result, or how it failed.

        What is no Exception ends the process, as do errors in reporting an error: as on Lambda.
        """
        seen: dict[str, Any] = {}
        report = None
        try:
            result = encode_result(self._call(header, event, seen))
        except Exception as error:  # noqa: BLE001 (whatever the user's code raises)
            self._stop_at_uncaught(error)
            report = self._describe(error)
            wants_retry = self._is_to_retry(error, report, header, seen)
        except BaseException as error:
            if self._pipes.is_ending:
                raise
            self._stop_at_uncaught(error)
            wants_retry = self._is_to_retry(error, None, header, seen)
            if not wants_retry:
                raise
        else:
            wants_retry = self._has_asked_to_retry
        if wants_retry:
            self._enter_request(header["context"])
            self._sink.note("plldb: the same event is run again by the saved code\n")
            self._send("retry", {})
        elif report is None:
            # Half of a surrogate pair ends Lambda's process, too.
            result.text.encode("utf-8")
            self._send("result", {"isBase64": result.is_base64}, result.text)
        else:
            self._send_error(report)

    def _send_error(self, report: _Report) -> None:
        self._log(report)
        if report.remedy:
            self._sink.note(f"plldb: {report.remedy}\n")
        is_loaded = self._handler is not None and not report.is_final
        self._send("error", {"error": report.for_caller, "isLoaded": is_loaded})

    @property
    def _has_asked_to_retry(self) -> bool:
        """At a prompt while the code ran, whatever that has made of it."""
        return self._terminal is not None and self._terminal.wants_retry

    def _is_to_retry(
        self, error: BaseException, report: _Report | None, header: Header, seen: dict[str, Any]
    ) -> bool:
        """Whether the developer wants the event to be run again. There is no ``report`` of what
        ends the process. ``seen`` are the names of what the handler has got and returned.
        """
        # A process that the code has forked has neither plldb to talk to nor the terminal.
        if self._terminal is None or self._terminal.is_forked:
            return False
        if self._has_asked_to_retry or not self._debugger["postMortem"]:
            return self._has_asked_to_retry
        from .post_mortem import PostMortem, find_exit_status, find_place, is_to_be_looked_at

        if not is_to_be_looked_at(error):
            return False
        if report is None:
            title, remedy = type(error).__name__, ""
            self._pipes.send("unhandled", {"error": None, "status": find_exit_status(error)})
        else:
            title = "{errorType}: {errorMessage}".format(**report.for_caller)
            remedy = report.remedy
            self._pipes.send("unhandled", {"error": report.for_caller, "status": None})
        try:
            place = find_place(self._name, self._code_dir, self._handler, seen)
            wants_retry = PostMortem(error, title, remedy, place).hold(
                self._terminal, header["deadline"]
            )
        except (Exception, KeyboardInterrupt) as problem:  # noqa: BLE001 (whatever opens it)
            what = f"{type(problem).__name__}: {problem}"
            self._sink.note(f"plldb: no debugger could be opened for it. {what}\n")
            return False
        if wants_retry:
            self._enter_request(header["context"])
            self._sink.note(f"plldb: {title}\n")
        return wants_retry

    def _stop_at_uncaught(self, error: BaseException) -> None:
        """What Lambda reports in its own words is shown as it was raised."""
        cause = error.__cause__ if isinstance(error, Fault) else error
        if self._editor is not None and cause is not None:
            self._editor.stop_at_uncaught(cause)

    def _call(self, header: Header, event: str, seen: dict[str, Any]) -> Any:
        if self._terminal is None:
            return self._call_handler(header, event, seen)
        # No context manager: a debugger that steps on would come by what is in contextlib.
        self._terminal.begin(header["deadline"])
        try:
            return self._call_handler(header, event, seen)
        finally:
            self._terminal.end()

    def _call_handler(self, header: Header, event: str, seen: dict[str, Any]) -> Any:
        self._await_debugger()
        handler = self._load()
        self._enter_request(header["context"])
        set_variables(header["context"])
        context = LambdaContext(header["context"], header["deadline"], self._sink)
        try:
            seen.update(event=decode_event(event), context=context)
            seen["result"] = handler(seen["event"], context)
            return seen["result"]
        finally:
            if self._editor is not None:
                self._editor.end_step()

    def _load(self) -> Handler:
        """What is written meanwhile belongs to no request, as on Lambda."""
        if self._handler is None:
            self._request.request_id, self._request.tenant_id = "", None
            # Whatever an import that failed left behind is read again, too.
            self._forget()
            uncover_modules([self._code_dir, *self._layers])
            with self._loaded.importing():
                self._handler = load_handler(self._name, self._traces)
        return self._handler

    def _await_debugger(self) -> None:
        if self._debugger["kind"] == "debugpy" and self._debugger["waitForClient"]:
            import debugpy

            if not debugpy.is_client_connected():
                self._pipes.send("waiting")
                debugpy.wait_for_client()
                self._pipes.send("resumed")

    def _forget(self) -> None:
        self._handler = None
        forget_modules(self._loaded.is_watched)
        self._loaded.forget()

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

    def _describe(self, error: Exception) -> _Report:
        """Raises whatever the error does that is asked for its words."""
        if isinstance(error, TooLargeError):
            for_caller = frames.make_error_report(error.kind, error.message)
            return _Report(for_caller, None, f"{error.message}\n", "")
        cause: BaseException | None = error
        if isinstance(error, Fault):
            kind, message, trace, here = error.kind, error.message, error.trace, error.trace_here
            cause = error.__cause__
            more = "" if cause is None else _explain(cause)
        else:
            kind, message, frame = type(error).__name__, str(error), error.__traceback__
            trace, here = self._traces.format(frame), self._traces.format_here(frame)
            more = _explain(error) if has_more_to_say(error) else ""
        remedy = suggest_remedy(cause, self._code_dir, self._runtime)
        return _Report(frames.make_error_report(kind, message, trace), here, more, remedy)

    def _log(self, report: _Report) -> None:
        """As Lambda logs it, and with what its log leaves out."""
        if report.trace_here is not None:
            error = {
                "errorMessage": report.for_caller["errorMessage"],
                "errorType": report.for_caller["errorType"],
                "requestId": self._request.request_id,
                "stackTrace": report.trace_here,
            }
            log_error(self._sink, error)
        if report.more:
            self._sink.note(report.more)

    def _send(self, kind: str, header: Header, text: str = "") -> None:
        """What the user's code wrote until now, and what it has loaded, goes before it."""
        self._leave_request()
        loaded = None
        with contextlib.suppress(Exception):  # whatever the user's code made of sys.modules
            loaded = self._loaded.take_news()
        if loaded is not None:
            self._pipes.send("loaded", loaded)
        self._pipes.send(kind, {"number": self._number, **header}, text)


class _Report(NamedTuple):
    """``trace_here`` has the paths of this machine, and is None where Lambda logs nothing;
    ``more`` and ``remedy`` are for the developer.
    """

    for_caller: frames.ErrorReport
    trace_here: list[str] | None
    more: str
    remedy: str

    @property
    def is_final(self) -> bool:
        """Whether Lambda's process ends with it."""
        return self.trace_here is None


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
    seen = set()  # some code makes a circle of them
    while context is not None and id(context) not in seen:
        seen.add(id(context))
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
