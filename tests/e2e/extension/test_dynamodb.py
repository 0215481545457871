"""What an application relies on in DynamoDB: one winner for a condition, and expiry."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from .cloud import Cloud, wait_for


def test_one_of_many_conditional_writes_wins(cloud: Cloud, table: str) -> None:
    dynamodb = cloud.client("dynamodb")
    dynamodb.put_item(TableName=table, Item={"Id": {"S": "a"}, "Status": {"S": "PENDING"}})

    def activate(winner: int) -> bool:
        try:
            dynamodb.update_item(
                TableName=table,
                Key={"Id": {"S": "a"}},
                UpdateExpression="SET #s = :active, Winner = :winner",
                ConditionExpression="#s = :pending",
                ExpressionAttributeNames={"#s": "Status"},
                ExpressionAttributeValues={
                    ":active": {"S": "ACTIVE"},
                    ":pending": {"S": "PENDING"},
                    ":winner": {"N": str(winner)},
                },
            )
        except dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        results = list(pool.map(activate, range(40)))
    assert results.count(True) == 1
    item = dynamodb.get_item(TableName=table, Key={"Id": {"S": "a"}})["Item"]
    assert item["Winner"]["N"] == str(results.index(True))


def test_what_is_said_of_an_item_is_said_as_aws_says_it(cloud: Cloud, table: str) -> None:
    """To whoever reads the answer without an SDK, too."""
    item = {"Id": {"S": "ä"}, "Data": {"B": "AAEC"}, "Count": {"N": "1.50"}}
    key = {"Id": item["Id"]}
    change = {
        "UpdateExpression": "SET Holder = :owner",
        "ExpressionAttributeValues": {":owner": {"S": "o"}},
        "ReturnValues": "ALL_NEW",
    }
    where = {
        "KeyConditionExpression": "Id = :id",
        "ExpressionAttributeValues": {":id": item["Id"]},
    }
    changed = item | {"Holder": {"S": "o"}}
    calls: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("GetItem", {"Key": key}, {}),
        ("PutItem", {"Item": item}, {}),
        ("GetItem", {"Key": key}, {"Item": item}),
        ("UpdateItem", {"Key": key, **change}, {"Attributes": changed}),
        ("Query", where, {"Items": [changed], "Count": 1, "ScannedCount": 1}),
    ]
    for operation, arguments, answer in calls:
        response = _ask(cloud, operation, {"TableName": table, **arguments})
        assert response.status_code == 200
        # What an update has consumed is told unasked.
        assert {k: v for k, v in response.json().items() if k != "ConsumedCapacity"} == answer
        assert response.headers["Content-Type"] == "application/x-amz-json-1.0"
        assert response.headers["x-amzn-RequestId"]


def test_a_refusal_says_what_stands_there(cloud: Cloud, table: str) -> None:
    key = {"Id": {"S": "b"}}
    _ask(cloud, "PutItem", {"TableName": table, "Item": key})
    refused = _ask(
        cloud,
        "UpdateItem",
        {
            "TableName": table,
            "Key": key,
            "UpdateExpression": "SET Holder = :owner",
            "ConditionExpression": "attribute_exists(Holder)",
            "ExpressionAttributeValues": {":owner": {"S": "o"}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
    )
    assert refused.status_code == 400
    assert refused.json()["__type"].endswith("ConditionalCheckFailedException")
    assert refused.json()["Item"] == key


def _ask(cloud: Cloud, operation: str, arguments: dict[str, Any]) -> requests.Response:
    signed_by = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request"
    return requests.post(
        cloud.endpoint,
        json.dumps(arguments),
        headers={
            "Authorization": f"{signed_by}, SignedHeaders=host, Signature=0",
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        },
        timeout=30,
    )


def test_expired_items_go(cloud: Cloud, table: str) -> None:
    dynamodb = cloud.client("dynamodb")
    now = int(time.time())
    expiries: dict[str, dict[str, Any]] = {
        "past": {"N": str(now - 10)},
        "future": {"N": str(now + 600)},
        "long ago": {"N": str(now - 6 * 365 * 24 * 3600)},
        "text": {"S": str(now - 10)},
    }
    for name, expires in expiries.items():
        dynamodb.put_item(TableName=table, Item={"Id": {"S": name}, "Expires": expires})
    dynamodb.update_time_to_live(
        TableName=table,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "Expires"},
    )

    def left() -> set[str]:
        return {item["Id"]["S"] for item in dynamodb.scan(TableName=table)["Items"]}

    assert wait_for(left, lambda names: "past" not in names) == {"future", "long ago", "text"}


def test_changes_of_a_table_reach_a_function(cloud: Cloud) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html"""
    with cloud.stack("table_stream") as stack:
        client, name = cloud.client("dynamodb"), stack.outputs["Items"]
        key = {"Id": {"S": "a"}}
        client.put_item(TableName=name, Item=key | {"N": {"N": "1"}})
        client.put_item(TableName=name, Item=key | {"N": {"N": "2"}})
        client.delete_item(TableName=name, Key=key)

        def records() -> dict[str, Any]:
            items = client.scan(TableName=stack.outputs["Seen"])["Items"]
            return {item["Id"]["S"]: json.loads(item["Record"]["S"]) for item in items}

        seen = wait_for(records, lambda found: len(found) == 3)
    assert set(seen) == {"INSERT", "MODIFY", "REMOVE"}
    assert seen["INSERT"]["eventSource"] == "aws:dynamodb"
    assert seen["INSERT"]["dynamodb"]["NewImage"] == {"Id": {"S": "a"}, "N": {"N": "1"}}
    assert "OldImage" not in seen["INSERT"]["dynamodb"]
    assert seen["MODIFY"]["dynamodb"]["OldImage"]["N"] == {"N": "1"}
    assert seen["MODIFY"]["dynamodb"]["NewImage"]["N"] == {"N": "2"}
    assert "NewImage" not in seen["REMOVE"]["dynamodb"]
    assert seen["REMOVE"]["dynamodb"]["Keys"] == key
