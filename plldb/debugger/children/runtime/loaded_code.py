"""What this process has loaded: the files that plldb watches, so that saved code is read again.

An audit hook sees each file before it is read, and each import before its module is looked for
(https://docs.python.org/3/library/audit_events.html). So it is known, without a look at any folder
as a whole,

- which files hold code that was loaded, wherever they lie: the function's own, a layer's, those of
  an editable install or of a neighbour in a monorepo, but not those that a handler merely opens,
- which modules were asked for, so that one that was missing, or another one of its name earlier on
  the path, is noticed when it appears,
- which data files of the project were read while modules were imported, unless they are written by
  the same process: what a handler reads later, it reads again by itself.

What the interpreter brings along and what is installed in it is left out; only a package that was
missing is waited for there.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import site
import sys
import sysconfig
import threading
from typing import TYPE_CHECKING, Any

from .file_stamps import list_modules, take_stamp
from .module_facts import read_attribute

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Iterable, Iterator

    from .file_stamps import Stamp
    from .frames import Header

_CODE_SUFFIXES = (".py", ".pyc", ".so", ".pyd", ".zip", ".egg")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT
_IMPORT_MACHINERY = ("<frozen importlib", "<frozen zipimport")
_OUR_FOLDER = os.path.dirname(os.path.abspath(__file__))


class LoadedCode:
    """``ignored`` are folders of packages that nobody edits, beside those of the interpreter."""

    def __init__(self, code_dir: str, layers: Iterable[str], ignored: Iterable[str]) -> None:
        self._packages = _resolve(_list_package_folders())
        self._ignored = _as_prefixes([*_list_standard_folders(), *ignored, _OUR_FOLDER])
        self._ignored += tuple(folder + os.sep for folder in self._packages)
        self._roots = _as_prefixes([code_dir, *layers])
        self._is_importing = False
        self._own_calls = threading.local()
        self._written: set[str] = set()
        self.forget()

    def forget(self) -> None:
        """What is loaded from now on counts."""
        self._files: dict[str, Stamp | None] = {}
        # What a folder had to offer before anything was looked for in it, and what was.
        self._listed: dict[str, list[str]] = {}
        self._names: dict[str, set[str] | None] = {}
        self._top_names: set[str] = set()
        self._path: list[str] = []
        # Those of the path that are watched.
        self._searched: list[str] = []
        self._searched_prefixes: tuple[str, ...] = ()
        self._has_news = True

    def observe(self) -> None:
        """From now on, for as long as this process lives."""

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            # There may be a million events that are none of ours: id(…) is one.
            if event in events:
                self._on_event(event, arguments)

        events = frozenset(_REACTIONS)
        # Python looks for it at each event, and longest where it is missing.
        hook.__cantrace__ = False  # type: ignore[attr-defined]
        sys.addaudithook(hook)

    @contextlib.contextmanager
    def importing(self) -> Iterator[None]:
        """Data files that are read meanwhile count."""
        self._is_importing = True
        try:
            yield
        finally:
            self._is_importing = False

    def is_watched(self, path: str) -> bool:
        return os.path.isabs(path) and not path.startswith(self._ignored)

    def take_news(self) -> Header | None:
        """All that was loaded: None if that was told before."""
        if not self._has_news:
            return None
        self._has_news = False
        with self._without_events():
            for module in list(sys.modules.values()):
                self._add_module(module)
            folders = {
                folder: [sorted(names) if names is not None else None, self._list(folder, names)]
                for folder, names in self._list_wanted()
            }
            missing = self._top_names.difference(sys.modules)
            for folder in self._packages:
                folders[folder] = [sorted(missing), list_modules(folder, missing)]
        return {"files": dict(self._files), "folders": folders}

    def _list_wanted(self) -> list[tuple[str, set[str] | None]]:
        wanted: dict[str, set[str] | None] = dict(self._names)
        for folder in self._searched:
            names = wanted.get(folder, set())
            wanted[folder] = None if names is None else names | self._top_names
        return list(wanted.items())

    def _list(self, folder: str, names: set[str] | None) -> list[str]:
        listed = self._listed.get(folder, [])
        return [
            entry
            for entry in listed
            if names is None or entry.partition("/")[0].partition(".")[0] in names
        ]

    def _add_module(self, module: types.ModuleType) -> None:
        path = read_attribute(module, "__file__")
        if isinstance(path, str) and path not in self._files and self.is_watched(path):
            self._add_file(path)
        if path is None:
            # A package without an __init__ may get one.
            for folder in _list_package_path(module):
                self._want(folder, "__init__")

    # --- Events -----------------------------------------------------------------------------------

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An exception in here would be one of the user's code."""
        if getattr(self._own_calls, "is_going_on", False):
            return
        try:
            with self._without_events():
                _REACTIONS[event](self, *arguments)
        except Exception:  # noqa: BLE001 (whatever was passed to open())
            return

    @contextlib.contextmanager
    def _without_events(self) -> Iterator[None]:
        self._own_calls.is_going_on = True
        try:
            yield
        finally:
            self._own_calls.is_going_on = False

    def _on_open(self, file: Any, _mode: Any, flags: int) -> None:
        if isinstance(file, int):
            return
        path = os.path.abspath(os.fsdecode(file))
        if flags & _WRITES:
            self._on_write(path)
        elif path.endswith(_CODE_SUFFIXES):
            if not self._is_importing and not _is_caller_of_import():
                return
            if path.endswith(".pyc"):
                with contextlib.suppress(ValueError):
                    path = importlib.util.source_from_cache(path)
            if self.is_watched(path):
                self._add_file(path)
        elif self._is_importing and self.is_watched(path) and self._is_of_project(path):
            self._add_file(path)

    def _on_write(self, path: str) -> None:
        """A data file that the code itself writes: its state, and no part of the code."""
        if not path.endswith(_CODE_SUFFIXES) and self._is_of_project(path):
            self._written.add(path)
            if self._files.pop(path, self) is not self:
                self._has_news = True

    def _on_import(self, name: str, file: Any, *_others: Any) -> None:
        self._has_news = True
        if file is not None:  # a compiled module
            path = os.path.abspath(file)
            if self.is_watched(path):
                self._add_file(path)
            return
        parent, dot, child = name.rpartition(".")
        if dot:
            for folder in _list_package_path(sys.modules.get(parent)):
                self._want(folder, child)
            return
        self._top_names.add(name)
        if self._path != sys.path:
            self._path = list(sys.path)
            self._searched = [folder for folder in self._path if self._note(folder)]
            self._searched_prefixes = _as_prefixes(self._searched)

    def _on_list(self, folder: Any = None, *_others: Any) -> None:
        """Code that looks for modules itself, and imports all that it finds."""
        if not self._is_importing:
            return
        path = os.path.abspath(os.fsdecode(folder or "."))
        if not _is_caller_of_import() and self._is_of_project(path) and self._note(path):
            self._names[path] = None
            self._has_news = True

    def _want(self, folder: str, name: str) -> None:
        if self._note(folder):
            names = self._names.setdefault(folder, set())
            if names is not None:
                names.add(name)

    def _note(self, folder: str) -> bool:
        """Lists a folder before anything in it is looked for; whether it is one to watch."""
        if not isinstance(folder, str) or not os.path.isabs(folder):
            return False
        if not self.is_watched(folder.rstrip(os.sep) + os.sep):
            return False
        if folder not in self._listed:
            self._listed[folder] = list_modules(folder)
        return True

    def _add_file(self, path: str) -> None:
        # What was loaded is what it was when it was read first: a traceback reads it again.
        if path not in self._files and path not in self._written:
            self._files[path] = take_stamp(path)
            self._has_news = True

    def _is_of_project(self, path: str) -> bool:
        return (path + os.sep).startswith(self._roots + self._searched_prefixes)


_REACTIONS: dict[str, Callable[..., None]] = {
    "open": LoadedCode._on_open,
    "import": LoadedCode._on_import,
    "os.listdir": LoadedCode._on_list,
    "os.scandir": LoadedCode._on_list,
}


def _is_caller_of_import() -> bool:
    """Whether an event comes from an import statement, and not from code that does it by itself."""
    # The frames are those of this function, of the reaction, _on_event and the hook, and the one
    # that is asked about.
    return sys._getframe(4).f_code.co_filename.startswith(_IMPORT_MACHINERY)


def _list_package_path(module: types.ModuleType | None) -> list[str]:
    try:
        return list(read_attribute(module, "__path__"))
    except Exception:  # noqa: BLE001 (what is in sys.modules may be anything)
        return []


def _list_standard_folders() -> list[str]:
    return [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]


def _list_package_folders() -> list[str]:
    """Where packages are installed for this interpreter."""
    folders = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
    with contextlib.suppress(Exception):  # virtualenv had a site module of its own
        folders += [*site.getsitepackages(), site.getusersitepackages()]
    return folders


def _resolve(folders: Iterable[str]) -> list[str]:
    return sorted({path for one in folders for path in (one, os.path.realpath(one))})


def _as_prefixes(folders: Iterable[str]) -> tuple[str, ...]:
    return tuple(folder.rstrip(os.sep) + os.sep for folder in _resolve(folders))
