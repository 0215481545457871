"""A client made of an event's domain name reaches the emulator that plldb's target is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.debugger.local_code import Project, value
from tests.unit.fakes import Answer, local_server

DOMAIN = "abc123.execute-api.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    "domain", [DOMAIN, "abc123.execute-api.localhost", "abc123.execute-api.localhost:4566"]
)
def test_post_to_a_connection(tmp_path: Path, domain: str) -> None:
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
    with local_server(lambda _: Answer()) as emulator:
        outcome = project.invoke(event, variables={"AWS_ENDPOINT_URL": emulator.url})
    assert value(outcome) == "posted"
    (posted,) = emulator.requests
    assert (posted.method, posted.headers["host"]) == ("POST", domain)
    assert (posted.path, posted.body) == ("/Prod/@connections/one%3D", "hello")
