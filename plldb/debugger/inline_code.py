"""Code that stands in a template, as a file that can be edited.

It lies beside the template, in ``.plldb/inline/STACK/FUNCTION/index.py``, with a copy of what the
template said when it was written. So it is known which of the two was edited since then. A file
that the developer has edited is never overwritten::

    the file        the template      the file then
    as written      as it was         stays
    as written      edited            has the template's new text
    edited          as it was         stays, and a note says that it differs
    edited          edited            stays, and the template's text lies beside it, index.py.new
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from plldb.debugger.sources.project import CodeSource
from plldb.errors import SourceError
from plldb.files import replace_file

# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-lambda-function-code.html
_NAME = "index.py"
_COPY = ".index.py.template"
_NEW = f"{_NAME}.new"
_FOLDER = ".plldb"


def write_inline_code(source: CodeSource) -> CodeSource:
    """The function with its code in a file, if that stands in the template; else as it is.

    Raises SourceError if it can't be written.
    """
    if source.inline is None:
        return source
    file = source.code_dir / _NAME
    try:
        note = _write(source.code_dir, source.inline)
    except OSError as error:
        raise SourceError(
            f"Code that stands in the template can't be written to {file}: {error.strerror}.",
            "Name a folder with that code: --code FUNCTION=DIR",
        ) from None
    return replace(source, note=" ".join(filter(None, (source.note, note))))


def _write(folder: Path, text: str) -> str:
    """What the developer should know of it; nothing if the file is as the template has it."""
    folder.mkdir(parents=True, exist_ok=True)
    _keep_out_of_git(folder)
    file, copy, new = (folder / name for name in (_NAME, _COPY, _NEW))
    here, written = _read(file), _read(copy)
    if here is None or here == written or here == text:
        if here != text:
            _put(file, text)
        if written != text:
            _put(copy, text)
        new.unlink(missing_ok=True)
        return ""
    if written == text:
        return f"its code was edited in {file}, and differs from what the template has"
    _put(new, text)
    return (
        f"its code was edited in {file}, and in the template as well, whose text is in {new}. "
        "The former runs; delete it to have the latter"
    )


def _read(path: Path) -> str | None:
    try:
        # As it stands there, with its line ends.
        return path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None


def _put(path: Path, text: str) -> None:
    replace_file(path, text.encode(), mode=0o644)


def _keep_out_of_git(folder: Path) -> None:
    """It is a working copy of what stands in the template."""
    top = next(parent for parent in folder.parents if parent.name == _FOLDER)
    ignore = top / ".gitignore"
    if not ignore.exists():
        _put(ignore, "*\n")
