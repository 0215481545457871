"""What a background session says of itself, for ``plldb status`` and whoever started it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

STATES = ("starting", "ready", "ending", "ended")


@dataclass(frozen=True)
class SessionRecord:
    """``state`` is one of STATES; "ending" is one that was told to detach.

    ``command`` is that of plldb, ``folder`` where it runs. ``functions`` run here, ``skipped`` do
    not, for the reason that is given. Times are in UTC, as ISO 8601 has them. ``recordings`` is the
    folder of --record, ``inspector`` the URL of the page, which opens it. Of one that is ending,
    ``running`` are the functions that it waits for, for ``seconds_left`` at most. Of one that has
    ended, ``exit_code``, ``error`` and ``hint`` say how.
    """

    folder: str
    command: str
    pid: int
    started_at: str
    state: str = "starting"
    stacks: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    recordings: str | None = None
    log: str | None = None
    inspector: str | None = None
    running: tuple[str, ...] = ()
    seconds_left: float = 0.0
    ended_at: str | None = None
    exit_code: int | None = None
    error: str | None = None
    hint: str | None = None

    @property
    def has_ended(self) -> bool:
        """By its own account: one that was killed says so to nobody."""
        return self.state == "ended"

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> SessionRecord:
        """Raises ValueError for what ``to_json`` did not make."""
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError("it is no object")
        known = {one.name for one in fields(cls)}
        try:
            record = cls(**{name: value for name, value in data.items() if name in known})
        except TypeError as error:
            raise ValueError(str(error)) from None
        return record._checked()

    def _checked(self) -> SessionRecord:
        of_texts = (self.stacks, self.functions, self.running)
        is_right = (
            isinstance(self.pid, int)
            and self.pid > 1
            and self.state in STATES
            and all(isinstance(one, str) for one in (self.folder, self.command, self.started_at))
            and all(isinstance(one, list | tuple) for one in of_texts)
            and isinstance(self.skipped, dict)
            and isinstance(self.seconds_left, int | float)
        )
        if not is_right:
            raise ValueError("its members are of other kinds")
        values: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        values |= {name: tuple(values[name]) for name in ("stacks", "functions", "running")}
        return SessionRecord(**values)
