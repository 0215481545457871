"""Which functions a helper stack may debug: a pattern of names and a tag, by its parameters.

Its role is bounded by the same, in template.yaml. Here it is put into words. Reading is not
bounded, so that whatever was instrumented before can be found.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

TAG = "plldb:debug"


@dataclass(frozen=True)
class DebuggingScope:
    """``names`` is a pattern with ``*`` in it; without a ``tag``, functions need none.

    Texts follow "because".
    """

    names: str = "*"
    tag: str = ""

    def find_obstacle(self, name: str) -> str | None:
        """Why the function of that name, or ARN, is out of it; None if it is not."""
        if fnmatchcase(name.rpartition(":")[2], self.names):
            return None
        return f"its name is not {self.names}, to which this helper stack is limited"

    def explain(self, denial: str) -> str:
        """What Lambda's refusal to have a function changed means."""
        if not self.tag:
            return denial
        return (
            f"this helper stack is limited to functions with the tag {TAG} = {self.tag}, which it "
            f"may lack: {denial}"
        )
