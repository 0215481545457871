"""Applications in the shapes of public ones, deployed as they are and used by their own clients."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import aws_lambda_powertools
import pytest
from websockets.exceptions import InvalidStatus

from .cloud import Cloud, message, wait_for
from .websocket_api import function, websocket_api


def test_order_intake(cloud: Cloud) -> None:
    """A mapping-template authorizer, an acknowledgement route, a queue and its worker."""
    with cloud.stack("order_intake") as stack:
        api_id = stack.outputs["ApiId"]
        with pytest.raises(InvalidStatus, match="403"), cloud.connect(api_id, "live", word="now"):
            pass
        with cloud.connect(api_id, "live", word="please") as socket:
            socket.send(message("ping"))
            acknowledged = json.loads(socket.recv(timeout=30))
            assert acknowledged["ack"]
            assert len(acknowledged["to"]) == 16
            socket.send(message("order", order=7, text="a & b = c"))
            received = [json.loads(socket.recv(timeout=30)) for _ in range(2)]
        assert {"status": "queued"} in received
        assert {"order": 7, "status": "done"} in received


def test_quote_workflow(cloud: Cloud) -> None:
    """Connections kept by API Gateway itself, and a workflow's output as the answer."""
    with cloud.stack("quote_workflow") as stack:

        def connections() -> list[dict[str, Any]]:
            items: list[dict[str, Any]] = cloud.client("dynamodb").scan(
                TableName=stack.outputs["TableName"]
            )["Items"]
            return items

        with cloud.connect(stack.outputs["ApiId"], "live", name="Ada") as socket:
            (item,) = connections()
            assert item["Name"] == {"S": "Ada"}
            socket.send(message("quote", data={"item": "tea", "count": 2}))
            assert json.loads(socket.recv(timeout=30)) == {"item": "tea", "price": 6}
            socket.send(message("quote", data={"item": "tea"}))
            assert "error" in json.loads(socket.recv(timeout=30))
        assert wait_for(connections, lambda items: not items) == []


WITH_POWERTOOLS = """
import json
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes import APIGatewayWebSocketEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(service="greeter")

@logger.inject_lambda_context(correlation_id_path="requestContext.connectionId")
@event_source(data_class=APIGatewayWebSocketEvent)
def handler(event: APIGatewayWebSocketEvent, context: LambdaContext) -> dict:
    logger.info("greeting", extra={"route": event.request_context.route_key})
    if event.request_context.event_type != "MESSAGE":
        return {"statusCode": 200}
    name = json.loads(event.body)["name"]
    return {"statusCode": 200, "body": json.dumps({
        "hello": name,
        "route": event.request_context.route_key,
        "stage": event.request_context.stage,
        "connection": event.request_context.connection_id == logger.get_correlation_id(),
    })}
"""


def bundled_with_powertools(code: str) -> bytes:
    """A zip of ``code`` and the library beside it."""
    package = Path(aws_lambda_powertools.__file__).parent
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.py", code)
        for module in package.rglob("*.py"):
            archive.write(module, module.relative_to(package.parent))
    return buffer.getvalue()


def test_handler_with_powertools(cloud: Cloud) -> None:
    """The event as the library's class for it reads it, on every kind of route."""
    with (
        function(cloud, bundled_with_powertools(WITH_POWERTOOLS)) as uri,
        websocket_api(cloud) as api,
    ):
        for key in ("$connect", "$disconnect", "greet"):
            api.add_route(
                key, two_way=key == "greet", IntegrationType="AWS_PROXY", IntegrationUri=uri
            )
        answer = api.ask({"action": "greet", "name": "Ada"})
    assert answer == {"hello": "Ada", "route": "greet", "stage": "test", "connection": True}


def test_posts_reach_everybody_by_a_stream(cloud: Cloud) -> None:
    """A table's stream, a filter, and a function that makes its client of the API's public name."""
    with cloud.stack("stream_fan_out") as stack:
        api_id, posts = stack.outputs["ApiId"], cloud.client("dynamodb")
        with cloud.connect(api_id, "live") as first, cloud.connect(api_id, "live") as second:
            item = {"postId": {"S": "1"}, "text": {"S": "hello, everybody"}}
            posts.put_item(TableName=stack.outputs["Posts"], Item=item)
            assert first.recv(timeout=30) == second.recv(timeout=30) == "hello, everybody"


def test_chat_of_the_cdk(cloud: Cloud) -> None:
    """As synthesized; whoever bootstraps the CDK has the parameter that its stacks ask for."""
    cloud.client("ssm").put_parameter(
        Name="/cdk-bootstrap/hnb659fds/version", Value="27", Type="String", Overwrite=True
    )
    with cloud.stack("cdk_chat") as stack:
        api_id = stack.outputs["ApiId"]
        with cloud.connect(api_id, "live") as first, cloud.connect(api_id, "live") as second:
            first.send("hello")
            assert first.recv(timeout=30) == second.recv(timeout=30) == "hello"
