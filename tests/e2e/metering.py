"""A meter between the helper stack's functions and what they pay for: tables and connections."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import urllib3

from tests.capacity import read_units, write_units

from .support import Backend, poll

FUNCTIONS = (
    "ManagementFunction",
    "AuthorizerFunction",
    "ConnectFunction",
    "DisconnectFunction",
    "MessageFunction",
    "InstrumentationFunction",
    "ReaperFunction",
)
_TABLES, _CONNECTIONS = "AWS_ENDPOINT_URL_DYNAMODB", "PLLDB_CONNECTIONS_URL"
_WRITES = ("PutItem", "UpdateItem", "DeleteItem")


class Meter:
    """Hands calls on, and counts the units that AWS would ask for.

    Writes go one after the other, so that it sees each item as it was before. Of what is filtered
    out of a scan it does not know.
    """

    def __init__(self, backend: Backend, endpoint_url: str) -> None:
        self._dynamodb = backend.target.client("dynamodb")
        # A connection that was kept may have been ended meanwhile; nothing was done then.
        again = urllib3.Retry(total=1, allowed_methods=None, redirect=False)
        self._endpoint = urllib3.connection_from_url(endpoint_url, maxsize=16, retries=again)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._counting, self._writing = threading.Lock(), threading.Lock()
        self._units: Counter[str] = Counter()
        self._describe = cache(self._describe_table)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
            self._endpoint.close()

    def read(self) -> dict[str, float]:
        """All units so far: ``dynamodb_write``, ``dynamodb_read``, ``posted``."""
        with self._counting:
            return dict(self._units)

    def _count(self, unit: str, units: float) -> None:
        with self._counting:
            self._units[unit] += units  # type: ignore[assignment]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        meter = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _hand_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, answer = meter._metered(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                kind = "application/x-amz-json-1.0"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                # Whoever has called may have been ended meanwhile.
                with suppress(OSError):
                    self.end_headers()
                    self.wfile.write(answer)

            do_GET = do_POST = do_DELETE = _hand_on  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler

    def _metered(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        operation = headers.get("X-Amz-Target", "").rpartition(".")[2]
        if operation in _WRITES:
            return self._write(path, headers, body)
        status, answer = self._forward(method, path, headers, body)
        if not operation:
            self._count("posted", int(method == "POST" and status < 400))
        elif status < 400:
            self._count("dynamodb_read", self._read_units(operation, body, answer))
        return status, answer

    def _forward(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        """With its own Host header, which is signed."""
        answer = self._endpoint.urlopen(method, path, body=body, headers=headers)
        return answer.status, answer.data

    def _write(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        request = json.loads(body)
        name = request["TableName"]
        key_name, indexes = self._describe(name)
        key = {key_name: request.get("Key", request.get("Item", {}))[key_name]}
        with self._writing:
            before = self._find(name, key)
            status, answer = self._forward("POST", path, headers, body)
            after = self._find(name, key)
        self._count("dynamodb_write", write_units(before, after, key_name, indexes))
        return status, answer

    def _find(self, name: str, key: Any) -> Any:
        found = self._dynamodb.get_item(TableName=name, Key=key, ConsistentRead=True)
        return found.get("Item")

    def _describe_table(self, name: str) -> tuple[str, list[Any]]:
        table = self._dynamodb.describe_table(TableName=name)["Table"]
        (key,) = [part["AttributeName"] for part in table["KeySchema"]]
        return key, list(table.get("GlobalSecondaryIndexes", []))

    def _read_units(self, operation: str, body: bytes, answer: bytes) -> float:
        request, found = json.loads(body), json.loads(answer)
        match operation:
            case "BatchGetItem":
                ((table, asked),) = request["RequestItems"].items()
                is_consistent = bool(asked.get("ConsistentRead"))
                items = found["Responses"].get(table, [])
                missing = len(asked["Keys"]) - len(items)
                groups = [[one] for one in items] + [[]] * missing
            case "GetItem":
                is_consistent = bool(request.get("ConsistentRead"))
                groups = [[found["Item"]] if "Item" in found else []]
            case _:
                is_consistent = bool(request.get("ConsistentRead"))
                groups = [found.get("Items", [])]
        return sum(read_units(group, is_consistent=is_consistent) for group in groups)


@contextmanager
def metered(backend: Backend, endpoint_url: str) -> Iterator[Meter]:
    """All functions of the helper stack reach tables and connections through the meter."""
    meter = Meter(backend, endpoint_url)
    with meter.serving(), _led_through(backend, meter.url, FUNCTIONS):
        yield meter


@contextmanager
def _led_through(backend: Backend, url: str, logical_ids: Iterable[str]) -> Iterator[None]:
    functions = backend.target.client("lambda")
    names = [backend.function_name(logical_id) for logical_id in logical_ids]
    before = {
        name: dict(
            functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        )
        for name in names
    }
    try:
        for name, variables in before.items():
            _set_variables(functions, name, _lead_through(url, variables))
        yield
    finally:
        for name, variables in before.items():
            _set_variables(functions, name, variables)


def _lead_through(url: str, variables: Mapping[str, str]) -> dict[str, str]:
    led = dict(variables) | {_TABLES: url}
    if connections := variables.get(_CONNECTIONS):
        led[_CONNECTIONS] = url + urlsplit(connections).path
    return led


def _set_variables(functions: Any, name: str, variables: Mapping[str, str]) -> None:
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": dict(variables)}
    )
    poll(
        lambda: (
            functions.get_function_configuration(FunctionName=name).get("LastUpdateStatus")
            != "InProgress"
        ),
        f"{name} is updated",
    )
