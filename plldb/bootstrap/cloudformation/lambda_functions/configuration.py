"""Handler redirection: what instrumenting and restoring make of a function's configuration.

The undo travels in the function itself, in ``PLLDB_*`` variables. Restoring takes away only what
is plldb's own, so that an edit made meanwhile survives.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any

# The layer's shim reads the same variables: see layer/python/plldb_shim/variables.py.
SHIM_HANDLER = "plldb_shim.handler"
ORIGINAL_HANDLER = "PLLDB_ORIGINAL_HANDLER"
ORIGINAL_TIMEOUT = "PLLDB_ORIGINAL_TIMEOUT"
RAISED_TIMEOUT = "PLLDB_RAISED_TIMEOUT"
FUNCTION = "PLLDB_FUNCTION"
BROKER_URL = "PLLDB_BROKER_URL"
TOKEN = "PLLDB_TOKEN"  # nosec B105  # noqa: S105 - the name of a variable
SESSION = "PLLDB_SESSION"
HELD_BY = "PLLDB_HELD_BY"
WHEN_ABSENT = "PLLDB_WHEN_ABSENT"
VARIABLES = frozenset(
    {
        ORIGINAL_HANDLER,
        ORIGINAL_TIMEOUT,
        RAISED_TIMEOUT,
        FUNCTION,
        BROKER_URL,
        TOKEN,
        SESSION,
        HELD_BY,
        WHEN_ABSENT,
    }
)

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_TIMEOUT = 900
MAX_LAYERS = 5
MAX_ENVIRONMENT_BYTES = 4096
# The shim needs Python 3.9.
_RUNTIME = re.compile(r"python3\.(9|\d{2})")


@dataclass(frozen=True)
class Configuration:
    """The part of a function's configuration that redirection touches. Layers are ARNs."""

    handler: str
    timeout: int
    layers: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_lambda(cls, found: dict[str, Any]) -> Configuration:
        """From the answer of GetFunctionConfiguration."""
        return cls(
            handler=found.get("Handler", ""),
            timeout=found["Timeout"],
            layers=tuple(layer["Arn"] for layer in found.get("Layers") or ()),
            variables=dict((found.get("Environment") or {}).get("Variables") or {}),
        )

    def changes(self, wanted: Configuration) -> dict[str, Any]:
        """The parameters of UpdateFunctionConfiguration that make this one the wanted one."""
        changes: dict[str, Any] = {}
        if wanted.handler != self.handler:
            changes["Handler"] = wanted.handler
        if wanted.timeout != self.timeout:
            changes["Timeout"] = wanted.timeout
        if wanted.layers != self.layers:
            changes["Layers"] = list(wanted.layers)
        if wanted.variables != self.variables:
            changes["Environment"] = {"Variables": wanted.variables}
        return changes


@dataclass(frozen=True)
class Hold:
    """A session's hold on functions. ``session`` is the shortened id, ``owner`` an ARN."""

    session: str
    owner: str
    token: str = field(repr=False)
    broker_url: str
    when_absent: str


@dataclass(frozen=True)
class Layer:
    """plldb's layer, by the ARN of the version to attach."""

    version_arn: str

    def is_version(self, arn: str) -> bool:
        return arn.rpartition(":")[0] == self.version_arn.rpartition(":")[0]


def holder(configuration: Configuration) -> str | None:
    """The session (shortened) that instrumented the function; None if none did."""
    return configuration.variables.get(SESSION)


def owner(configuration: Configuration) -> str:
    return configuration.variables.get(HELD_BY, "unknown")


def original(configuration: Configuration, layer: Layer) -> Configuration:
    """The configuration without anything of plldb's."""
    variables = configuration.variables
    handler, timeout = configuration.handler, configuration.timeout
    if handler == SHIM_HANDLER:
        handler = variables.get(ORIGINAL_HANDLER, handler)
    if str(timeout) == variables.get(RAISED_TIMEOUT):
        timeout = int(variables.get(ORIGINAL_TIMEOUT, timeout))
    return Configuration(
        handler=handler,
        timeout=timeout,
        layers=tuple(arn for arn in configuration.layers if not layer.is_version(arn)),
        variables={name: value for name, value in variables.items() if name not in VARIABLES},
    )


def redirected(
    undone: Configuration, function: str, hold: Hold, layer: Layer, timeout_limit: int
) -> Configuration:
    """The original configuration, with invocations going to the session that holds it.

    ``timeout_limit`` is what the event source allows; the timeout is never lowered.
    """
    raised = max(undone.timeout, min(MAX_TIMEOUT, timeout_limit))
    return replace(
        undone,
        handler=SHIM_HANDLER,
        timeout=raised,
        layers=(*undone.layers, layer.version_arn),
        variables=undone.variables
        | {
            ORIGINAL_HANDLER: undone.handler,
            ORIGINAL_TIMEOUT: str(undone.timeout),
            RAISED_TIMEOUT: str(raised),
            FUNCTION: function,
            BROKER_URL: hold.broker_url,
            TOKEN: hold.token,
            SESSION: hold.session,
            HELD_BY: hold.owner,
            WHEN_ABSENT: hold.when_absent,
        },
    )


def obstacle(found: dict[str, Any]) -> str | None:
    """Why a function can't be redirected, from GetFunctionConfiguration; None if it can."""
    if found.get("PackageType", "Zip") != "Zip":
        return "it is a container image; plldb debugs zip functions"
    runtime = found.get("Runtime", "")
    if not runtime.startswith("python3."):
        return f"its runtime is {runtime or 'unknown'}; plldb debugs Python"
    if not _RUNTIME.fullmatch(runtime):
        return f"its runtime is {runtime}; plldb debugs Python 3.9 and later"
    refused = (found.get("Environment") or {}).get("Error")
    if refused:
        return f"its variables can't be read: {refused.get('Message', refused.get('ErrorCode'))}"
    return None


def lack_of_room(wanted: Configuration) -> str | None:
    """Which of Lambda's limits the redirected function would break; None if none."""
    if len(wanted.layers) > MAX_LAYERS:
        return f"it has {MAX_LAYERS} layers already, and plldb needs one"
    # Lambda's own error quotes the JSON text that it measured.
    size = len(json.dumps(wanted.variables, separators=(",", ":"), ensure_ascii=False).encode())
    if size > MAX_ENVIRONMENT_BYTES:
        excess = size - MAX_ENVIRONMENT_BYTES
        return f"its variables leave too little of Lambda's 4 KB: {excess} bytes are missing"
    return None
