"""Says whether a version may be published: tag, version, changelog and metadata have to agree.

``python -m tools.release_check TAG REPOSITORY`` prints what does not, and exits with 1 then. It is
a step of .github/workflows/release.yml.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from plldb import __version__

ROOT = Path(__file__).parents[1]


def find_faults(
    tag: str, repository: str, *, version: str, changelog: str, urls: dict[str, str]
) -> Iterator[str]:
    """What speaks against a release, in a sentence each.

    ``tag`` is that of the commit, ``repository`` the URL of the one that publishes it, ``urls``
    what the metadata will link to.
    """
    if tag != f"v{version}":
        yield f"The tag is {tag}, and plldb's version {version}."
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        yield f"{version} is no version to be published."
    if not re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE
    ):
        yield f"CHANGELOG.md has no '## [{version}] - DATE'."
    if wrong := sorted(name for name, url in urls.items() if not _is_in(url, repository)):
        yield f"Not of {repository}, in pyproject.toml's urls: {', '.join(wrong)}."


def _is_in(url: str, repository: str) -> bool:
    return url == repository or url.startswith(f"{repository}/")


def main(tag: str, repository: str) -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    faults = [
        *find_faults(
            tag, repository, version=__version__, changelog=changelog, urls=project["urls"]
        )
    ]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
