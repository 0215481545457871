"""Whether a stack was deployed again, or one of its functions changed, whoever did it.

What is asked for is cheap: one call to CloudFormation, and as few to Lambda as tell the revisions
of the functions. Nothing is changed here: the debugger, who knows what it wants, asks for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .control_plane import Found
from .redirect import FunctionConfiguration

# A message to a connection has 32,000 bytes at most. A name has 64 characters, or as an ARN 140;
# it may be among those that are lost, too. What is left out is told of next time.
_MOST_NAMES = 80


@dataclass(frozen=True)
class Differences:
    """What is not any more as a debugger knows it; functions by their names, in order.

    ``lost`` are those of ``functions`` that call their own handler again.
    """

    functions: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.functions or self.gone)


def compare(known: dict[str, str], deployed: dict[str, Found]) -> Differences:
    """``known`` are revisions by name; ``deployed`` is as ``ControlPlane.find`` has it."""
    changed = [
        name
        for name, revision in sorted(known.items())
        if name in deployed and deployed[name].get("RevisionId") != revision
    ]
    named = tuple(changed[:_MOST_NAMES])
    return Differences(
        functions=named,
        lost=tuple(name for name in named if not _runs_shim(deployed[name])),
        gone=tuple(sorted(known.keys() - deployed.keys())[: _MOST_NAMES - len(named)]),
    )


def _runs_shim(found: dict[str, Any]) -> bool:
    return FunctionConfiguration.from_lambda(found).runs_shim
