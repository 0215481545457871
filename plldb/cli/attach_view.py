"""What ``plldb attach`` shows: events as they happen, and what runs at the moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Self, cast

from plldb import __version__
from plldb.bootstrap.cloudformation.lambda_functions.shared.ids import shortened
from plldb.cli.invocation_lines import InvocationLines
from plldb.debugger.attachment import (
    AttachEvent,
    Detaching,
    HelperStackDiffers,
    MoveFailed,
    NothingToDebug,
    OfStack,
    Reconnecting,
    SessionCreated,
)
from plldb.debugger.children.invoker import OutputWritten, Progress, RunState
from plldb.debugger.deployed_layers.layer_supply import LayerDownload, LayerRemark
from plldb.debugger.invocation_runner import (
    InterpreterDiffers,
    InvocationFinished,
    InvocationStarted,
    NotPrepared,
    Prepared,
)
from plldb.debugger.protocol import (
    Connected,
    Ended,
    Instrumented,
    JunkArrived,
    MessageArrived,
    Ready,
    Restored,
    Resumed,
    Silent,
    Skipped,
    Taken,
    Warned,
)
from plldb.debugger.redeployment import (
    CodeNotFoundAgain,
    Deploying,
    Redeployed,
    Removed,
    Replaced,
)
from plldb.replay.invocation_document import describe_finish, describe_line, describe_start

if TYPE_CHECKING:
    from plldb.cli.console import Console
    from plldb.errors import PlldbError


class _StackConsole:
    """Says of which of several stacks it is that something is shown."""

    def __init__(self, console: Console, stack_name: str) -> None:
        self._console = console
        self._stack_name = stack_name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._console, name)

    def answer(self, data: dict[str, Any], text: str) -> None:
        named = f"{self._stack_name}: {text}"
        self._console.answer(data | {"stackName": self._stack_name}, named)

    def warn(self, text: str) -> None:
        self._console.warn(f"{self._stack_name}: {text}")


class AttachView:
    """JSON: one event a line. Text: a line an event, above a live list of what runs.

    Not ``is_live`` is for pdb: there is no list, and as long as an invocation is paused, pdb has
    the terminal and lines are kept for later.
    """

    def __init__(self, console: Console, is_live: bool = True) -> None:
        self._console = console
        self._is_live = is_live
        self._under_way: dict[str, Progress] = {}
        self._lines = InvocationLines()
        self._pending: list[Callable[[], None]] = []
        # The invocation whose pause was told last.
        self._introduced: str | None = None
        self._showing = threading.RLock()
        self._is_asking = False
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        if self._is_live:
            self._exit.enter_context(self._console.live(self._running_lines))
        return self

    def __exit__(self, *exception: Any) -> None:
        self._exit.close()
        self._under_way.clear()
        self._lines.clear()
        # A question that nobody answered is over.
        self._is_asking = False
        self._show_pending()

    def _show_progress(self, progress: Progress) -> None:
        """An invocation waits, runs or is paused; for the live list."""
        if progress.state is RunState.FINISHED:
            self._under_way.pop(progress.request_id, None)
        else:
            self._under_way[progress.request_id] = progress
        if not self._is_live:
            self._note_progress(progress)
        self._show_pending()

    def _note_progress(self, progress: Progress) -> None:
        """Where there is no live list. Prompts that say the time are introduced once."""
        what = f"{progress.function}  {shortened(progress.request_id)}"
        if progress.state is RunState.PAUSED:
            if not progress.says_time or self._introduced != progress.request_id:
                left = max(0, progress.deadline - time.time())
                self._console.note(f"▶ {what}  paused  {left:.0f} s left, {progress.waiting} wait")
            self._introduced = progress.request_id
        elif progress.state is RunState.QUEUED and progress.running and not self._is_held:
            self._console.note(f"  {what}  waits for its turn, {progress.waiting} wait")

    def show(self, event: AttachEvent | OfStack) -> None:
        if isinstance(event, OfStack):
            self._say(self._show_of_stack, event)
        elif isinstance(event, Progress):
            self._show_progress(event)
        elif isinstance(event, Detaching):
            # While a prompt is open, too: what runs ends, and with it the prompt.
            self._show(event)
        else:
            self._say(self._show, event)

    def _show_detaching(self, event: Detaching) -> None:
        names = ", ".join(f"{name} {shortened(request_id)}" for name, request_id in event.running)
        ids = [{"function": name, "requestId": request_id} for name, request_id in event.running]
        how = "Press Ctrl-C again to abandon it."
        if self._is_held:
            how = "Ctrl-C is the debugger's now: leave that, and it goes on."
        self._console.answer(
            {"event": "detaching", "running": ids, "seconds": event.seconds},
            f"Detaching once it has ended, in {event.seconds:.0f} s at most: {names}. {how}",
        )

    def show_credentials(self, problem: PlldbError | None) -> None:
        """Why they can't be renewed, or that they could be again. Any thread may call it."""
        self._say(self._show_credentials, problem)

    def ask(self, question: str) -> str:
        """Asks for an MFA code. Any thread may call it; lines for people wait for the answer.

        Raises EOFError if there is nobody to ask, or pdb has the terminal, or gets it meanwhile.
        """
        if self._is_held:
            raise EOFError("a debugger has the terminal now.")
        self._is_asking = not self._console.is_json
        try:
            return self._console.ask_secret(question, lambda: self._is_held)
        finally:
            self._is_asking = False
            self._show_pending()

    def _say(self, write: Callable[..., None], *arguments: Any) -> None:
        self._pending.append(partial(write, *arguments))
        self._show_pending()

    @property
    def _is_held(self) -> bool:
        """Whether pdb has the terminal."""
        running = list(self._under_way.values())
        return not self._is_live and any(one.state is RunState.PAUSED for one in running)

    def _show_pending(self) -> None:
        with self._showing:
            while self._pending and not self._is_held and not self._is_asking:
                self._pending.pop(0)()

    def _show_of_stack(self, event: OfStack) -> None:
        """The same, with the stack's name before each line."""
        named = copy(self)
        named._console = cast("Console", _StackConsole(self._console, event.stack_name))
        named._show(event.event)

    def _show(self, event: AttachEvent) -> None:
        match event:
            case InvocationStarted() | OutputWritten() | InvocationFinished():
                self._show_invocation(event)
            case Prepared():
                self._show_prepared(event)
            case InterpreterDiffers(function, runtime, python):
                self._console.warn(
                    f"{function} has the runtime {runtime}, but {python.path} is Python "
                    f"{python.version_text}; it is no other for further functions of that runtime. "
                    "Choose one with --python PATH."
                )
            case NotPrepared() | CodeNotFoundAgain() | NothingToDebug() | HelperStackDiffers():
                self._console.warn(_explain(event))
            case JunkArrived(preview):
                self._console.warn(f"something arrived that is no message: {preview}")
            case Warned(function, message) | LayerRemark(function, message):
                self._console.warn(f"{function}: {message}")
            case MoveFailed(reason, delay):
                self._console.warn(
                    f"the connection could not be replaced: {reason.rstrip('.')}. "
                    f"Next attempt in {delay:.1f} s."
                )
            case Silent(seconds):
                self._console.warn(
                    f"the helper stack has said nothing for {seconds:.0f} s about the functions "
                    "that are to run here. The log group /plldb/<helper stack> may say why."
                )
            case Ended():
                self._show_end(event)
            case Detaching():
                self._show_detaching(event)
            case _:
                self._show_plain(event)

    def _show_credentials(self, problem: PlldbError | None) -> None:
        if problem is not None:
            reason = problem.message.rstrip(".")
            self._console.warn(f"{reason}. {problem.hint or ''}".strip())
            return
        data = {"event": "credentials.renewed"}
        self._console.answer(data, "The AWS credentials could be renewed again.")

    def _show_plain(self, event: AttachEvent) -> None:
        if isinstance(event, Skipped) and event.is_unchosen and not self._console.is_json:
            return  # whoever has left it out knows
        answer = _render(event)
        if answer is not None:
            self._console.answer(*answer)

    def _show_prepared(self, event: Prepared) -> None:
        """For programs; people get it with -v."""
        if self._console.is_json:
            python = event.interpreter
            self._console.answer(
                {
                    "event": "prepared",
                    "function": event.function,
                    "handler": event.handler,
                    "python": str(python.path),
                    "version": python.version_text,
                    "folder": str(event.folder),
                    "timeoutSeconds": event.timeout,
                },
                "",
            )

    def _show_invocation(
        self, event: InvocationStarted | OutputWritten | InvocationFinished
    ) -> None:
        match event:
            case InvocationStarted():
                self._show_started(event)
            case OutputWritten():
                self._show_output(event)
            case InvocationFinished():
                self._show_finished(event)

    def _show_started(self, event: InvocationStarted) -> None:
        """For programs; people have the list of what runs."""
        if self._console.is_json:
            self._console.answer(_name(event, "started") | describe_start(event), "")
        else:
            self._lines.start(event)

    def _show_output(self, event: OutputWritten) -> None:
        """A line that the user's code wrote."""
        if self._console.is_json:
            self._console.answer(_name(event, "output") | describe_line(event), "")
        else:
            self._console.answer({}, self._lines.write(event))

    def _show_finished(self, event: InvocationFinished) -> None:
        if self._console.is_json:
            self._console.answer(_name(event, "invocation") | describe_finish(event), "")
        else:
            self._console.answer({}, self._lines.finish(event))
        if event.was_paused:
            self._console.warn(
                f"{event.function}: its time was over while it was paused, and its caller has got "
                "an error."
            )

    def _show_end(self, event: Ended) -> None:
        self._console.answer(
            {"event": "closed", "expected": event.expected, "reason": event.reason},
            "Detached." if event.expected else f"Session ended: {event.reason}.",
        )
        if event.expected and not event.confirmed:
            self._console.warn("the server did not confirm; it closes the session by itself.")

    def _running_lines(self) -> list[str]:
        """One line for each invocation under way, with the time left to answer it."""
        return [self._lines.describe(one) for one in list(self._under_way.values())]


def _name(
    event: InvocationStarted | OutputWritten | InvocationFinished, what: str
) -> dict[str, Any]:
    return {"event": what, "function": event.function, "requestId": event.request_id}


def _explain(
    event: NotPrepared | CodeNotFoundAgain | NothingToDebug | HelperStackDiffers,
) -> str:
    """Why code does not run here, or may not."""
    match event:
        case HelperStackDiffers(name, version):
            return (
                f"helper stack {name} is of plldb {version}, and this is {__version__}: run "
                "'plldb bootstrap' with the newer of the two."
            )
        case NotPrepared(function, reason):
            return f"{function} can't be run here, so its deployed code answers: {reason}"
        case CodeNotFoundAgain(reason):
            return f"the stack was deployed again, but its code can't be found again: {reason}"
        case NothingToDebug(reason):
            return f"no function will run here. {reason}"


def _render(event: AttachEvent) -> tuple[dict[str, Any], str] | None:
    """An event as JSON and as text; None for one that is shown to nobody."""
    match event:
        case SessionCreated(session, stack_name):
            return (
                {"event": "session.created", "session": session, "stackName": stack_name},
                f"Session {session}… for stack {stack_name}",
            )
        case Connected():
            return {"event": "connected"}, "Attached. Press Ctrl-C to detach."
        case Ready(instrumented, skipped):
            run = "1 function runs" if instrumented == 1 else f"{instrumented} functions run"
            left_out = f", {skipped} skipped" if skipped else ""
            return (
                {"event": "ready", "instrumented": instrumented, "skipped": skipped},
                f"Ready: {run} here{left_out}.",
            )
        case MessageArrived(message):
            return {"event": "message", "message": message}, f"← {message}"
    return _render_connection(event) or _render_redeployment(event) or _render_function(event)


def _render_connection(event: AttachEvent) -> tuple[dict[str, Any], str] | None:
    match event:
        case Reconnecting(attempt, delay, reason):
            return (
                {"event": "reconnecting", "attempt": attempt, "delay": delay, "reason": reason},
                f"Disconnected: {reason}. Attempt {attempt} in {delay:.1f} s.",
            )
        case Resumed():
            return {"event": "resumed"}, "The session goes on over a new connection."
    return None


def _render_redeployment(event: AttachEvent) -> tuple[dict[str, Any], str] | None:
    match event:
        case Deploying():
            return {"event": "deploying"}, "The stack is being deployed; then it goes on here."
        case Redeployed(functions):
            return (
                {"event": "redeployed", "functions": [*functions]},
                f"Deployed again, and taken again in a moment: {', '.join(functions)}",
            )
        case Replaced(function, name):
            return (
                {"event": "replaced", "function": function, "functionName": name},
                f"  {function} is another function now, {name}, and runs here",
            )
        case Removed(function, reason):
            return (
                {"event": "removed", "function": function, "reason": reason},
                f"  {function} is gone: {reason}",
            )
    return None


def _render_function(event: AttachEvent) -> tuple[dict[str, Any], str] | None:
    match event:
        case Instrumented(function, info, is_again):
            when = "again, as it is deployed now" if is_again else "now"
            aliases = [str(alias) for alias in info.get("aliases", ())]
            also = f", and its alias {', '.join(aliases)}" if aliases else ""
            return (
                {"event": "instrumented", "function": function}
                | ({"aliases": aliases} if aliases else {}),
                f"  {function} runs here {when}{also}",
            )
        case Skipped(function, reason):
            return (
                {"event": "skipped", "function": function, "reason": reason},
                f"  {function} is skipped: {reason}",
            )
        case Taken(function, by):
            return (
                {"event": "taken", "function": function, "by": by},
                f"  {function} was taken over by {by}",
            )
        case LayerDownload(layer, size):
            return (
                {"event": "layer.download", "layer": layer, "bytes": size},
                f"  layer {layer} is being fetched: {size / 1e6:.1f} MB",
            )
        case Restored(function):
            return {"event": "restored", "function": function}, f"  {function} is restored"
    return None
