"""Lambda's layers behind a real HTTP server: what GetLayerVersionByArn says, and the archives."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from plldb.aws import Target
from plldb.config import EmulatorAddress, TargetSettings
from tests.unit.debugger.deployed_layers.archives import digest

SIGNATURE = "X-Amz-Signature=5ecre7"


def arn(name: str, version: int = 1, region: str = "eu-west-1") -> str:
    return f"arn:aws:lambda:{region}:123456789012:layer:{name}:{version}"


@dataclass
class LayerStore:
    """``layers`` are archives by ARN. ``refusals`` are answers in place of that: status and code.

    ``tampered`` are archives that are downloaded in place of their layers, ``cut`` the layers whose
    download breaks off half-way, ``broken`` the status of their downloads.
    """

    url: str = ""
    layers: dict[str, bytes] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    tampered: dict[str, bytes] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    broken: dict[str, int] = field(default_factory=dict)
    descriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    # What was asked for: ARNs, and the regions that requests were signed for.
    described: list[str] = field(default_factory=list)
    regions: list[str] = field(default_factory=list)
    downloaded: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    # Downloads wait for it.
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def target(self) -> Target:
        """One whose Lambda this is, and whose functions see it elsewhere."""
        address = EmulatorAddress(self.url, "http://inside:4566")
        return Target(TargetSettings("emulator", "us-east-1", emulator=address))

    def describe(self, text: str) -> tuple[int, dict[str, Any]]:
        self.described.append(text)
        if text in self.refusals:
            status, code = self.refusals[text]
            return status, {"__type": code, "Code": code, "message": f"{code} of {text}"}
        if text in self.descriptions:
            return 200, self.descriptions[text]
        if text not in self.layers:
            return 404, {"__type": "ResourceNotFoundException", "message": "no such resource"}
        archive = self.layers[text]
        return 200, {
            "LayerVersionArn": text,
            "Content": {
                "Location": f"http://inside:4566/content/{text}?{SIGNATURE}",
                "CodeSha256": digest(archive),
                "CodeSize": len(archive),
            },
        }


@contextmanager
def layer_store() -> Iterator[LayerStore]:
    store = LayerStore()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path.startswith("/content/"):
                self._send_archive(url.path.removeprefix("/content/"))
                return
            store.regions.append(self.headers["Authorization"].split("/")[2])
            status, answer = store.describe(parse_qs(url.query)["Arn"][0])
            kind = {"x-amzn-ErrorType": answer.get("__type", "")}
            self._send(status, json.dumps(answer).encode(), kind)

        def _send_archive(self, text: str) -> None:
            store.downloaded.append(text)
            store.headers.append({name.lower(): value for name, value in self.headers.items()})
            store.gate.wait(10)
            archive = store.tampered.get(text, store.layers[text])
            sent = archive[: len(archive) // 2] if text in store.cut else archive
            self._send(store.broken.get(text, 200), sent, {"Content-Length": str(len(archive))})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        store.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield store
        finally:
            store.gate.set()
            server.shutdown()
            thread.join()
