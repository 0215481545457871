"""Errors in Lambda's own words, and stack traces as Lambda has them."""

from __future__ import annotations

import importlib
import os
import pathlib
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import types

# Where Lambda has a function's code.
_TASK_ROOT = "/var/task"
_OUR_FOLDER = str(pathlib.Path(__file__).parent) + os.sep


class Fault(Exception):  # noqa: N818
    """An error that Lambda reports in its own words; ``trace`` is its stack trace."""

    def __init__(self, kind: str, message: str, trace: list[str] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.trace = trace or []


class TraceFormatter:
    """Formats stack traces without our own frames, with the code folder as Lambda has it."""

    def __init__(self, code_dir: str) -> None:
        self._folders = sorted({code_dir, os.path.realpath(code_dir)}, key=len, reverse=True)

    def format(self, trace: types.TracebackType | None) -> list[str]:
        """One string a frame, as awslambdaric has them: file, line, function and source line."""
        entries = [
            (self.lambda_path(entry.filename), entry.lineno, entry.name, entry.line)
            for entry in traceback.extract_tb(trace)
            if not is_import_machinery(entry.filename)
        ]
        return traceback.format_list(entries)  # type: ignore[arg-type]

    def lambda_path(self, filename: str) -> str:
        """Where the file would be on Lambda; a file outside of the code folder stays as it is."""
        for folder in self._folders:
            if filename == folder or filename.startswith(folder.rstrip("/") + "/"):
                return _TASK_ROOT + filename[len(folder.rstrip("/")) :]
        return filename


def skip_to_user_code(trace: types.TracebackType | None) -> types.TracebackType | None:
    """The rest of a traceback from the first frame on that is the user's."""
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if not is_ours(filename) and not is_import_machinery(filename):
            break
        trace = trace.tb_next
    return trace


def is_ours(filename: str) -> bool:
    return filename.startswith(_OUR_FOLDER)


def is_import_machinery(filename: str) -> bool:
    return filename.startswith("<frozen importlib") or filename == importlib.__file__
