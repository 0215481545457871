"""Every environment variable that this package reads, with AWS's value as the default.

Limits of WebSocket APIs: https://docs.aws.amazon.com/apigateway/latest/developerguide/
apigateway-execution-service-websocket-limits-table.html
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Settings:
    """Times are in seconds, sizes in bytes."""

    websocket_idle_seconds: float = 600.0
    websocket_max_seconds: float = 7200.0
    websocket_max_message_bytes: int = 128 * 1024
    websocket_max_frame_bytes: int = 32 * 1024
    websocket_parallel_messages: int = 1
    websocket_connect_threads: int = 64
    websocket_message_threads: int = 256
    websocket_disconnect_threads: int = 16
    iam: int = 1
    log_events: int = 10_000
    metric_data: int = 10_000
    dynamodb_ttl_seconds: float = 10.0
    lambda_init_seconds: float = 10.0
    lambda_concurrent_starts: int = 4
    lambda_patience_seconds: float = 0.1
    lambda_unsupported: str = "refuse"
    lambda_node_modules: str = "/opt/nodejs/node_modules"
    lambda_layers: str = "/opt/layers"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Read ``TOKENFREE_<FIELD>`` variables; unset or empty ones keep their default."""
        values: dict[str, Any] = {
            field.name: _as(field.default, value)
            for field in fields(cls)
            if (value := environ.get(f"TOKENFREE_{field.name.upper()}"))
        }
        return cls(**values)


def _as(default: object, text: str) -> int | float | str:
    """``text`` in the type of the setting's default."""
    if isinstance(default, str):
        return text
    return int(text) if isinstance(default, int) else float(text)


SETTINGS = Settings.from_environment(os.environ)
