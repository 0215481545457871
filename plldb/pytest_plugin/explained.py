"""An expected error as pytest shows it: in its own words.

It loads nothing of the debugger, which tests that use an emulator alone do not need.
"""

from __future__ import annotations

from types import TracebackType

import pytest

from plldb.errors import PlldbError

# What starts an emulator, and is no part of a plain plldb.
_OF_THE_EXTRA = frozenset({"docker", "filelock", "psutil", "testcontainers"})


class explained:  # noqa: N801 (it is called as a function is)
    """Has a test fail, or a fixture, by what is raised inside; bugs keep their tracebacks.

    With ``pytrace``, pytest shows the line of the test that this came from.
    """

    def __init__(self, pytrace: bool = True) -> None:
        self._pytrace = pytrace

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        explanation = _explain(error)
        if explanation is not None:
            raise pytest.fail.Exception(explanation, pytrace=self._pytrace) from None


def _explain(error: BaseException | None) -> str | None:
    """None if it was not to be expected."""
    if isinstance(error, PlldbError):
        return error.explanation
    if isinstance(error, ModuleNotFoundError):
        name = (error.name or "").partition(".")[0]
        if name in _OF_THE_EXTRA:
            return (
                f"{name} is not installed, which plldb's fixtures need. "
                "Install plldb with its extra 'pytest'."
            )
    return None
