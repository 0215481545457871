"""A saved template is noticed once, when it is there whole."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plldb.dev.template_watch import TemplateWatch

DEADLINE_SECONDS = 30


class Deployments:
    """What was there, each time that it was deployed."""

    def __init__(self, *files: Path) -> None:
        self.files = [*files]
        self.seen: queue.Queue[list[str]] = queue.Queue()

    def deploy(self) -> list[Path]:
        self.seen.put([path.read_text() if path.exists() else "" for path in self.files])
        return self.files

    def next(self) -> list[str]:
        return self.seen.get(timeout=DEADLINE_SECONDS)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (file := tmp_path / "template.yaml").write_text("first")
    return file


@contextmanager
def watching(deployments: Deployments) -> Iterator[None]:
    with TemplateWatch(deployments.files, deployments.deploy):
        yield


def test_each_change_is_deployed_once(file: Path) -> None:
    deployments = Deployments(file)
    with watching(deployments):
        file.write_text("second")
        assert deployments.next() == ["second"]
        file.write_text("the third")
        assert deployments.next() == ["the third"]
    assert deployments.seen.empty()


def test_nothing_happens_without_one(file: Path) -> None:
    deployments = Deployments(file)
    with watching(deployments):
        time.sleep(1)  # there is nothing to wait for
    assert deployments.seen.empty()


def test_an_editor_that_replaces_the_file_is_waited_for(file: Path, tmp_path: Path) -> None:
    deployments = Deployments(file)
    with watching(deployments):
        file.unlink()
        (new := tmp_path / "new").write_text("replaced")
        new.rename(file)
        assert deployments.next() == ["replaced"]


def test_one_that_was_deleted_is_not_waited_for_for_ever(file: Path, tmp_path: Path) -> None:
    (nested := tmp_path / "nested.yaml").write_text("nested")
    deployments = Deployments(file, nested)
    with watching(deployments):
        nested.unlink()
        file.write_text("without it")
        assert deployments.next() == ["without it", ""]
        deployments.files.remove(nested)
        file.write_text("edited")
        assert deployments.next() == ["edited"]
        assert deployments.seen.empty()


def test_files_that_come_into_it_are_watched_from_then_on(file: Path, tmp_path: Path) -> None:
    (nested := tmp_path / "nested.yaml").write_text("nested")
    deployments = Deployments(file)
    with watching(deployments):
        deployments.files.append(nested)
        file.write_text("second")
        assert deployments.next() == ["second", "nested"]
        nested.write_text("nested, edited")
        assert deployments.next() == ["second", "nested, edited"]


def test_what_is_saved_while_it_deploys_is_deployed_afterwards(file: Path) -> None:
    deployments = Deployments(file)
    is_first = True

    def deploy() -> list[Path]:
        nonlocal is_first
        found = deployments.deploy()
        if is_first:
            is_first = False
            file.write_text("third, meanwhile")
        return found

    with TemplateWatch([file], deploy):
        file.write_text("second")
        assert deployments.next() == ["second"]
        assert deployments.next() == ["third, meanwhile"]
