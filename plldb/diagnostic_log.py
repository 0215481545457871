"""The log of a run on the developer's machine: what a maintainer needs to find out what happened.

Modules log in the same way everywhere::

    logger = logging.getLogger(__name__)
    logger.info("session %s is open for stack %s", session_id, stack_name)

- ``info`` is for what a user wants to see with ``-v``: where calls go, sessions, invocations.
- ``debug`` is for what a maintainer needs: single calls with status and duration, retries, changes
  of state, decisions and their reasons.
- Nothing that the user has to know is only logged: it is an event or an error, which the console
  shows. Without ``-v``, nothing below ``ERROR`` is on the screen.
- Values are arguments of the call (``%s``), so that nothing is formatted for nobody.
- Events, answers, variables' values and credentials are never logged. ``RedactingFilter`` cuts
  credentials that get into a record all the same, by their names and shapes; other secrets have
  none. Ids of sessions may be handed over whole: the filter shortens them.

The command line decides where records go: to stderr, and for ``plldb attach`` also to a file.
Of other packages only warnings and errors get there. The debug log of botocore, for one, holds
headers and credentials.
"""

from __future__ import annotations

import logging
import os
import re
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

FORMAT = "%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s: %(message)s"

_OURS = "plldb"
_KEPT_RUNS = 5
_MAX_BYTES = 5_000_000
# By how often -v was given.
_SCREEN_LEVELS = (logging.ERROR, logging.INFO, logging.DEBUG)


# --- What is cut ----------------------------------------------------------------------------------

_CUT = "…"
_ID = re.compile("([0-9a-f]{8})(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# What stands between a name and its value in a URL, a header, JSON, or the text of a mapping.
_IS = r"""["']?\s*(?:=|:|%3D|%3A)\s*["']?"""
_VALUE = r"""[^\s"'&,;)}\]]"""
# Also within longer ones, as in X-Amz-Security-Token.
_NAMES = "token|signature|secret|password|authorization|access[_-]?key"
_REDACTIONS = (
    (
        re.compile(rf"((?:{_NAMES})[\w-]{{0,40}}{_IS}(?:bearer\s+)?){_VALUE}+", re.I),
        rf"\1{_CUT}",
    ),
    (re.compile(rf"(bearer\s+){_VALUE}+", re.I), rf"\1{_CUT}"),
    (re.compile(rf"(session[_-]?id{_IS}{_VALUE}{{8}}){_VALUE}+", re.I), rf"\1{_CUT}"),
    # Ids of access keys: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    (re.compile("(A[KS]IA|ABIA|ACCA)[A-Z0-9]{12,}"), rf"\1{_CUT}"),
    # Secret access keys are 40 characters; hashes in hexadecimal have no capital letters.
    (
        re.compile(
            r"(?<![\w/+])(?=[a-z\d/+]*[A-Z])(?=[A-Z\d/+]*[a-z])[A-Za-z\d/+]{40}(?![\w/+=])",
        ),
        _CUT,
    ),
    # Session tokens of STS are hundreds of characters.
    (re.compile("[A-Za-z0-9+/=%]{100,}"), _CUT),
    # The user and the password of a URL.
    (re.compile(r"(://)[^/\s@]+@"), rf"\1{_CUT}@"),
)


def shorten_ids(text: str) -> str:
    """The text with the first 8 characters of each UUID in it: ids of sessions are credentials."""
    return _ID.sub(r"\1", text)


def redact(text: str) -> str:
    """The text without credentials: ids of sessions, tokens, signatures, keys of AWS."""
    text = shorten_ids(text)
    for pattern, replacement in _REDACTIONS:
        text = pattern.sub(replacement, text)
    return text


class RedactingFilter(logging.Filter):
    """Takes out of every record what must not be in a log; ``logging_to`` has each handler use it.

    Of an exception, the stack and the types stay: a message may quote what the exception is about,
    such as an event.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not _is_ours(record) and record.levelno < logging.WARNING:
            return False
        record.msg, record.args = _make_printable(redact(_format_message(record))), ()
        if record.exc_info:
            record.exc_text = redact(_outline(record.exc_info[1]))
            record.exc_info = None
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == _OURS


def _format_message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        # Its arguments don't fit. A log never ends what it is about.
        return str(record.msg)


def _make_printable(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _outline(error: BaseException | None) -> str:
    """Where an exception was raised, and below it, where those that led to it were."""
    lines: list[str] = []
    seen: list[BaseException] = []
    queue = [error]
    while queue:
        one = queue.pop(0)
        if one is None or any(one is other for other in seen):
            continue
        seen.append(one)
        lines += [f"{type(one).__qualname__}, raised here:\n"]
        lines += traceback.format_tb(one.__traceback__)
        if isinstance(one, BaseExceptionGroup):
            queue += one.exceptions
        queue.append(one.__cause__ or (None if one.__suppress_context__ else one.__context__))
    return "".join(lines).rstrip()


# --- Where it goes --------------------------------------------------------------------------------


def choose_screen_level(verbosity: int) -> int:
    """The level from which on records are shown; ``verbosity`` is how often ``-v`` was given."""
    return _SCREEN_LEVELS[min(verbosity, len(_SCREEN_LEVELS) - 1)]


@contextmanager
def logging_to(handler: logging.Handler, level: int) -> Iterator[None]:
    """Meanwhile, records from ``level`` on go to the handler, redacted. Closes it at the end."""
    root = logging.getLogger()
    handler.setLevel(level)
    handler.addFilter(RedactingFilter())
    root.addHandler(handler)
    _log_no_more_than_is_needed()
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
        _log_no_more_than_is_needed()


def _log_no_more_than_is_needed() -> None:
    levels = [
        handler.level
        for handler in logging.getLogger().handlers
        if any(isinstance(one, RedactingFilter) for one in handler.filters)
    ]
    logging.getLogger(_OURS).setLevel(min(levels, default=logging.NOTSET))


@contextmanager
def keeping_log(folder: Path, command: str, max_bytes: int = _MAX_BYTES) -> Iterator[Path]:
    """Meanwhile, all that is logged goes to a new file in ``folder`` as well, whose path is given.

    The files of the last runs of ``command`` are kept; of a long run, its end: one or two files of
    ``max_bytes``. Nobody but the user can read them. Raises OSError if there can't be such a file.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    path = folder / f"{command}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    _delete_old_logs(folder, command)
    handler = _PrivateFile(path, maxBytes=max_bytes, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter(FORMAT, "%Y-%m-%d %H:%M:%S"))
    with logging_to(handler, logging.DEBUG):
        yield path


def find_kept_log() -> Path | None:
    """The file to which this run's log goes, if there is one."""
    files = (one for one in logging.getLogger().handlers if isinstance(one, _PrivateFile))
    return next((Path(one.baseFilename) for one in files), None)


class _PrivateFile(RotatingFileHandler):
    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        descriptor = os.open(self.baseFilename, flags, mode=0o600)
        return os.fdopen(descriptor, "a", encoding=self.encoding, errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """A disk that is full is no reason to fill the screen as well."""


def _delete_old_logs(folder: Path, command: str) -> None:
    """Leaves room for one more. They are sorted by their names, which have the time in them."""
    runs = sorted({path.name.partition(".")[0] for path in folder.glob(f"{command}-*.log*")})
    for run in runs[: 1 - _KEPT_RUNS]:
        for path in folder.glob(f"{run}.log*"):
            path.unlink(missing_ok=True)
