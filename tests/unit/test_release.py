"""What contributing and publishing rely on: pinned tools and actions, metadata."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import distributions
from tools.docs_site import find_repository
from tools.release_check import find_faults

from .test_docs import ROOT, text_of

PROJECT: dict[str, Any] = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RELEASE: dict[str, Any] = yaml.safe_load(text_of(ROOT / ".github/workflows/release.yml"))
HOOKS: list[dict[str, Any]] = [
    hook
    for repository in yaml.safe_load(text_of(ROOT / ".pre-commit-config.yaml"))["repos"]
    for hook in repository["hooks"]
]


class TestBeforeACommit:
    """pre-commit says what `make lint` says, by the same tools."""

    @pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
    def test_a_hook_is_a_command_of_make_lint(self, hook: dict[str, Any]) -> None:
        lint = text_of(ROOT / "Makefile").partition("\nlint:")[2].partition("\n\n")[0]
        words = shlex.split(hook["entry"].replace(" --force-exclude", ""))
        command = " ".join([f"$(BIN)/{Path(words[0]).name}", *words[1:]])
        assert re.search(rf"^\t{re.escape(command)}\b", f"{lint}\n", re.MULTILINE)

    @pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
    def test_its_tool_is_pinned(self, hook: dict[str, Any]) -> None:
        tool = Path(shlex.split(hook["entry"])[0]).name
        extra = PROJECT["optional-dependencies"]["dev"]
        assert [one for one in extra if re.match(rf"{tool}==[\d.]+$", one)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_their_commit_and_say_their_version(path: Path) -> None:
    for use in re.findall(r"uses: (.+)", text_of(path)):
        assert use.startswith("./ ") or re.fullmatch(
            r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use
        )


class TestWorkflow:
    def test_only_what_publishes_can_be_taken_for_the_project(self) -> None:
        rights = {name: job.get("permissions", {}) for name, job in RELEASE["jobs"].items()}
        assert RELEASE["permissions"] == {}
        assert rights == {
            "build": {"contents": "read"},
            "attest": {"id-token": "write", "attestations": "write"},
            "publish": {"id-token": "write"},
        }

    def test_what_can_publish_runs_no_code_of_the_repository(self) -> None:
        for name in ("attest", "publish"):
            assert not [step for step in RELEASE["jobs"][name]["steps"] if "run" in step]

    def test_a_maintainer_is_asked(self) -> None:
        assert RELEASE["jobs"]["publish"]["environment"]["name"] == "pypi"
        assert {"build", "attest"} <= {*RELEASE["jobs"]["publish"]["needs"]}


class TestMetadata:
    def test_all_links_are_into_one_repository(self) -> None:
        for url in PROJECT["urls"].values():
            assert f"{url}/".startswith(f"{find_repository()}/")

    def test_links_of_the_readme_are_whole_on_pypi(self) -> None:
        """By the same substitutions as the build makes them."""
        hook = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]["hatch"]["metadata"]["hooks"]
        text = text_of(ROOT / "README.md")
        for one in hook["fancy-pypi-readme"]["substitutions"]:
            text = re.sub(one["pattern"], one["replacement"], text)
        links = re.findall(r"\]\(([^)]+)\)", text)
        assert links
        for link in links:
            assert link.startswith(("https://", "#"))
        owner = find_repository().removeprefix("https://github.com/")
        assert [link for link in links if f"/{owner}/main/docs/first-minutes.svg" in link]
        assert [link for link in links if f"/{owner}/blob/main/docs/quickstart.md" in link]

    def test_each_dependency_of_users_has_a_reason(self) -> None:
        page = text_of(ROOT / "docs" / "decisions" / "0013-bounds-of-dependencies.md")
        extras = PROJECT["optional-dependencies"]
        users = ("local", "debugpy", "inspect", "pytest")
        for wanted in [*PROJECT["dependencies"], *(one for name in users for one in extras[name])]:
            assert wanted.startswith("plldb[") or f"`{wanted}`" in page

    def test_licenses_lie_in_each_package(self) -> None:
        for folder in distributions.PACKAGES[:2]:
            assert text_of(folder / "LICENSE") == text_of(ROOT / "LICENSE")


class TestBeforeARelease:
    URLS = {"Repository": "https://example.com/plldb", "Issues": "https://example.com/plldb/issues"}
    CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2027-01-31\n"

    def faults(self, tag: str = "v1.2.3", version: str = "1.2.3", **changed: Any) -> list[str]:
        given: dict[str, Any] = {
            "repository": "https://example.com/plldb",
            "changelog": self.CHANGELOG,
            "urls": self.URLS,
        }
        return [*find_faults(tag, version=version, **(given | changed))]

    def test_all_agree(self) -> None:
        assert not self.faults()

    def test_the_tag_is_another_one(self) -> None:
        assert self.faults(tag="v1.2.4") == ["The tag is v1.2.4, and plldb's version 1.2.3."]

    @pytest.mark.parametrize("version", ["1.2.3.dev0", "1.2", "1.2.3+local"])
    def test_a_version_of_a_checkout_is_none(self, version: str) -> None:
        changelog = f"## [{version}] - 2027-01-31\n"
        (fault,) = self.faults(f"v{version}", version, changelog=changelog)
        assert "no version" in fault

    @pytest.mark.parametrize(
        "heading", ["## [1.2.3]", "## 1.2.3 - 2027-01-31", "## [11.2.3] - 2027-01-31"]
    )
    def test_the_changelog_is_not_ready(self, heading: str) -> None:
        (fault,) = self.faults(changelog=f"{heading}\n")
        assert "CHANGELOG.md" in fault

    @pytest.mark.parametrize(
        "url", ["https://github.com/OWNER/plldb", "https://example.com/plldb2"]
    )
    def test_the_metadata_is_somebody_elses(self, url: str) -> None:
        (fault,) = self.faults(urls=self.URLS | {"Repository": url})
        assert fault.endswith("urls: Repository.")

    def test_as_a_command_it_fails_with_each_reason(self) -> None:
        command = [sys.executable, "-m", "tools.release_check", "v0.0.0", "https://example.com/x"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "v0.0.0" in done.stderr
        assert "Traceback" not in done.stderr
