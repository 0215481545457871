"""Debuggers that talk to a terminal: pdb, whatever else is made of ``bdb``, IPython, ``input()``.

None of them is replaced: ``breakpoint()``, PYTHONBREAKPOINT and ``pdb.set_trace()`` do what they do
in any program. The process has a pseudo-terminal, which plldb connects to the developer's for as
long as a debugger talks. ::

    borrow   → paused                              plldb passes keys and output on
             ← go, then 1 and 2 are the terminal
    give back  1 and 2 are pipes again
             → TERMINAL_MARK, over the terminal: it comes after all that the debugger wrote there
             ← go                                  plldb has its terminal again

Descriptor 0 is the terminal all the time.

pdb, and whatever is made of it, has one command more: ``retry``.
"""

from __future__ import annotations

import builtins
import contextlib
import fcntl
import functools
import os
import re
import signal
import sys
import termios
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from .frames import TERMINAL_MARK
from .import_hook import ImportHook
from .passed_over import follow_subclasses, pass_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from .invoker_pipes import InvokerPipes

# What a debugger does when the code has stopped.
_TALKING = ("user_call", "user_line", "user_return", "user_exception", "interaction", "message")
# The names in prompts of debuggers that ask by one: (Pdb), ((Pdb)), ipdb>.
_NAME = re.compile(r"\b(Pdb|ipdb)\b(?: \d+s)?")
_OUR_MODULES = f"{__package__}.*"
_FORKED = "this is another process, which the code has forked"


class RetryRequested(BaseException):
    """The developer wants the same event to be run by the code as it is saved.

    It leaves the user's code as SystemExit would: what ``except Exception`` catches it is not.
    """


class BorrowedTerminal:
    """The developer's terminal, for as long as somebody talks there.

    ``descriptor`` is a pseudo-terminal; it becomes the one that controls this process, which must
    lead a session. While no invocation runs, breakpoints are passed over; and in processes that the
    code forks, which have neither a line to plldb of their own, nor the keys.
    """

    def __init__(self, pipes: InvokerPipes, descriptor: int) -> None:
        self._pipes = pipes
        self._descriptor = descriptor
        # None between invocations.
        self._deadline: float | None = None
        self._lock = threading.Lock()
        self._borrowers = 0
        self._returned = contextlib.ExitStack()
        self._debuggers: weakref.WeakSet[Any] = weakref.WeakSet()
        self.is_forked = False
        # The debugger that stopped last.
        self.talker: Any = None
        # Whether the developer has asked for it, whatever the user's code makes of that.
        self.wants_retry = False
        os.register_at_fork(after_in_child=self._leave_to_parent)
        os.set_inheritable(descriptor, False)
        fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)
        # As in any program in the foreground, though plldb may have been started to ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # Sent when plldb is gone; the end of the pipe says so, too, and ends this in order.
        signal.signal(signal.SIGHUP, lambda *_: None)

    def lend_to_debuggers(self) -> None:
        """Has all that talk to a terminal borrow it, those that are yet to be imported as well."""
        hook = ImportHook(
            {
                "bdb": self._prepare_bdb,
                "code": lambda module: self._lend(module.InteractiveConsole, "interact"),
                "prompt_toolkit.application.application": self._prepare_prompt_toolkit,
                "prompt_toolkit.output.defaults": lambda module: self._show_terminal(
                    module, "create_output"
                ),
                "IPython.terminal.embed": self._prepare_ipython,
            },
            # It asks for good, when it is imported, whether there is a terminal.
            {"IPython.terminal.interactiveshell": self._use_streams},
        )
        hook.install()
        self._lend(builtins, "input", answer_if_forked=_find_no_input)
        builtins.input = _untraced(builtins.input)

    def begin(self, deadline: float) -> None:
        """An invocation runs from now on, until that time in seconds since the epoch."""
        self._deadline = deadline
        self.wants_retry = False

    def end(self) -> None:
        """No debugger stops after the invocation, nor knows what was typed meanwhile."""
        self._stop_tracing()
        self._deadline = self.talker = None
        _forget_typed_keys()

    def _leave_to_parent(self) -> None:
        """This process was forked by the code: no debugger stops here, nor goes on stepping."""
        self.is_forked = True
        self._stop_tracing()
        self._deadline = None

    def _stop_tracing(self) -> None:
        sys.settrace(None)
        for debugger in self._debuggers:
            # Since Python 3.14, there is another way to trace.
            getattr(debugger, "stop_trace", _do_nothing)()

    @contextlib.contextmanager
    def borrow(self, says_time: bool = False) -> Iterator[None]:
        """``says_time``: the debugger's prompt says how much time is left."""
        with self._lock:
            if not self._borrowers:
                self._take(says_time)
            self._borrowers += 1
        try:
            yield
        finally:
            # What was forked meanwhile has borrowed nothing.
            if not self.is_forked:
                with self._lock:
                    self._borrowers -= 1
                    if not self._borrowers:
                        self._give_back()

    def _take(self, says_time: bool) -> None:
        _flush()
        self._pipes.send("paused", {"saysTime": says_time})
        self._pipes.await_go()
        with contextlib.ExitStack() as stack:
            stack.callback(self._tell_of_return)
            stack.enter_context(self._use_streams())
            self._returned = stack.pop_all()

    def _give_back(self) -> None:
        self._returned.close()

    def _tell_of_return(self) -> None:
        # Nobody has to be waited for at the end.
        if not self._pipes.is_ending:
            os.write(self._descriptor, TERMINAL_MARK)
            self._pipes.await_go()

    @contextlib.contextmanager
    def _use_streams(self) -> Iterator[None]:
        """1, 2 and the standard streams are the terminal meanwhile."""
        _flush()
        saved = [(number, os.dup(number)) for number in (1, 2)]
        try:
            for number, _ in saved:
                os.dup2(self._descriptor, number)
            with _fresh_streams():
                yield
        finally:
            for number, copy in saved:
                os.dup2(copy, number)
                os.close(copy)

    # --- Who talks --------------------------------------------------------------------------------

    def _lend(
        self,
        owner: Any,
        name: str,
        says_time: bool = False,
        answer_if_forked: Callable[[], Any] = lambda: None,
    ) -> None:
        """Replaces a function by one that has the terminal while it runs."""
        function: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(function)
        def talk(*arguments: Any, **options: Any) -> Any:
            if self.is_forked:
                pass_over(name, _find_their_frame(sys._getframe(1)), _FORKED)
                return answer_if_forked()
            if self._pipes.is_ending:
                # A debugger has taken the first one for an error of an expression.
                raise SystemExit(128 + signal.SIGTERM)
            if self._deadline is None:
                return function(*arguments, **options)
            if name == "interaction":
                self.talker = arguments[0]
            usual = sys.stdout
            with self.borrow(says_time), _use_terminal(arguments[:1], usual):
                return function(*arguments, **options)

        setattr(owner, name, talk)

    def _show_terminal(self, owner: Any, name: str) -> None:
        """Replaces a function by one that finds the terminal, but no keys."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def show(*arguments: Any, **options: Any) -> Any:
            with self._use_streams():
                return function(*arguments, **options)

        setattr(owner, name, show)

    def _prepare_prompt_toolkit(self, module: ModuleType) -> None:
        """It chooses how to write when it is made, by what stdout is then."""
        self._show_terminal(module.Application, "__init__")
        self._lend(module.Application, "run")

    def _prepare_ipython(self, embed: ModuleType) -> None:
        shell = embed.InteractiveShellEmbed
        function = shell.__call__

        @functools.wraps(function)
        def call(*arguments: Any, stack_depth: int = 1, **options: Any) -> Any:
            # Two frames more are between the shell and the code whose names it shows.
            return function(*arguments, stack_depth=stack_depth + 2, **options)

        shell.__call__ = call
        self._lend(shell, "__call__")

    def _prepare_bdb(self, bdb: ModuleType) -> None:
        _hide_our_frames(bdb.Bdb, self._debuggers.add)
        follow_subclasses(bdb.Bdb, self._prepare_debugger)

    def _prepare_debugger(self, debugger: Any) -> None:
        """A class that is, or is made of, ``bdb.Bdb``."""
        if "set_trace" in debugger.__dict__:
            debugger.set_trace = self._pass_over_between_invocations(debugger.set_trace)
        if (debugger.__module__, debugger.__name__) == ("pdb", "Pdb"):
            debugger.prompt = property(self._make_prompt, _set_prompt)
            debugger.do_retry = debugger.do_restart = debugger.do_run = self._make_retry()
        if hasattr(debugger, "interaction"):
            if "__init__" in debugger.__dict__:
                # Since Python 3.14, pdb chooses then whether to write in colours.
                self._show_terminal(debugger, "__init__")
            for name in _TALKING:
                if name in debugger.__dict__:
                    self._lend(debugger, name, says_time=hasattr(debugger, "prompt"))

    def _pass_over_between_invocations(self, set_trace: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(set_trace)
        def stop(debugger: Any, frame: Any = None, *arguments: Any, **options: Any) -> Any:
            frame = frame or sys._getframe(1)
            if self._deadline is None:
                why = _FORKED if self.is_forked else "no invocation runs"
                return pass_over("a debugger", frame, why)
            return set_trace(debugger, frame, *arguments, **options)

        return stop

    def _make_retry(self) -> Callable[[Any, str], None]:
        def do_retry(debugger: Any, _: str) -> None:
            """retry

            Read the saved code again and run the same event, from the beginning, with
            the time that is left. The caller gets the answer of the last run.
            """
            if threading.current_thread() is not threading.main_thread():
                debugger.error("retry is for the thread that the handler runs in.")
                return
            self.wants_retry = True
            raise RetryRequested

        return do_retry

    def _make_prompt(self, debugger: Any) -> str:
        """With the seconds that are left to answer."""
        prompt: str = debugger.__dict__.get("_plldb_prompt", "(Pdb) ")
        if self._deadline is None:
            return prompt
        left = max(0, int(self._deadline - time.time()))
        return _NAME.sub(lambda name: f"{name[1]} {left}s", prompt)


def _set_prompt(debugger: Any, prompt: str) -> None:
    debugger.__dict__["_plldb_prompt"] = _NAME.sub(r"\1", prompt)


def _do_nothing() -> None:
    pass


def _find_no_input() -> str:
    raise EOFError("the terminal is for the process that was invoked")


def _untraced(function: Callable[..., Any]) -> Callable[..., Any]:
    """A debugger that steps into it does not see how it borrows the terminal."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        trace = sys.gettrace()
        sys.settrace(None)
        try:
            return function(*arguments, **options)
        finally:
            sys.settrace(trace)

    return call


def _hide_our_frames(base: Any, on_debugger: Callable[[Any], None]) -> None:
    """Debuggers, which it is called with, neither stop in the runtime nor show it."""
    initialize, get_stack = base.__init__, base.get_stack

    @functools.wraps(initialize)
    def initialize_and_skip(debugger: Any, *arguments: Any, **options: Any) -> None:
        initialize(debugger, *arguments, **options)
        debugger.skip = {*(debugger.skip or ()), "__main__", _OUR_MODULES}
        on_debugger(debugger)

    @functools.wraps(get_stack)
    def get_their_stack(debugger: Any, *arguments: Any, **options: Any) -> Any:
        stack, index = get_stack(debugger, *arguments, **options)
        hidden = 0
        while hidden < len(stack) - 1 and _is_hidden(stack[hidden][0]):
            hidden += 1
        return stack[hidden:], max(0, index - hidden)

    base.__init__, base.get_stack = initialize_and_skip, get_their_stack


def _is_hidden(frame: Any) -> bool:
    name = str(frame.f_globals.get("__name__"))
    return name == "__main__" or name.startswith(_OUR_MODULES[:-1])


def _find_their_frame(frame: Any) -> Any:
    while _is_hidden(frame) and frame.f_back is not None:
        frame = frame.f_back
    return frame


@contextlib.contextmanager
def _fresh_streams() -> Iterator[None]:
    """The standard streams are the terminal, whatever the user's code made of them.

    Only of descriptors 0 and 1 does ``input()`` edit lines.
    """
    streams = sys.stdin, sys.stdout, sys.stderr
    try:
        sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
        sys.stdout, sys.stderr = (
            open(number, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
            for number in (1, 2)
        )
        yield
    finally:
        _flush()
        sys.stdin, sys.stdout, sys.stderr = streams


@contextlib.contextmanager
def _use_terminal(talkers: tuple[Any, ...], usual: Any) -> Iterator[None]:
    """A debugger that was made to write to the usual stdout writes to the terminal meanwhile."""
    changed = [one for one in talkers if getattr(one, "stdout", None) is usual]
    for one in changed:
        one.stdout = sys.stdout
    try:
        yield
    finally:
        for one in changed:
            one.stdout = usual


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # whatever the user's code made of it
            stream.flush()


def _forget_typed_keys() -> None:
    """Those that prompt_toolkit has read and not used: they were for another invocation."""
    typeahead = sys.modules.get("prompt_toolkit.input.typeahead")
    getattr(typeahead, "_buffer", {}).clear()
