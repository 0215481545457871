"""The site of docs/: its pages are the repository's, and all links lead somewhere."""

from __future__ import annotations

import re

import pytest

from tools import docs_site
from tools.docs_site import find_target, indent_lists

from .test_docs import PAGES, ROOT, text_of

REPOSITORY = "https://example.com/plldb"


@pytest.mark.parametrize(
    ("page", "link", "target"),
    [
        ("howto/ci.md", "testing.md#xdist", "testing.md#xdist"),
        ("howto/ci.md", "../../action.yml", f"{REPOSITORY}/blob/main/action.yml"),
        ("howto/ci.md", "../../examples", f"{REPOSITORY}/tree/main/examples"),
        ("howto/ci.md", "../../SECURITY.md#versions", "../security-policy.md#versions"),
        ("index.md", "docs/howto/ci.md", "howto/ci.md"),
        ("index.md", "docs/first-minutes.svg", "first-minutes.svg"),
        ("index.md", "LICENSE", f"{REPOSITORY}/blob/main/LICENSE"),
        ("changelog.md", "examples/orders", f"{REPOSITORY}/tree/main/examples/orders"),
        ("reference/api.md", "../openapi.yaml", "../openapi.yaml"),
        ("faq.md", "#node", "#node"),
        ("faq.md", "https://aws.amazon.com", "https://aws.amazon.com"),
    ],
)
def test_a_link_leads_to_the_page_or_to_the_file_on_github(
    page: str, link: str, target: str
) -> None:
    assert find_target(link, page, REPOSITORY) == target


def test_links_in_code_are_left_alone() -> None:
    text = "[a](../README.md)\n\n```md\n[a](../README.md)\n```\n"
    assert docs_site.convert(text, "faq.md", REPOSITORY) == text.replace("../README", "index", 1)


@pytest.mark.parametrize(
    ("github", "mkdocs"),
    [
        ("- a\n  b\n", "- a\n    b\n"),
        (
            "1. a\n\n   ```sh\n   x\n     y\n   ```\n",
            "1. a\n\n    ```sh\n    x\n      y\n    ```\n",
        ),
        ("- a\n  - b\n    c\n\nd\n", "- a\n    - b\n        c\n\nd\n"),
        ("10. a\n    b\n", "10. a\n    b\n"),
        ("```\n- a\n  b\n```\n", "```\n- a\n  b\n```\n"),
    ],
)
def test_what_belongs_to_an_item_is_indented_as_mkdocs_wants_it(github: str, mkdocs: str) -> None:
    assert indent_lists(github) == mkdocs


def test_its_navigation_has_each_page_once() -> None:
    """mkdocs can be had with the extra `docs` alone, so this reads its file as text."""
    listed = re.findall(r"^ +- ([\w/-]+\.md)$", text_of(ROOT / "mkdocs.yml"), re.MULTILINE)
    decisions = ROOT / "docs" / "decisions"
    pages = {
        docs_site.ROOT_PAGES.get(str(page.relative_to(ROOT)))
        or str(page.relative_to(ROOT / "docs"))
        for page in PAGES
        if page.parent != decisions or page.name == "README.md"
    }
    assert sorted(listed) == sorted(pages)


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(
        r"^\| \[(\d+)\]\((\d{4}-[\w-]+\.md)\) \| (.+) \|$", text_of(folder / "README.md"), re.M
    )
    assert sorted(name for _, name, _ in listed) == sorted(p.name for p in folder.glob("0*.md"))
    for number, name, title in listed:
        assert text_of(folder / name).startswith(f"# {number}. {title}\n")
