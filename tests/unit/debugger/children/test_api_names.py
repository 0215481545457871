"""A client made of an event's domain name reaches the emulator that plldb's target is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.unit.debugger.local_code import Project, value

DOMAIN = "abc123.execute-api.eu-central-1.amazonaws.com"


@pytest.fixture
def emulator() -> Iterator[Any]:
    """It keeps the Host, the path and the body of what is posted, in ``posted``."""

    class Emulator(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.headers["Host"], self.path, body.decode()))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            pass

    posted: list[tuple[str, str, str]] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Emulator) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", posted
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "domain", [DOMAIN, "abc123.execute-api.localhost", "abc123.execute-api.localhost:4566"]
)
def test_post_to_a_connection(tmp_path: Path, emulator: Any, domain: str) -> None:
    endpoint, posted = emulator
    project = Project(tmp_path)
    project.write("""
        import boto3
        def handler(event, context):
            where = event["requestContext"]
            client = boto3.client("apigatewaymanagementapi", region_name="eu-central-1",
                aws_access_key_id="k", aws_secret_access_key="s",
                endpoint_url=f"https://{where['domainName']}/{where['stage']}")
            client.post_to_connection(ConnectionId="one=", Data=b"hello")
            return "posted"
    """)
    event = {"requestContext": {"domainName": domain, "stage": "Prod"}}
    outcome = project.invoke(event, variables={"AWS_ENDPOINT_URL": endpoint})
    assert value(outcome) == "posted"
    assert posted == [(domain, "/Prod/@connections/one%3D", "hello")]
