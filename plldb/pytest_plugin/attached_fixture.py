"""``plldb_attached``: local code answers for a stack's functions, and tests see it do so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

from plldb.pytest_plugin.background_attachment import AttachChoices, BackgroundAttachment
from plldb.pytest_plugin.explained import explained
from plldb.pytest_plugin.seen_invocations import PlldbInvocation, Wanted, make_invocation
from plldb.pytest_plugin.session_watch import SessionWatch
from plldb.pytest_plugin.stack_fixture import PlldbStack
from plldb.replay.history import Invocation

WAIT_SECONDS = 30.0


def _any(_: PlldbInvocation) -> bool:
    return True


class PlldbAttached:
    """A stack that is attached to, from the moment on at which a test asked for it."""

    def __init__(self, stack: PlldbStack, watch: SessionWatch, detach: Callable[[], None]) -> None:
        self.stack = stack
        self._watch = watch
        self._detach = detach
        self._before = frozenset(one.id for one in watch.history.list_all())
        # What was made of them, by id, and at which revision.
        self._made: dict[str, tuple[int, PlldbInvocation]] = {}

    def __repr__(self) -> str:
        return f"<PlldbAttached to {self.stack.name}>"

    @property
    def invocations(self) -> list[PlldbInvocation]:
        """Those that have come since then, in the order of their arrival, as they are now."""
        seen = (one for one in self._watch.history.list_all() if one.id not in self._before)
        return [self._make(one) for one in seen]

    def _make(self, entry: Invocation) -> PlldbInvocation:
        revision, made = self._made.get(entry.id, (-1, None))
        if made is None or revision != entry.revision:
            # With its output; it may have come further, or be forgotten by now.
            kept = self._watch.history.get(entry.id) or entry
            revision, made = kept.revision, make_invocation(kept)
            self._made[entry.id] = revision, made
        return made

    @property
    def skipped(self) -> Mapping[str, str]:
        """The functions whose invocations do not come here, with the reasons."""
        return MappingProxyType(dict(self._watch.skipped))

    def wait_for_invocation(
        self,
        function: str | None = None,
        *,
        where: Callable[[PlldbInvocation], bool] = _any,
        seconds: float = WAIT_SECONDS,
    ) -> PlldbInvocation:
        """The first one that has finished; of a ``function``, if one is named, and one for which
        ``where`` is true.

        Raises AssertionError if there is none within so many seconds, or if the function does not
        run here; KeyError if the stack has no such function.
        """
        __tracebackhide__ = True
        return self.wait_for_invocations(1, function, where=where, seconds=seconds)[0]

    def wait_for_invocations(
        self,
        count: int,
        function: str | None = None,
        *,
        where: Callable[[PlldbInvocation], bool] = _any,
        seconds: float = WAIT_SECONDS,
    ) -> list[PlldbInvocation]:
        """The first ``count`` of them, in the order of their arrival. Raises as the other."""
        __tracebackhide__ = True
        if function is not None:
            _ = self.stack.functions[function]
        wanted = Wanted(count, function, where)

        def is_settled() -> bool:
            __tracebackhide__ = True
            is_enough = len(wanted.choose(self.invocations)) >= count
            return is_enough or function in self._watch.skipped

        with explained():
            self._watch.wait_for(is_settled, seconds)
        seen = self.invocations
        chosen = wanted.choose(seen)[:count]
        if len(chosen) < count:
            raise AssertionError(wanted.explain_lack(seen, self.skipped, seconds))
        return chosen

    def wait_until_idle(self, seconds: float = WAIT_SECONDS) -> None:
        """Until none is under way. Raises AssertionError if one still is after so many seconds."""
        __tracebackhide__ = True
        with explained():
            self._watch.wait_for(lambda: not self._list_under_way(), seconds)
        if left := self._list_under_way():
            raise AssertionError(f"After {seconds:g} s: {', '.join(map(str, left))}")

    def _list_under_way(self) -> list[PlldbInvocation]:
        return [one for one in self.invocations if not one.is_finished]

    def detach(self) -> None:
        """Gives the functions back now, and not after the last test: the deployed code answers."""
        __tracebackhide__ = True
        with explained():
            if not self._watch.has_ended:
                self._detach()


class AttachTo:
    """``plldb_attached``: call it with a stack. A stack is attached to once for all tests that ask
    for it with the same options; all are detached after the last test.

    ``folder`` is for what has to be written for that.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # By stack.
        self._attached: dict[str, tuple[AttachChoices, BackgroundAttachment]] = {}

    def __call__(
        self,
        stack: PlldbStack,
        *,
        functions: Iterable[str] = (),
        env: Mapping[str, str] = MappingProxyType({}),
        python: str | None = None,
        as_function: bool | None = None,
    ) -> PlldbAttached:
        """``functions`` are names or patterns of those whose invocations come here, all by default;
        ``env`` are variables of the code, by names such as "TABLE", or "Greeter:TABLE" for one
        function. ``python`` is the interpreter, by default that of the project. With
        ``as_function`` the code has the rights of its function's role, else all that there are.
        """
        __tracebackhide__ = True
        chosen = (functions,) if isinstance(functions, str) else tuple(functions)
        variables = tuple(f"{name}={value}" for name, value in env.items())
        choices = AttachChoices(chosen, variables, python, as_function)
        with explained():
            attachment = self._find_or_start(stack, choices)
        return PlldbAttached(stack, attachment.watch, attachment.end)

    def list_watches(self) -> list[SessionWatch]:
        """One for each stack."""
        return [attachment.watch for _, attachment in self._attached.values()]

    def detach_all(self) -> None:
        """Raises the first error, once all have ended."""
        with ExitStack() as ending:
            for _, attachment in self._attached.values():
                if not attachment.watch.has_ended:
                    ending.callback(attachment.end)
            self._attached.clear()

    def _find_or_start(self, stack: PlldbStack, choices: AttachChoices) -> BackgroundAttachment:
        known = self._attached.get(stack.name)
        if known is not None and not known[1].watch.has_ended:
            if known[0] == choices:
                return known[1]
            known[1].end()
        attachment = BackgroundAttachment(stack, choices, self._folder / stack.name)
        attachment.start()
        self._attached[stack.name] = choices, attachment
        return attachment
