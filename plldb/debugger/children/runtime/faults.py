"""Errors in Lambda's own words, and stack traces as Lambda has them."""

from __future__ import annotations

import importlib
import os
import pathlib
import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import types
    from collections.abc import Callable

# Where Lambda has a function's code.
_TASK_ROOT = "/var/task"
_OUR_FOLDER = str(pathlib.Path(__file__).parent) + os.sep


class Fault(Exception):  # noqa: N818
    """An error that Lambda reports in its own words.

    ``trace`` is its stack trace; ``trace_here`` has the paths of this machine.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        trace: list[str] | None = None,
        trace_here: list[str] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.trace = trace or []
        self.trace_here = trace_here or self.trace


class TraceFormatter:
    """Formats stack traces without our own frames, with files where Lambda has them."""

    def __init__(self, code_dir: str) -> None:
        self._folders = {_without_slash(code_dir): _TASK_ROOT}
        self._folders.update(dict.fromkeys(_list_package_folders(), _TASK_ROOT))
        self._folders.update(_map_standard_library())
        for folder in list(self._folders):
            self._folders.setdefault(os.path.realpath(folder), self._folders[folder])

    def format(self, trace: types.TracebackType | None) -> list[str]:
        """One string a frame, as awslambdaric has them: file, line, function and source line."""
        return self._format(trace, self.lambda_path)

    def format_here(self, trace: types.TracebackType | None) -> list[str]:
        """The same with the paths of this machine."""
        return self._format(trace, str)

    def _format(self, trace: types.TracebackType | None, path: Callable[[str], str]) -> list[str]:
        entries = [
            (path(entry.filename), entry.lineno, entry.name, entry.line)
            for entry in _skip_bootstraps(traceback.extract_tb(trace))
        ]
        return traceback.format_list(entries)  # type: ignore[arg-type]

    def lambda_path(self, filename: str) -> str:
        """Where the file would be on Lambda; any other stays as it is."""
        folder = filename
        while folder != os.path.dirname(folder):  # noqa: PTH120
            folder = os.path.dirname(folder)  # noqa: PTH120
            if folder in self._folders:
                return self._folders[folder] + filename[len(folder) :]
        return filename


def _without_slash(folder: str) -> str:
    return folder.rstrip(os.sep) or os.sep


def _list_package_folders() -> list[str]:
    """Lambda has a function's packages beside its code."""
    return [folder for folder in sys.path if os.path.basename(folder) == "site-packages"]  # noqa: PTH119


def _map_standard_library() -> dict[str, str]:
    version = "python{}.{}".format(*sys.version_info[:2])
    return {os.path.dirname(os.__file__): f"/var/lang/lib/{version}"}  # noqa: PTH120


def _skip_bootstraps(summary: traceback.StackSummary) -> list[traceback.FrameSummary]:
    """awslambdaric leaves out its own frames at the beginning by the name of its file.

    So it does with files of the user that have the same name. Of ours there is none anywhere.
    """
    entries = [entry for entry in summary if not is_ours(entry.filename)]
    for number, entry in enumerate(entries):
        if "/bootstrap.py" not in entry.filename:
            return entries[number:]
    return entries


def skip_ours(trace: types.TracebackType | None) -> types.TracebackType | None:
    """The rest of a traceback from the first frame on that is not the runtime's."""
    while trace is not None and is_ours(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


def skip_to_user_code(trace: types.TracebackType | None) -> types.TracebackType | None:
    """The rest of a traceback from the first frame on that neither we nor ``import`` have."""
    while trace is not None and _is_before_user_code(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


def explain(error: BaseException) -> str:
    """All that Python itself would print of an error: its causes, its notes, the errors in it.

    The trace begins with the user's code.
    """
    trace = skip_to_user_code(error.__traceback__)
    return "".join(traceback.format_exception(type(error), error, trace))


def has_more_to_say(error: BaseException) -> bool:
    """Whether Python would print more of it than type, message and trace."""
    has_context = error.__context__ is not None and not error.__suppress_context__
    is_group = isinstance(getattr(error, "exceptions", None), tuple)
    return bool(
        error.__cause__ is not None or has_context or getattr(error, "__notes__", None) or is_group
    )


def _is_before_user_code(filename: str) -> bool:
    is_importing = filename.startswith("<frozen importlib") or filename == importlib.__file__
    return is_importing or is_ours(filename)


def is_ours(filename: str) -> bool:
    return filename.startswith(_OUR_FOLDER)
