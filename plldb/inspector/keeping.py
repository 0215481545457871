"""An invocation as a file: a recording for ``plldb replay``, or a test that pytest collects."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from plldb.errors import ReplayError
from plldb.files import replace_file
from plldb.replay.history import Invocation
from plldb.replay.masks import Masks
from plldb.replay.recorder import explain, make_recording, mask_recording, name_file
from plldb.replay.recording import EXPECTATIONS, SUFFIX, render

KINDS = ("recording", "test")
_RECORDINGS = Path("recordings")
# Where tests are by custom, if pytest is not told: the first one that is there.
_TEST_FOLDERS = ("tests", "test")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Keeping:
    """``project`` is the folder that the session was started in, ``recordings`` the one for these,
    None for that of custom.
    """

    project: Path
    masks: Masks
    recordings: Path | None = None

    def keep(
        self, invocation: Invocation, kind: str, name: str = "", expect: str = "answer"
    ) -> Path:
        """Writes it, without its secrets, and returns where; see ``verdict`` for ``expect``.

        ``name`` is that of the file, without its suffix; by default it says function, time and
        request id. Raises ReplayError if there is nothing to write, or if it can't be written.
        """
        if kind not in KINDS or expect not in EXPECTATIONS:
            raise ReplayError(f"There is no {kind} that expects: {expect}.", "Reload the page.")
        started, finished = invocation.started, invocation.finished
        if started is None or finished is None:
            raise ReplayError(
                "Its event or its end is not here.", "Keep one that has ended, and not long ago."
            )
        path = self._find_folder(kind) / (
            _check_name(name)
            if name
            else name_file(started.function, started.arrived, started.request_id)
        )
        if name and path.exists():
            raise ReplayError(f"There is a {path.name} already.", "Choose another name.")
        try:
            recording = make_recording(started, finished, self.project, invocation.stack)
            recording = replace(mask_recording(recording, self.masks), expect=expect)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, render(recording.to_document()), 0o600)
        except OSError as error:
            raise ReplayError(
                f"{path} can't be written: {error.strerror}.", "See who may write there."
            ) from None
        except (ValueError, RecursionError) as error:
            raise ReplayError(
                f"It can't be recorded: {explain(error)}.", "Python can't read its JSON."
            ) from None
        return path

    def _find_folder(self, kind: str) -> Path:
        if kind == "recording":
            return self.recordings or self.project / _RECORDINGS
        return find_test_folder(self.project) / _RECORDINGS


def find_test_folder(project: Path) -> Path:
    """Where pytest looks for tests: by its setting ``testpaths``, or by custom."""
    for name in (*_read_test_paths(project / "pyproject.toml"), *_TEST_FOLDERS):
        if (project / name).is_dir():
            return project / name
    return project / _TEST_FOLDERS[0]


def _read_test_paths(path: Path) -> list[str]:
    """https://docs.pytest.org/en/stable/reference/customize.html; none if nobody says so there."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        told = document["tool"]["pytest"]["ini_options"]["testpaths"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if isinstance(told, str):
        return told.split()
    return [one for one in told if isinstance(one, str)] if isinstance(told, list) else []


def _check_name(name: str) -> str:
    name = name.removesuffix(SUFFIX)
    if not _NAME.fullmatch(name):
        raise ReplayError(
            f"{name[:100]} can't be the name of a file here.",
            "Take letters, digits, dots, hyphens and underscores, 100 at most.",
        )
    return f"{name}{SUFFIX}"
