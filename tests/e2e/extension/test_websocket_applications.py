"""Applications in the shapes of public ones, deployed as they are and used by their own clients."""

import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from .cloud import Cloud, message, wait_for


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
