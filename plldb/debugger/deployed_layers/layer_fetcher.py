"""Fetches a version of a layer, once: asks Lambda where it is, downloads it and keeps it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import requests

from plldb.aws import Target, aws_errors
from plldb.debugger.deployed_layers.arrangement import LayerArn
from plldb.debugger.deployed_layers.extraction import MAX_BYTES, extract_layer
from plldb.debugger.deployed_layers.layer_cache import LayerCache
from plldb.debugger.http_session import TIMEOUT_SECONDS, open_session_for_signed
from plldb.errors import AccessDeniedError, AwsError, LayerError, PlldbError
from plldb.network_refusals import find_refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

_CHUNK = 1024 * 1024
_NETWORK_HINT = "Check the network; a new 'plldb attach' tries again."


class LayerFetcher:
    """With the developer's credentials: whoever owns a layer says who may have it.

    ``describe`` is GetLayerVersionByArn. ``reach`` turns a URL that an emulator hands out into one
    that is reached from here. ``is_lasting``: a version never changes, as on AWS; an emulator that
    was started anew gives the same ARN to another one.
    """

    def __init__(
        self,
        describe: Callable[[LayerArn], dict[str, Any]],
        cache: LayerCache,
        *,
        reach: Callable[[str], str] = lambda url: url,
        ca_bundle: Path | None = None,
        is_lasting: bool = True,
    ) -> None:
        self._describe = describe
        self.cache = cache
        self._reach = reach
        self._is_lasting = is_lasting
        self._http = open_session_for_signed(ca_bundle)

    @classmethod
    def of_target(cls, target: Target, folder: Path) -> Self:
        return cls(
            partial(get_layer_version, target),
            LayerCache(folder),
            reach=target.reachable_url,
            ca_bundle=target.ca_bundle,
            is_lasting=target.is_aws,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def fetch(self, arn: LayerArn, on_download: Callable[[int], None] = lambda _: None) -> Path:
        """The folder with what the version has in /opt. Blocks. Raises LayerError.

        ``on_download`` is told how many bytes there are to download, if there are any.
        """
        known = self.cache.find_version(arn.text) if self._is_lasting else None
        if known is not None:
            logger.debug("layer %s is in the cache", arn.label)
            return known
        content = self._describe(arn).get("Content") or {}
        sha256 = _read_sha256(content)
        download = partial(self._download, arn, content, sha256, on_download)
        path = self.cache.keep_content(sha256, download)
        if self._is_lasting:
            self.cache.remember_version(arn.text, sha256)
        return path

    def _download(
        self,
        arn: LayerArn,
        content: dict[str, Any],
        sha256: str,
        on_download: Callable[[int], None],
        folder: Path,
    ) -> None:
        on_download(int(content.get("CodeSize", 0)))
        place = self.cache.make_download()
        try:
            archive = place / "layer.zip"
            size = self._save(str(content["Location"]), archive, sha256)
            extract_layer(archive, folder)
            # A layer without one has no packages: it is not taken for what a build would put there.
            (folder / "python").mkdir(exist_ok=True)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        logger.info("layer %s was downloaded: %d bytes", arn.label, size)

    def _save(self, url: str, archive: Path, sha256: str) -> int:
        digest, size = hashlib.sha256(), 0
        with _explaining_network_errors(), self._open(url) as response, archive.open("wb") as file:
            if not response.ok:
                raise LayerError(f"its download was refused with {response.status_code}")
            for chunk in response.iter_content(_CHUNK):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise LayerError("its download is larger than Lambda's 250 MB")
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != sha256:
            raise LayerError(
                "what was downloaded is not what Lambda says it is (CodeSha256)", _NETWORK_HINT
            )
        return size

    def _open(self, url: str) -> requests.Response:
        # An archive is not to be unpacked on its way, whatever a proxy makes of it.
        headers = {"Accept-Encoding": "identity"}
        return self._http.get(
            self._reach(url), stream=True, timeout=TIMEOUT_SECONDS, headers=headers
        )


def get_layer_version(target: Target, arn: LayerArn) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersionByArn.html

    It answers for its own region only.
    """
    try:
        with aws_errors(f"look at layer {arn.label}"):
            client = target.client("lambda", arn.region)
            found: dict[str, Any] = client.get_layer_version_by_arn(Arn=arn.text)
            return found
    except AccessDeniedError as error:
        raise LayerError(
            "these credentials may not read it",
            f"Allow them lambda:GetLayerVersion on {arn.text}; of another account's layer, its "
            "owner has to allow it as well.",
        ) from error
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            raise LayerError(
                f"there is no such version in {arn.region} (any more)",
                "Publish it again, and deploy the function with the new version.",
            ) from error
        raise LayerError(error.message.rstrip("."), error.hint) from error
    except PlldbError as error:
        raise LayerError(error.message.rstrip("."), error.hint) from error


def _read_sha256(content: dict[str, Any]) -> str:
    """Raises LayerError where an emulator has a layer in name only."""
    try:
        digest = base64.b64decode(content["CodeSha256"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        digest = b""
    if len(digest) != hashlib.sha256().digest_size or not content.get("Location"):
        raise LayerError("Lambda says nothing of its content", "An emulator may not have it.")
    return digest.hex()


@contextmanager
def _explaining_network_errors() -> Iterator[None]:
    """Without the URL, nor the cause, which quotes it: whoever has it can read the layer."""
    try:
        yield
    except requests.RequestException as error:
        if problem := find_refusal("its download's server", error):
            raise LayerError(problem.message.rstrip("."), problem.hint) from None
        raise LayerError(f"its download broke off: {type(error).__name__}", _NETWORK_HINT) from None
