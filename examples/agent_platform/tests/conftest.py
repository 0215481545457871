"""The stack, deployed to an emulator and attached to: its function runs here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from plldb.pytest_plugin.fixtures import AttachTo, DeployStack, PlldbAttached, PlldbStack


@pytest.fixture(scope="session")
def stack(plldb_stack: DeployStack) -> PlldbStack:
    return plldb_stack("template.yaml")


@pytest.fixture
def attached(plldb_attached: AttachTo, stack: PlldbStack) -> PlldbAttached:
    return plldb_attached(stack)
