"""For pytest: recordings of invocations are tests, and fixtures for tests of a deployed stack.

pytest loads this in every run, so it loads nothing by itself::

    collection             recordings
    emulator_fixture       plldb_emulator; emulator_users: one for all processes of a run
    stack_fixture          plldb_stack
    attached_fixture       plldb_attached; background_attachment: a session in a thread, and
                           session_watch: what happens in it
    seen_invocations       what tests see of invocations
    explained              expected errors, in their own words
    failure_report         what is shown of tests that fail
    fixtures               the types, for annotations
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from plldb.pytest_plugin.fixtures import AttachTo, DeployStack, PlldbEmulator


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("plldb").addoption(
        "--plldb-emulator",
        choices=("ministack", "localstack"),
        help="The emulator for plldb's fixtures: by default the one that runs, else ministack.",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A test for each ``*.plldb.json``."""
    if not file_path.name.endswith(".plldb.json"):
        return None
    from plldb.pytest_plugin.collection import RecordingFile

    return RecordingFile.from_parent(parent, path=file_path)


@pytest.fixture(scope="session")
def plldb_emulator(pytestconfig: pytest.Config) -> Iterator[PlldbEmulator]:
    """An AWS emulator with plldb's helper stack: its endpoint_url, region, environment, and
    client("sqs"). It is started if none runs, and stopped then.
    """
    from plldb.pytest_plugin.explained import explained

    with explained(pytrace=False):
        from plldb.pytest_plugin.emulator_fixture import use_emulator

        name = pytestconfig.getoption("plldb_emulator")
        with use_emulator(name, pytestconfig.rootpath, os.environ) as emulator:
            yield emulator


@pytest.fixture(scope="session")
def plldb_stack(plldb_emulator: PlldbEmulator) -> Iterator[DeployStack]:
    """Deploys a project's template: plldb_stack("template.yaml", parameters={…}) gives a stack
    with its name, outputs, resources and functions, and invoke("Greeter", event).
    """
    from plldb.pytest_plugin.stack_fixture import DeployStack

    deploy = DeployStack(plldb_emulator)
    deploy.delete_left()
    try:
        yield deploy
    finally:
        deploy.delete_all()


@pytest.fixture(scope="session")
def plldb_attached(
    plldb_stack: DeployStack,  # noqa: ARG001 (it is to outlive this)
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[AttachTo]:
    """Has local code answer for a stack: plldb_attached(stack) gives the invocations from then on,
    and wait_for_invocation("Greeter").
    """
    from plldb.pytest_plugin.attached_fixture import AttachTo
    from plldb.pytest_plugin.explained import explained
    from plldb.pytest_plugin.failure_report import InvocationSections

    attach = AttachTo(tmp_path_factory.mktemp("plldb"))
    sections = InvocationSections(attach.list_watches)
    pytestconfig.pluginmanager.register(sections)
    try:
        yield attach
    finally:
        pytestconfig.pluginmanager.unregister(sections)
        with explained(pytrace=False):
            attach.detach_all()
