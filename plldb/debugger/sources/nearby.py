"""What there is in a folder without a project of the stack, and below it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from plldb.debugger.sources.package_origin import read_file, walk_own
from plldb.templates import TEMPLATE_HINT

# What a project has before its tool was run, and what to do.
_TOOLS = (
    ("cdk.json", "run 'cdk synth' first"),
    ("serverless.*", "run 'serverless package' or 'osls package' first"),
    (".chalice/config.json", "run 'chalice package out' first"),
    ("*.tf", "run 'terraform show -json > show.json', and attach with --terraform show.json"),
    ("Pulumi.yaml", "list its functions in plldb.toml, under [stacks.NAME.functions.FUNCTION]"),
)
_SUFFIXES = frozenset({".yaml", ".yml", ".json", ".template"})
# How deep it is looked, in how many folders, and how much of a file tells that it is a template.
_DEPTH = 3
_MOST_FOLDERS = 500
_MOST_BYTES = 1_000_000
_SHOWN = 3


def suggest_project(folder: Path) -> str:
    """What to do where a folder has no template: with what there is instead."""
    tool = find_tool(folder)
    if tool is not None:
        return tool
    templates = [path.relative_to(folder) for path in _list_templates(folder)]
    if not templates:
        return TEMPLATE_HINT
    names = " or ".join(f"--template {_quote(path)}" for path in templates[:_SHOWN])
    more = f" (there are {len(templates) - _SHOWN} more)" * (len(templates) > _SHOWN)
    return f"If the stack's template is one of those below, name it: {names}{more}."


def find_tool(folder: Path) -> str | None:
    """What to do with the tool that a folder has a project of, if there is one."""
    for pattern, what in _TOOLS:
        found = sorted(folder.glob(pattern))
        if found:
            return f"There is {found[0].relative_to(folder)}: {what}."
    return None


def list_folders_below(folder: Path) -> Iterator[Path]:
    """The project's own folders below one, as far as is of use; those of tools are left out."""
    return (at for at, _ in _walk(folder) if at != folder)


def _walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """The folders, this one first, each with the names of its files."""
    for count, (here, names, files) in enumerate(walk_own(folder)):
        names.sort()
        if len(here.relative_to(folder).parts) >= _DEPTH:
            names.clear()
        if count == _MOST_FOLDERS:
            return
        yield here, sorted(files)


def _list_templates(folder: Path) -> list[Path]:
    return [
        at / name
        for at, files in _walk(folder)
        for name in files
        if Path(name).suffix in _SUFFIXES and is_template(at / name)
    ]


def is_template(path: Path) -> bool:
    """As far as can be told without reading it as YAML."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return False
    except OSError:
        return False
    text = read_file(path)
    return b"Resources" in text and b"AWS::" in text


def _quote(path: Path) -> str:
    return f"'{path}'" if " " in str(path) else str(path)
