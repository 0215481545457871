"""What a developer can do about an import that failed."""

from __future__ import annotations

import contextlib
import importlib.util
import platform
import sys


def suggest_remedy(error: BaseException | None, code_dir: str, runtime: str) -> str:
    """Names the interpreter, the folder and what to do; empty if an import is not what failed.

    ``runtime`` is Lambda's name of the function's runtime, or empty. A syntax error is one of the
    interpreter's only if that is another Python than the function's.
    """
    version = platform.python_version()
    is_other = bool(runtime) and runtime != "python{}.{}".format(*sys.version_info[:2])
    if not isinstance(error, ImportError) and not (isinstance(error, SyntaxError) and is_other):
        return ""
    where = f"{sys.executable} is Python {version}"
    if is_other:
        where += f" (the function's runtime is {runtime})"
    return f"{where}, and the code is in {code_dir}. {_say_what_to_do(error)}"


def _say_what_to_do(error: ImportError | SyntaxError) -> str:
    if isinstance(error, SyntaxError):
        return "Name the interpreter of your project with --python PATH."
    what = ""
    if isinstance(error, ModuleNotFoundError) and error.name:
        package, _, rest = error.name.partition(".")
        place = _find_place(package)
        if not place:
            return (
                f"If {package} is a package, install it ({sys.executable} -m pip install …), or "
                "name the interpreter of your project with --python PATH. If it is a module of "
                "yours, it belongs into that folder or a layer."
            )
        what = f"{package} is {place}, and has no {rest}. " if rest else ""
    return (
        f"{what}If that is a package that is installed, it may be too old, or made for another "
        "Python: name the interpreter of your project with --python PATH."
    )


def _find_place(package: str) -> str:
    """The file or the folder that an import of it comes to, or the name of what has none; empty if
    nothing is found.
    """
    with contextlib.suppress(Exception):  # finders of the user's code; a module without a spec
        spec = importlib.util.find_spec(package)
        if spec is not None:
            return str(spec.origin or next(iter(spec.submodule_search_locations or ()), package))
    return package if package in sys.modules else ""
