"""What the environment's variables say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """``session_store`` is ``memory`` or ``dynamodb``; ``allowed_origins`` are those of the
    frontend, for CORS.
    """

    session_store: str = "memory"
    session_seconds: int = 3600
    heartbeat_seconds: int = 30
    max_jobs: int = 4
    allowed_origins: tuple[str, ...] = ()


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Raises ValueError with the variable that makes no sense."""
    store = environ.get("SESSION_STORE", Settings.session_store)
    if store not in ("memory", "dynamodb"):
        raise ValueError(f"SESSION_STORE is memory or dynamodb, not {store!r}")
    return Settings(
        session_store=store,
        session_seconds=_read_number(environ, "SESSION_SECONDS", Settings.session_seconds),
        heartbeat_seconds=_read_number(environ, "HEARTBEAT_SECONDS", Settings.heartbeat_seconds),
        max_jobs=_read_number(environ, "MAX_JOBS", Settings.max_jobs),
        allowed_origins=tuple(environ.get("ALLOWED_ORIGINS", "").split()),
    )


def read_service_key(environ: Mapping[str, str], read_secret: Callable[[str], str]) -> str:
    """What SERVICE_KEY says; else ``read_secret`` of what SERVICE_KEY_ARN names.

    Raises ValueError if there is none: an empty key is one that everybody has.
    """
    key = environ.get("SERVICE_KEY", "")
    if not key and (arn := environ.get("SERVICE_KEY_ARN")):
        key = read_secret(arn)
    if not key:
        raise ValueError("SERVICE_KEY, or the secret of SERVICE_KEY_ARN, is not set")
    return key


def _read_number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, str(default))
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise ValueError(f"{name} is a number above 0, not {text!r}")
    return int(text)
