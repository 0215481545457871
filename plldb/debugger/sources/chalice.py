"""Chalice: what ``chalice package`` writes, and the app that it is of.

The package is a zip file of the app's folder, of ``vendor`` at its top, and of what
``requirements.txt`` names, which the project's environment has, too.
https://aws.github.io/chalice/topics/packaging.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from plldb.debugger.sources.functions import read_functions
from plldb.debugger.sources.project import (
    CodeSource,
    DescribedLayer,
    Functions,
    Parameters,
    Project,
    make_absolute,
)
from plldb.templates import as_dict

_CONFIG = Path(".chalice", "config.json")
_TEMPLATES = ("sam.json", "sam.yaml")
_PACKAGES = ("deployment.zip", "layer-deployment.zip")
_VENDOR = "vendor"
_RENEWAL = "chalice package OUT"


def find_projects(folder: Path) -> Sequence[Project]:
    """A project for each output of ``chalice package`` in the app's folder.

    It names no stack; there may be one for each stage of the app.
    """
    folder = make_absolute(folder)
    if not (folder / _CONFIG).is_file():
        return []
    return [_read_project(template, folder) for template in _list_templates(folder)]


def find_template_project(template: Path) -> Project | None:
    """The project that a template which the developer names is of; None if it is none of these."""
    app = _find_app(template)
    return None if app is None else _read_project(template, app)


def _find_app(template: Path) -> Path | None:
    """The folder of the app that a template was packaged from."""
    if not any((template.parent / name).is_file() for name in _PACKAGES):
        return None
    return next((at for at in template.parents if (at / _CONFIG).is_file()), None)


def _list_templates(folder: Path) -> Iterator[Path]:
    for at in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        yield from (at / name for name in _TEMPLATES if (at / name).is_file())
    # Of out/STAGE, not every file of such a name is one, nor one of this app.
    for template in sorted(path for name in _TEMPLATES for path in folder.glob(f"*/*/{name}")):
        if _find_app(template) == folder:
            yield template


def _read_project(template: Path, app: Path) -> Project:
    return Project(template, partial(_read_app, template, app), renewal=_RENEWAL)


def _read_app(template: Path, app: Path, parameters: Parameters) -> Functions:
    functions = dict(read_functions(template, parameters, partial(_locate, app)))
    vendor = app / _VENDOR
    for logical_id, found in functions.items():
        if isinstance(found, CodeSource) and found.code_dir == app and vendor.is_dir():
            layers = (DescribedLayer(_VENDOR, (vendor,), is_deployed=False), *found.layers)
            functions[logical_id] = replace(found, layers=layers)
    return functions


def _locate(app: Path, _: str, resource: Mapping[str, Any]) -> Path | str | None:
    """The app's folder; of the layer that ``automatic_layer`` makes, what is vendored."""
    properties = as_dict(resource.get("Properties"))
    content = properties.get("CodeUri", properties.get("ContentUri"))
    if not isinstance(content, str) or Path(content).name not in _PACKAGES:
        return None
    if "CodeUri" in properties:
        return app
    return app / _VENDOR if (app / _VENDOR).is_dir() else "it has what requirements.txt names"
