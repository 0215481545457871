"""What a function says of its container image, as far as redirection goes.

An image that carries the shim (``pip install plldb-shim``) is called by it through ImageConfig's
Command, in place of its own CMD. Nobody but its developer knows that it does, nor its CMD: Lambda
shows neither. So the function has a variable of the developer's own, constants.IMAGE_HANDLER, which
names the handler; where ImageConfig's Command names it already, any other value will do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from ..shared import constants

# What says no more than that the shim is there.
_NO_HANDLER = ("", "1", "true", "yes")


@dataclass(frozen=True)
class ImageConfig:
    """What a function has in place of its image's own settings; empty is what it has not:
    https://docs.aws.amazon.com/lambda/latest/api/API_ImageConfig.html
    """

    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_directory: str = ""

    @classmethod
    def from_lambda(cls, found: dict[str, Any]) -> ImageConfig | None:
        """From the answer of GetFunctionConfiguration; None if it is no container image."""
        if not is_image(found):
            return None
        config = (found.get("ImageConfigResponse") or {}).get("ImageConfig") or {}
        return cls(
            tuple(config.get("EntryPoint") or ()),
            tuple(config.get("Command") or ()),
            config.get("WorkingDirectory") or "",
        )

    def to_lambda(self) -> dict[str, Any]:
        """The parameter of UpdateFunctionConfiguration: it replaces all that there was."""
        values = {
            "EntryPoint": list(self.entry_point),
            "Command": list(self.command),
            "WorkingDirectory": self.working_directory,
        }
        return {name: value for name, value in values.items() if value}

    def find_handler(self, variables: dict[str, str]) -> str:
        """The handler that Lambda's runtime client is told; empty if nobody says."""
        if self.command:
            return self.command[-1]
        named = variables.get(constants.IMAGE_HANDLER, "")
        return "" if named.lower() in _NO_HANDLER else named

    def redirect(self) -> ImageConfig:
        """The shim in the handler's place: at the end, as the runtime client takes it."""
        return replace(self, command=(*self.command[:-1], constants.SHIM_HANDLER))

    def undo(self, variables: dict[str, str]) -> ImageConfig:
        """As the user deployed it, if the shim is in the handler's place."""
        if self.command[-1:] != (constants.SHIM_HANDLER,):
            return self
        return replace(self, command=_read(variables.get(constants.ORIGINAL_COMMAND)))

    def remember(self) -> dict[str, str]:
        """The variable from which that is known; none where the image's own CMD is in effect."""
        if not self.command:
            return {}
        text = json.dumps(self.command, separators=(",", ":"), ensure_ascii=False)
        return {constants.ORIGINAL_COMMAND: text}


def is_image(found: dict[str, Any]) -> bool:
    return bool(found.get("PackageType", "Zip") == "Image")


def find_image_obstacle(found: dict[str, Any]) -> str | None:
    """Why an image's function can't be redirected, in words that follow "because"; or None."""
    refused = (found.get("ImageConfigResponse") or {}).get("Error")
    if refused:
        return f"its ImageConfig can't be read: {refused.get('Message', refused.get('ErrorCode'))}"
    variables = (found.get("Environment") or {}).get("Variables") or {}
    name = constants.IMAGE_HANDLER
    if name not in variables:
        return (
            "it is a container image: to debug it, have its Dockerfile run 'pip install "
            f"plldb-shim', and set {name} in its variables to its CMD, such as app.handler"
        )
    config = ImageConfig.from_lambda(found)
    if config is not None and not config.find_handler(variables):
        return f"its {name} has to name the handler, as its image's CMD does: such as app.handler"
    return None


def _read(text: str | None) -> tuple[str, ...]:
    """A command that somebody has changed by hand counts as none: the image has its own."""
    try:
        command = json.loads(text or "[]")
    except ValueError:
        return ()
    is_command = isinstance(command, list) and all(isinstance(part, str) for part in command)
    return tuple(command) if is_command else ()
