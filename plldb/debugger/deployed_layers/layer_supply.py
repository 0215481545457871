"""The layers of a session's functions as folders: the project's own, and those that are fetched.

What can't be had, or be used here, is told once for each layer, with what to do about it. The
session goes on without.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.deployed_layers.arrangement import LayerArn, arrange_layers, parse_layer_arn
from plldb.debugger.deployed_layers.layer_fetcher import LayerFetcher
from plldb.debugger.deployed_layers.native_files import Platform, ask_platform
from plldb.debugger.deployed_layers.suitability import (
    Suitability,
    examine_layer,
    link_suitable,
    name_suitable,
)
from plldb.debugger.sources.project import DescribedLayer
from plldb.debugger.threads import run_in_thread
from plldb.errors import LayerError

logger = logging.getLogger(__name__)

# Lambda's control plane and the machine's network are others' as well.
_FETCHED_AT_ONCE = 4
_REMEDY = (
    "Install what it brings in the environment of your project, or make it a layer of the template."
)
_SHOWN_NAMES = 6
# AWS's layers that are an extension and nothing else: of no use here, and so not downloaded. By
# their names on x86_64; those for ARM have a suffix.
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/retrieving-secrets_lambda.html
# https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-integration-lambda-extensions.html
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Lambda-Insights-extension-versions.html
_EXTENSION_LAYERS = {
    "AWS-Parameters-and-Secrets-Lambda-Extension": "nothing answers at localhost:2773 here",
    "AWS-AppConfig-Extension": "nothing answers at localhost:2772 here",
    "LambdaInsightsExtension": "what runs here is not measured",
}


@dataclass(frozen=True)
class LayerRemark:
    """What the developer has to know of a layer; ``function`` is the first one that has it."""

    function: str
    text: str


@dataclass(frozen=True)
class LayerDownload:
    """A layer of so many bytes is being downloaded, for the first time on this machine."""

    layer: str
    size: int


LayerEvent = LayerRemark | LayerDownload


class LayerSupply:
    """For the functions of a session, which share layers. Use it from one event loop.

    ``python`` is what the functions run under.
    """

    def __init__(
        self, fetcher: LayerFetcher, python: Interpreter, report: Callable[[LayerEvent], None]
    ) -> None:
        self._fetcher = fetcher
        self._python = python
        self._report = report
        self._turns = asyncio.Semaphore(_FETCHED_AT_ONCE)
        # By ARN and runtime.
        self._fetched: dict[tuple[str, str], asyncio.Task[Path | None]] = {}
        self._told: set[str] = set()

    async def collect(
        self,
        function: str,
        runtime: str,
        described: Sequence[DescribedLayer],
        deployed: Sequence[str] | None,
    ) -> tuple[Path, ...]:
        """The folders of a function's layers that can be had, in their order.

        ``described`` is what the project says, ``deployed`` are ARNs, None if nobody tells.
        """
        layers = described if deployed is None else arrange_layers(described, deployed)
        waiting = [self._find(function, runtime, layer) for layer in layers]
        return tuple(path for folders in await asyncio.gather(*waiting) for path in folders)

    async def _find(
        self, function: str, runtime: str, layer: DescribedLayer | str
    ) -> tuple[Path, ...]:
        if isinstance(layer, DescribedLayer):
            if layer.reason:
                self._tell(
                    function, layer.name, f"is not on this machine: {layer.reason}. {_REMEDY}"
                )
            return layer.folders
        if (layer, runtime) not in self._fetched:
            work = self._fetch(function, runtime, layer)
            self._fetched[layer, runtime] = asyncio.create_task(work)
        # Whoever is cancelled is not the only one that waits for it.
        path = await asyncio.shield(self._fetched[layer, runtime])
        return () if path is None else (path,)

    async def _fetch(self, function: str, runtime: str, text: str) -> Path | None:
        arn = parse_layer_arn(text)
        if arn is None:
            self._tell(function, text, f"has no ARN that plldb knows. {_REMEDY}")
            return None
        if why := _EXTENSION_LAYERS.get(arn.name.removesuffix("-Arm64")):
            self._tell(function, arn.label, f"is a Lambda extension, and does not run here: {why}.")
            return None
        loop = asyncio.get_running_loop()

        def tell_of_download(size: int) -> None:
            loop.call_soon_threadsafe(self._report, LayerDownload(arn.label, size))

        try:
            async with self._turns:
                path = await run_in_thread(partial(self._fetcher.fetch, arn, tell_of_download))
                suitability = await run_in_thread(partial(self._examine, path, runtime))
                return await self._choose(function, arn, path, suitability)
        except LayerError as error:
            remedy = error.hint or _REMEDY
            self._tell(function, arn.label, f"can't be had: {error.message}. {remedy}")
            return None

    def _examine(self, path: Path, runtime: str) -> Suitability:
        return examine_layer(path, runtime, self._platform)

    @cached_property
    def _platform(self) -> Platform:
        return ask_platform(self._python)

    async def _choose(
        self, function: str, arn: LayerArn, path: Path, suitability: Suitability
    ) -> Path:
        if suitability.extensions:
            names = _join(suitability.extensions)
            self._tell(function, arn.label, f"has extensions, which do not run here: {names}.")
        if not suitability.misfits:
            return path
        self._tell(function, arn.label, _explain_misfits(suitability))
        return await run_in_thread(
            partial(
                self._fetcher.cache.keep_suitable,
                name_suitable(path, suitability.misfits),
                partial(link_suitable, path, suitability.misfits),
            )
        )

    def _tell(self, function: str, layer: str, what: str) -> None:
        text = f"its layer {layer} {what}"
        if text not in self._told:
            self._told.add(text)
            self._report(LayerRemark(function, text))


def _explain_misfits(suitability: Suitability) -> str:
    """What of a layer is not used, why, and what serves in its place."""
    reasons = "; ".join(suitability.reasons)
    remedy = _REMEDY
    if suitability.installable:
        remedy = f"Install it for your project: pip install {shlex.join(suitability.installable)}"
    return f"is used without {_join(suitability.names)}: {reasons}. {remedy}"


def _join(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN_NAMES])
    more = len(names) - _SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
