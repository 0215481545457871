"""What differs between environments: a file of config/ for each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent.parent / "config"


@dataclass(frozen=True)
class Environment:
    """``is_durable``: tables outlive the stack, and can be restored to any point in time.
    ``log_retention`` is a member of the CDK's RetentionDays. ``throttling_rate`` is in messages a
    second.
    """

    name: str
    is_durable: bool
    log_retention: str
    alarm_email: str | None
    throttling_rate: int
    throttling_burst: int
    connects_per_minute: int
    sessions_per_hour: int
    messages_per_minute: int
    refresh_after_seconds: int


def read_environment(name: str) -> Environment:
    """Raises ValueError if there is none of that name."""
    known = sorted(path.stem for path in _FOLDER.glob("*.json"))
    if name not in known:
        raise ValueError(f"there is no environment {name!r}, but {', '.join(known)}")
    values = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return Environment(
        name=name,
        is_durable=values["isDurable"],
        log_retention=values["logRetention"],
        alarm_email=values["alarmEmail"],
        throttling_rate=values["throttlingRate"],
        throttling_burst=values["throttlingBurst"],
        connects_per_minute=values["connectsPerMinute"],
        sessions_per_hour=values["sessionsPerHour"],
        messages_per_minute=values["messagesPerMinute"],
        refresh_after_seconds=values["refreshAfterSeconds"],
    )
