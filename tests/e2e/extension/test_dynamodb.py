"""What an application relies on in DynamoDB: one winner for a condition, and expiry."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

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
