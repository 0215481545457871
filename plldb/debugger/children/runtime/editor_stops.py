"""What an editor sees of this process, beyond what debugpy has options for.

It holds for every editor, whatever it asks for when it attaches. What an older or a newer pydevd
(which debugpy is made of) does not know is left out.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pathlib
import sys
import threading
from typing import TYPE_CHECKING, Any

from .faults import is_ours, skip_to_user_code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .invoker_pipes import InvokerPipes

_OUR_FOLDER = pathlib.Path(__file__).parent
# pydevd's words for an exception that nobody catches, or that leaves the user's code.
_UNHANDLED, _USER_UNHANDLED = "UNHANDLED", "USER_UNHANDLED"
# Its number for the state of a thread that is not stopped.
_RUNS = 1


class EditorStops:
    """Made once debugpy listens.

    Our own frames are in no stack, and no step ends in them: to pydevd they are its own. So nobody
    calls the user's outermost function, and what leaves it is an exception that the user's code
    does not handle. ``libraries`` are folders of packages that are not the user's code, beside
    those of the interpreter.
    """

    def __init__(self, pipes: InvokerPipes, libraries: Iterable[str]) -> None:
        self._pipes = pipes
        self._seen: BaseException | None = None
        pydevd: Any = sys.modules.get("pydevd")
        with contextlib.suppress(AttributeError, ImportError):
            _hide_our_frames(pydevd.get_global_debugger())
        with contextlib.suppress(AttributeError):
            _add_libraries(pydevd.get_global_debugger(), libraries)
        with contextlib.suppress(AttributeError):
            self._report_stops(pydevd.PyDB)

    def stop_at_uncaught(self, error: BaseException) -> None:
        """Lets the editor stop at what nobody caught, if it wants to; the caller gets it then.

        An exception that has been shown as one that leaves the user's code is not shown again.
        """
        trace = skip_to_user_code(error.__traceback__)
        if trace is not None:
            with contextlib.suppress(AttributeError):
                _trigger_exception_handler((type(error), error, trace))
        if isinstance(error, Exception):
            self._seen = None

    def end_step(self) -> None:
        """A step that leaves the handler does not go on in what we do next."""
        try:  # noqa: SIM105 (the step would go on in contextlib)
            _end_step(threading.current_thread())
        except AttributeError:
            pass

    def _report_stops(self, debugger: Any) -> None:
        """Tells the invoker when a thread is stopped, and when it goes on; pydevd has no hook."""
        suspend, pipes = debugger.do_wait_suspend, self._pipes

        def do_wait_suspend(
            this: Any, thread: Any, frame: Any, event: str, arg: Any, *more: Any, **options: Any
        ) -> Any:
            if event == "exception":
                is_passed = self._is_seen(arg[1], {*more, *options.values()})
            else:
                is_passed = is_ours(frame.f_code.co_filename)
            if is_passed:
                _end_step(thread)
                return None
            ident = threading.get_ident()
            pipes.stopped_threads.add(ident)
            pipes.send("stopped")
            try:
                return suspend(this, thread, frame, event, arg, *more, **options)
            finally:
                pipes.stopped_threads.discard(ident)
                pipes.send("resumed")

        debugger.do_wait_suspend = do_wait_suspend

    def _is_seen(self, error: BaseException, kinds: set[Any]) -> bool:
        """Whether it was shown before, as one that nobody catches. What ends the process is seen by
        pydevd, too.
        """
        is_seen = error is self._seen and _UNHANDLED in kinds
        if kinds & {_UNHANDLED, _USER_UNHANDLED}:
            self._seen = error
        return is_seen


def _hide_our_frames(debugger: Any) -> None:
    """As debugpy does with its own (``dont_trace_start_patterns``)."""
    known = debugger.dont_trace_external_files
    ours = {str(_OUR_FOLDER) + os.sep, os.path.realpath(_OUR_FOLDER) + os.sep}
    importlib.import_module(
        "_pydevd_bundle.pydevd_api"
    ).PyDevdAPI().set_dont_trace_start_end_patterns(
        debugger,
        (*getattr(known, "start_patterns", ()), *ours),
        getattr(known, "end_patterns", ()),
    )


def _add_libraries(debugger: Any, folders: Iterable[str]) -> None:
    filtering = debugger._files_filtering
    filtering.set_library_roots([*filtering._get_library_roots(), *folders])


def _end_step(thread: Any) -> None:
    """As pydevd does where there is no frame left to stop in."""
    info = thread.additional_info
    info.pydev_step_stop = None
    info.pydev_original_step_cmd = info.pydev_step_cmd = -1
    info.pydev_state = _RUNS
    if hasattr(info, "update_stepping_info"):
        info.update_stepping_info()


def _trigger_exception_handler(excinfo: tuple[type, BaseException, Any]) -> None:
    """As ``debugpy.trigger_exception_handler``, which came with debugpy 1.8.22."""
    import debugpy

    trigger = getattr(debugpy, "trigger_exception_handler", None)
    if trigger is not None:
        trigger(excinfo)
    elif debugpy.is_client_connected():
        thread = threading.current_thread()
        debugger = sys.modules["pydevd"].get_global_debugger()
        info = debugger.set_additional_thread_info(thread)
        info.is_tracing += 1
        try:
            debugger.stop_on_unhandled_exception(debugger, thread, info, excinfo)
        finally:
            info.is_tracing -= 1
