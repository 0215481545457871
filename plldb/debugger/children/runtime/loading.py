"""Finds a handler as Lambda does, and makes the next import read saved code."""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import site
import sys
import sysconfig
from typing import TYPE_CHECKING, Any

from .faults import Fault, TraceFormatter
from .module_facts import read_attribute

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Iterator

    Handler = Callable[[Any, Any], Any]

# Modules of the standard library that a handler finds loaded on Lambda, under one Python or
# another: Python itself, awslambdaric and its simplejson use them.
_LOADED_ON_LAMBDA = frozenset(
    [
        *("abc", "codecs", "collections", "contextlib", "copyreg", "decimal", "encodings", "enum"),
        *("functools", "genericpath", "heapq", "importlib", "io", "json", "keyword", "linecache"),
        *("logging", "math", "numbers", "operator", "os", "posixpath", "re", "reprlib"),
        *("site", "sre_compile", "sre_constants", "sre_parse", "stat", "string", "textwrap"),
        *("threading", "token", "tokenize", "traceback", "types", "warnings", "weakref"),
        "zipimport",
    ]
)


def load_handler(name: str, traces: TraceFormatter) -> Handler:
    """The function of ``module.function`` or ``folder/module.function``.

    Raises Fault, or whatever the module raises while it is imported.
    """
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        raise Fault(
            "Runtime.MalformedHandlerName",
            f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)",
        )
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault(
            "Runtime.BuiltInModuleConflict",
            f"Cannot use built-in module {module_name} as a handler module",
        )
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault(
            "Runtime.ImportModuleError",
            f"Unable to import module '{module_name}': {error}",
        ) from error
    except SyntaxError as error:
        files = traces.lambda_path(error.filename or "None"), error.filename
        here = [f'  File "{file}" Line {error.lineno}\n    {error.text}' for file in files]
        raise Fault(
            "Runtime.UserCodeSyntaxError",
            f"Syntax error in module '{module_name}': {error}",
            here[:1],
            here[1:],
        ) from error
    try:
        handler: Handler = getattr(module, function_name)
    except AttributeError:
        raise Fault(
            "Runtime.HandlerNotFound",
            f"Handler '{function_name}' missing on module '{module_name}'",
        ) from None
    return handler


def add_paths(code_dir: str, layers: list[str]) -> None:
    """Makes modules of the function and of its layers found as Lambda's bootstrap does.

    The function's folder comes first, then ``layers``, in their order. Files that end with .pth are
    minded there.
    """
    sys.path[:0] = [code_dir, *layers]
    for folder in (code_dir, *layers):
        site.addsitedir(folder)


def uncover_modules(folders: list[str]) -> None:
    """Makes the next import find those modules in ``folders`` that have the name of one of the
    standard library, where only plldb has loaded that. What has it already keeps it.
    """
    standard = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib")})
    for name, module in list(sys.modules.items()):
        path = read_attribute(module, "__file__")
        if (
            isinstance(path, str)
            and path.startswith(standard)
            and "-packages" not in path
            and not name.startswith("_")
            and name not in _LOADED_ON_LAMBDA
            and "." not in name
            and _is_found_first(name, folders)
        ):
            for other in list(sys.modules):
                if other == name or other.startswith(f"{name}."):
                    del sys.modules[other]


def _is_found_first(name: str, folders: list[str]) -> bool:
    """Whether an import of the name comes to one of the folders; one without a file counts last."""
    for finder in (importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter):
        if finder.find_spec(name) is not None:
            return False
    spec = importlib.machinery.PathFinder.find_spec(name, folders)
    return spec is not None and spec.has_location


def forget_modules(is_watched: Callable[[str], bool]) -> None:
    """Makes the next import read those modules again whose files, or folders, are watched.

    Those of a package with compiled parts stay: such a part can't be loaded twice.
    """
    compiled = {
        name.partition(".")[0]
        for name, module in list(sys.modules.items())
        if str(read_attribute(module, "__file__")).endswith(
            tuple(importlib.machinery.EXTENSION_SUFFIXES)
        )
    }
    for name, module in list(sys.modules.items()):
        is_code = is_watched(_find_path(module))
        if is_code and name.partition(".")[0] not in compiled and name != "__main__":
            del sys.modules[name]
    importlib.invalidate_caches()


def _find_path(module: types.ModuleType) -> str:
    path = read_attribute(module, "__file__")
    if path is None:
        with contextlib.suppress(Exception):
            path = next(iter(read_attribute(module, "__path__")))
    return str(path or "")


class PackageFinder:
    """Finds packages in folders that are not on the path, by the packages' names.

    No other package of those folders can be imported.
    """

    def __init__(self, folders: dict[str, str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if path is not None or name not in self._folders:
            return None
        return self._find(name)

    def _find(self, name: str) -> Any:
        return importlib.machinery.PathFinder.find_spec(name, [self._folders[name]])


class BuiltPackageFinder(PackageFinder):
    """Finds what a build has installed for the function, and what pip says of it.

    What is in the folders ``above`` is found there.
    """

    def __init__(self, folders: dict[str, str], above: list[str]) -> None:
        super().__init__(folders)
        self._above = above

    def _find(self, name: str) -> Any:
        folders = [*self._above, self._folders[name]]
        return importlib.machinery.PathFinder.find_spec(name, folders)

    def find_distributions(self, context: Any = None) -> Iterator[Any]:
        """For importlib.metadata."""
        from importlib.metadata import DistributionFinder

        context = context or DistributionFinder.Context()
        if not self._folders or "path" in vars(context):
            return
        find = importlib.machinery.PathFinder.find_distributions
        built = sorted(set(self._folders.values()))
        for one in find(DistributionFinder.Context(name=context.name, path=built)):
            name = one.metadata["Name"]
            if not any(find(DistributionFinder.Context(name=name, path=self._above))):
                yield one


def add_built_packages(folders: dict[str, str], code_dir: str | None) -> None:
    """Makes what a build has installed for the function found: as a part of its code, whose folder
    is given then; or else after all that is on the path.
    """
    finders = sys.meta_path
    if code_dir is None:
        finders.append(BuiltPackageFinder(folders, sys.path))
    else:
        place = finders.index(importlib.machinery.PathFinder)
        finders.insert(place, BuiltPackageFinder(folders, [code_dir]))
