"""An expected error as pytest shows it: in its own words, without a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from plldb.errors import PlldbError

# What starts an emulator, and is no part of a plain plldb.
_OF_THE_EXTRA = frozenset({"docker", "filelock", "psutil", "testcontainers"})


@contextmanager
def explained() -> Iterator[None]:
    """Has a test fail, or a fixture, by what is raised inside; bugs keep their tracebacks."""
    try:
        yield
    except PlldbError as error:
        explanation = error.explanation
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _OF_THE_EXTRA:
            raise
        explanation = (
            f"{error.name} is not installed, which plldb's fixtures need. "
            "Install plldb with its extra 'pytest'."
        )
    else:
        return
    pytest.fail(explanation, pytrace=False)
