"""What pytest shows of a test that fails: what ran here meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator

import pytest

from plldb.pytest_plugin.seen_invocations import make_invocation
from plldb.pytest_plugin.session_watch import SessionWatch

# Of a test that has had thousands of them, the last ones tell enough.
_SHOWN_INVOCATIONS = 20


class InvocationSections:
    """A plugin of pytest, for as long as sessions go on: it puts into the report of a test that
    fails which invocations came here meanwhile, with their output.
    """

    def __init__(self, list_watches: Callable[[], Iterable[SessionWatch]]) -> None:
        self._list_watches = list_watches
        # What is older was there before the test.
        self._revisions: dict[SessionWatch, int] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self._revisions = {watch: watch.history.revision for watch in self._list_watches()}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed:
            for watch in self._list_watches():
                lines = [*_describe(watch, self._revisions.get(watch, 0))]
                if lines:
                    title = f"plldb: stack {watch.stack_name} ({report.when})"
                    report.sections.append((title, "\n".join(lines)))
        return report


def _describe(watch: SessionWatch, since: int) -> Iterator[str]:
    """What a handler raised is in its output, as Lambda logs it."""
    entries = watch.history.list_all(since)[-_SHOWN_INVOCATIONS:]
    for entry in entries:
        # With its output; by now, it may be forgotten.
        one = make_invocation(watch.history.get(entry.id) or entry)
        yield one.describe()
        yield from (f"  | {line}" for line in one.output)
    for name in sorted({entry.function for entry in entries} & watch.skipped.keys()):
        yield f"{name} does not run here: {watch.skipped[name]}"
    if watch.error is not None:
        yield str(watch.error)
