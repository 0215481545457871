"""Code that the project has no file of: it stands in a template, or in a package alone.

The former lies beside the template, in ``.plldb/inline/STACK/FUNCTION/index.py``, with a copy of
what the template said when it was written. So it is known which of the two was edited since then. A
file that the developer has edited is never overwritten::

    the file        the template      the file then
    as written      as it was         stays
    as written      edited            has the template's new text
    edited          as it was         stays, and a note says that it differs
    edited          edited            stays, and the template's text lies beside it, index.py.new
"""

from __future__ import annotations

from pathlib import Path

from plldb.debugger import cfnresponse
from plldb.debugger.sources.package_origin import Package
from plldb.debugger.sources.project import CodeSource
from plldb.errors import SourceError
from plldb.files import replace_file

# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-lambda-function-code.html
_NAME = "index.py"
_COPY = ".index.py.template"
_NEW = f"{_NAME}.new"
_FOLDER = ".plldb"
# The module that Lambda has beside such code.
_RESPONSES = "cfnresponse"


def write_inline_code(source: CodeSource) -> str:
    """Writes the code of a function to a file, if it stands in the template.

    Gives what the developer should know of it, in words that follow the function's name; nothing if
    there is nothing new. Raises SourceError if it can't be written.
    """
    if source.inline is None:
        return ""
    try:
        return _write(source.code_dir, source.inline)
    except OSError as error:
        raise SourceError(
            f"Code that stands in the template can't be written to {source.code_dir / _NAME}: "
            f"{error.strerror}.",
            "Name a folder with that code: --code FUNCTION=DIR",
        ) from None


def write_generated_files(source: CodeSource) -> None:
    """Writes what a tool has put beside the code of a function while it packaged that.

    Raises SourceError if it can't be written.
    """
    generated = source.generated
    if generated is None:
        return
    package = Package(generated.archive)
    try:
        generated.folder.mkdir(parents=True, exist_ok=True)
        _keep_out_of_git(generated.folder)
        for name in generated.names:
            content, path = package.read(name), generated.folder / name
            if not path.is_file() or path.read_bytes() != content:
                replace_file(path, content, mode=0o644)
    except OSError as error:
        raise SourceError(
            f"{', '.join(generated.names)} of {generated.archive} can't be written to "
            f"{generated.folder}: {error.strerror}.",
            "Make room there, or name a folder with that code: --code FUNCTION=DIR",
        ) from None


def _write(folder: Path, text: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    _keep_out_of_git(folder)
    if _RESPONSES in text and not (folder / f"{_RESPONSES}.py").exists():
        _put(folder / f"{_RESPONSES}.py", Path(cfnresponse.__file__).read_text(encoding="utf-8"))
    file, copy, new = (folder / name for name in (_NAME, _COPY, _NEW))
    here, written = _read(file), _read(copy)
    if here in (None, written, text):
        if here != text:
            _put(file, text)
        if written != text:
            _put(copy, text)
        new.unlink(missing_ok=True)
        return "" if here == text else f"its code, which stands in the template, lies in {file} now"
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
    """It is a working copy of what stands in the template, or in a package."""
    top = next(parent for parent in folder.parents if parent.name == _FOLDER)
    ignore = top / ".gitignore"
    if not ignore.exists():
        _put(ignore, "*\n")
