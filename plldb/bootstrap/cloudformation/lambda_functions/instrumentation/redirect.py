"""Handler redirection: what instrumenting and restoring make of a function's configuration.

The undo travels in the function itself, in ``PLLDB_*`` variables. Restoring takes away only what
is plldb's own, so that an edit made meanwhile survives.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from ..shared import constants
from .image_config import ImageConfig

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_TIMEOUT = 900
MAX_LAYERS = 5
MAX_ENVIRONMENT_BYTES = 4096


@dataclass(frozen=True)
class FunctionConfiguration:
    """The part of a function's configuration that redirection touches. Layers are ARNs.

    The handler of a container image is the one that its command names; it has no layers.
    """

    handler: str
    timeout: int
    layers: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict, repr=False)
    image: ImageConfig | None = None

    @classmethod
    def from_lambda(cls, found: dict[str, Any]) -> FunctionConfiguration:
        """From the answer of GetFunctionConfiguration."""
        variables = dict((found.get("Environment") or {}).get("Variables") or {})
        image = ImageConfig.from_lambda(found)
        return cls(
            handler=found.get("Handler", "") if image is None else image.find_handler(variables),
            timeout=found["Timeout"],
            layers=tuple(layer["Arn"] for layer in found.get("Layers") or ()),
            variables=variables,
            image=image,
        )

    @property
    def holder(self) -> str | None:
        """The session (shortened) that instrumented the function; None if none did."""
        return self.variables.get(constants.SESSION)

    @property
    def owner(self) -> str:
        """Whose session instrumented the function."""
        return self.variables.get(constants.HELD_BY, "unknown")

    @property
    def token(self) -> str | None:
        """The token that the function shows."""
        return self.variables.get(constants.TOKEN)

    @property
    def helper_stack(self) -> str | None:
        """The helper stack that the function itself is part of; None for a user's function."""
        return self.variables.get(constants.HELPER_STACK)

    @property
    def runs_shim(self) -> bool:
        """Whether Lambda calls plldb's shim in place of the function's own handler."""
        return self.handler == constants.SHIM_HANDLER

    def changes(self, wanted: FunctionConfiguration) -> dict[str, Any]:
        """The parameters of UpdateFunctionConfiguration that make this one the wanted one."""
        changes: dict[str, Any] = {}
        if wanted.image is not None:
            if wanted.image != self.image:
                changes["ImageConfig"] = wanted.image.to_lambda()
        elif wanted.handler != self.handler:
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
    """A session's hold on functions of a stack.

    ``session`` is the shortened id, ``owner`` an ARN.
    """

    stack: str
    session: str
    owner: str
    token: str = field(repr=False)
    websocket_url: str
    when_absent: str
    as_function: bool = False


@dataclass(frozen=True)
class Layer:
    """plldb's layer, by the ARN of the version to attach."""

    version_arn: str

    def is_version(self, arn: str) -> bool:
        return arn.rpartition(":")[0] == self.version_arn.rpartition(":")[0]


def undo(configuration: FunctionConfiguration, layer: Layer) -> FunctionConfiguration:
    """The configuration as the user deployed it, without anything of plldb's."""
    variables = configuration.variables
    handler, timeout = configuration.handler, configuration.timeout
    image = None if configuration.image is None else configuration.image.undo(variables)
    if configuration.runs_shim:
        known = handler if image is None else image.find_handler(variables)
        handler = variables.get(constants.ORIGINAL_HANDLER, known)
    if str(timeout) == variables.get(constants.RAISED_TIMEOUT):
        timeout = int(variables.get(constants.ORIGINAL_TIMEOUT, timeout))
    return FunctionConfiguration(
        handler=handler,
        timeout=timeout,
        layers=tuple(arn for arn in configuration.layers if not layer.is_version(arn)),
        variables={
            name: value
            for name, value in variables.items()
            if name not in (*constants.FUNCTION_VARIABLES, *constants.FORMER_FUNCTION_VARIABLES)
        },
        image=image,
    )


def redirect(
    original: FunctionConfiguration, function: str, hold: Hold, layer: Layer, timeout_limit: int
) -> FunctionConfiguration:
    """The original configuration, with invocations going to the session that holds the function.

    ``function`` is its logical id, ``timeout_limit`` (seconds) what its event source allows. The
    timeout is never lowered.
    """
    raised = max(original.timeout, min(MAX_TIMEOUT, timeout_limit))
    image = original.image
    return replace(
        original,
        handler=constants.SHIM_HANDLER,
        timeout=raised,
        # An image carries the shim itself.
        layers=(*original.layers, layer.version_arn) if image is None else (),
        image=None if image is None else image.redirect(),
        variables=original.variables
        | ({} if image is None else image.remember())
        | {
            constants.ORIGINAL_HANDLER: original.handler,
            constants.ORIGINAL_TIMEOUT: str(original.timeout),
            constants.RAISED_TIMEOUT: str(raised),
            constants.FUNCTION: function,
            constants.STACK: hold.stack,
            constants.WEBSOCKET_URL: hold.websocket_url,
            constants.TOKEN: hold.token,
            constants.SESSION: hold.session,
            constants.HELD_BY: hold.owner,
            constants.WHEN_ABSENT: hold.when_absent,
        }
        | ({constants.AS_FUNCTION: "true"} if hold.as_function else {}),
    )


def find_lack_of_room(wanted: FunctionConfiguration) -> str | None:
    """Which of Lambda's limits the redirected function would break; None if none."""
    if len(wanted.layers) > MAX_LAYERS:
        return f"it has {MAX_LAYERS} layers already, and plldb needs one"
    # Lambda's own error quotes the JSON text that it measured.
    size = len(json.dumps(wanted.variables, separators=(",", ":"), ensure_ascii=False).encode())
    if size > MAX_ENVIRONMENT_BYTES:
        excess = size - MAX_ENVIRONMENT_BYTES
        return f"its variables leave too little of Lambda's 4 KB: {excess} bytes are missing"
    return None
