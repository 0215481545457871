"""The types of the fixtures, and of what they give, for annotations in tests.

::

    plldb_emulator: PlldbEmulator
    plldb_stack: DeployStack          gives a PlldbStack
    plldb_attached: AttachTo          gives a PlldbAttached, and that PlldbInvocations
"""

from __future__ import annotations

from plldb.pytest_plugin.attached_fixture import AttachTo, PlldbAttached
from plldb.pytest_plugin.emulator_fixture import PlldbEmulator
from plldb.pytest_plugin.seen_invocations import PlldbInvocation
from plldb.pytest_plugin.stack_fixture import DeployStack, PlldbStack

__all__ = [
    "AttachTo",
    "DeployStack",
    "PlldbAttached",
    "PlldbEmulator",
    "PlldbInvocation",
    "PlldbStack",
]
