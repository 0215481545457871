"""Makes the site of docs/ from the files as they are in the repository (a hook of mkdocs).

On GitHub, pages link to one another, to the pages of the repository's root, and to its code. On the
site, those of the root are pages as well, with README.md as the first one, and code is shown on
GitHub. Links are checked by ``mkdocs build --strict`` afterwards, so what it can't find fails.
"""

from __future__ import annotations

import logging
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# Pages of the root, and what they are called on the site.
ROOT_PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
}
_NAMES_IN_REPOSITORY = {site: root for root, site in ROOT_PAGES.items()}
_LOG = logging.getLogger("mkdocs.hooks.docs_site")
# What a page is made of, but for paragraphs: lists may be loose on the one side and not the other.
_PARTS = re.compile(r"<(h[1-6]|ul|ol|li|pre|table|tr|td|img)\b")
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_ITEM = re.compile(r" *(?:[-*]|\d+\.) +")


def find_repository() -> str:
    """The URL of the repository, without a slash at the end, as pyproject.toml has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    url: str = project["urls"]["Repository"]
    return url


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.repo_url = find_repository()
    config.repo_name = PurePosixPath(config.repo_url).name
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    from mkdocs.structure.files import File

    for name, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: object) -> str:
    assert config.repo_url is not None
    return convert(markdown, page.file.src_uri, config.repo_url)


def on_page_content(html: str, page: Page, **_: object) -> None:
    if different := compare_parts(page.file.content_string, html):
        _LOG.warning("%s: GitHub reads this page in another way: %s", page.file.src_uri, different)


def compare_parts(markdown: str, html: str) -> dict[str, tuple[int, int]]:
    """How many of each element GitHub and the site make of a page, where that is not the same."""
    of_github = MarkdownIt("commonmark").enable("table").render(markdown)
    first, second = (Counter(_PARTS.findall(text)) for text in (of_github, html))
    names = sorted(first.keys() | second.keys())
    return {name: (first[name], second[name]) for name in names if first[name] != second[name]}


def convert(markdown: str, page: str, repository: str) -> str:
    """A page as the site has it. ``page`` is its name there, as in ``howto/ci.md``."""

    def lead(link: re.Match[str]) -> str:
        return link[1] + find_target(link[2], page, repository) + link[3]

    return indent_lists(_outside_code(lambda text: _LINK.sub(lead, text), markdown))


def find_target(link: str, page: str, repository: str) -> str:
    """Where a link of a page leads on the site: another page, or a file on GitHub."""
    if re.match(r"[a-z]+:|#", link):
        return link
    path, hash_sign, anchor = link.partition("#")
    source = _NAMES_IN_REPOSITORY.get(page, f"docs/{page}")
    target = normpath(PurePosixPath(source).parent / path)
    if target in ROOT_PAGES:
        target = f"docs/{ROOT_PAGES[target]}"
    if target.startswith("docs/"):
        path = relpath(target, PurePosixPath("docs", page).parent)
    else:
        kind = "tree" if (ROOT / target).is_dir() else "blob"
        path = f"{repository}/{kind}/main/{target}"
    return path + hash_sign + anchor


def indent_lists(markdown: str) -> str:
    """The same, with what belongs to an item of a list indented by four columns.

    GitHub's Markdown takes what is below the item's own text, mkdocs's takes four columns only.
    """
    lines, inside, in_code = [], list[int](), False
    for line in markdown.splitlines():
        indent = len(line) - len(line.lstrip())
        if line.strip() and not in_code:
            while inside and indent < inside[-1]:
                inside.pop()
        rest = line[inside[-1] :] if inside else line
        lines.append("    " * len(inside) + rest if rest.strip() else "")
        if rest.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code and (item := _ITEM.match(line)):
            inside.append(item.end())
    return "\n".join(lines) + "\n"


def _outside_code(change: Callable[[str], str], markdown: str) -> str:
    parts = _FENCE.split(markdown)
    return "".join(part if number % 2 else change(part) for number, part in enumerate(parts))
