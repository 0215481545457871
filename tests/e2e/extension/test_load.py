"""Many clients at once, and nothing left behind when they are gone."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from .cloud import Cloud, Stack, message, wait_for
from .conftest import FEW_KEPT, FEW_WORKERS
from .websocket_api import function

CLIENTS = 100
ECHOES = 20
CYCLES = 100
ROUNDS = 4
REFUSALS = 600
AT_ONCE = 10
DROPPED = 3 * FEW_WORKERS
COUNTED = ("connections", "fileDescriptors", "subprocesses", "threads", "zombies")


def url_of(cloud: Cloud, stack: Stack) -> str:
    base = cloud.stage_url(stack.outputs["ApiId"], "test").replace("http", "ws", 1)
    return f"{base}?{urlencode({'token': 'allow', 'connect': '200', 'quiet': '1'})}"


async def echo(url: str, client: int) -> list[Any]:
    """Everything a client got back for messages sent without waiting."""
    async with connect(url, open_timeout=60, ping_interval=None) as socket:
        for number in range(ECHOES):
            await socket.send(message("echo", client=client, number=number))
        return [json.loads(await asyncio.wait_for(socket.recv(), 60)) for _ in range(ECHOES)]


def test_many_clients_at_once(cloud: Cloud, playground: Stack) -> None:
    async def everybody() -> list[list[Any]]:
        url = url_of(cloud, playground)
        return await asyncio.gather(*(echo(url, client) for client in range(CLIENTS)))

    for client, answers in enumerate(asyncio.run(everybody())):
        assert [(answer["client"], answer["number"]) for answer in answers] == [
            (client, number) for number in range(ECHOES)
        ]
    assert wait_for(lambda: cloud.diagnostics()["connections"], lambda count: count == 0) == 0


def test_all_dropped_at_once(narrow_cloud: Cloud) -> None:
    """Many times more than the threads for HTTP requests, one of which each ``$disconnect`` needs
    for its item: all are written, and the emulator answers all the while."""
    with narrow_cloud.stack("playground") as stack:
        url = url_of(narrow_cloud, stack)

        async def connect_and_drop() -> None:
            sockets = [
                await connect(url, open_timeout=60, ping_interval=None) for _ in range(DROPPED)
            ]
            for socket in sockets:
                socket.transport.abort()

        asyncio.run(connect_and_drop())

        def written() -> int:
            narrow_cloud.diagnostics()
            table = stack.outputs["JournalName"]
            count = narrow_cloud.client("dynamodb").scan(TableName=table, Select="COUNT")["Count"]
            return int(count)

        assert wait_for(written, lambda count: count == DROPPED) == DROPPED


def test_many_invocations_at_once(narrow_cloud: Cloud) -> None:
    """Each function calls the emulator, while the others' callers wait for their answers."""
    buckets = "import boto3\ndef handler(e, c): return len(boto3.client('s3').list_buckets())\n"
    with function(narrow_cloud, buckets) as uri:
        arn = uri.partition("/functions/")[2].partition("/invocations")[0]

        clients = [narrow_cloud.new_client("lambda") for _ in range(FEW_WORKERS + 4)]

        def invoke(client: Any) -> bytes:
            payload: bytes = client.invoke(FunctionName=arn)["Payload"].read()
            return payload

        with ThreadPoolExecutor(len(clients)) as callers:
            assert all(answer.isdigit() for answer in callers.map(invoke, clients))


def test_the_newest_logs_and_data_points_are_kept(narrow_cloud: Cloud) -> None:
    """Those of the last invocations, however many there were; a tenth more may be there."""
    client, logs = narrow_cloud.client("lambda"), narrow_cloud.client("logs")
    with function(narrow_cloud, "def handler(e, c): print('number', e)\n") as uri:
        arn = uri.partition("/functions/")[2].partition("/invocations")[0]
        name = arn.rpartition(":")[2]
        for number in range(FEW_KEPT + FEW_KEPT // 2):
            client.invoke(FunctionName=arn, Payload=str(number))

        def lines() -> list[str]:
            events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
            return [event["message"].strip() for event in events]

        kept = range(FEW_KEPT, FEW_KEPT + FEW_KEPT // 10 + 1)
        last = f"number {number}"
        logged = wait_for(lines, lambda found: last in found and len(found) in kept)
        assert last in logged
        assert len(logged) in kept
        assert wait_for(lambda: invocations_of(narrow_cloud, name), kept.__contains__) in kept


def invocations_of(cloud: Cloud, name: str) -> int:
    now = datetime.now(UTC)
    points = cloud.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="Invocations",
        Dimensions=[{"Name": "FunctionName", "Value": name}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=60,
        Statistics=["SampleCount"],
    )["Datapoints"]
    return int(sum(point["SampleCount"] for point in points))


def test_many_refusals_at_once(cloud: Cloud, playground: Stack) -> None:
    """Each is heard, and whoever comes next, too."""
    base = cloud.stage_url(playground.outputs["ApiId"], "test").replace("http", "ws", 1)

    async def refused() -> int:
        try:
            await connect(f"{base}?token=deny", open_timeout=60)
        except InvalidStatus as refusal:
            return refusal.response.status_code
        raise AssertionError("it was let in")

    async def everybody() -> list[int]:
        return await asyncio.gather(*(refused() for _ in range(AT_ONCE * 3)))

    for _ in range(REFUSALS // (AT_ONCE * 3)):
        assert asyncio.run(everybody()) == [403] * AT_ONCE * 3


async def cycle(url: str, times: int) -> None:
    for _ in range(times):
        async with connect(url, open_timeout=60, ping_interval=None):
            pass


def connect_and_leave(url: str, times: int, at_once: int) -> None:
    async def everybody() -> None:
        await asyncio.gather(*(cycle(url, times // at_once) for _ in range(at_once)))

    asyncio.run(everybody())


def test_nothing_is_left_behind(cloud: Cloud, playground: Stack) -> None:
    """Counts before and after a round. The pools grow to what a load needs, in the first rounds;
    what is left behind would grow with each."""
    url = url_of(cloud, playground)
    connect_and_leave(url, CYCLES, at_once=3 * AT_ONCE)
    for _ in range(ROUNDS):
        before = settled(cloud)
        connect_and_leave(url, CYCLES, at_once=AT_ONCE)
        after = wait_for(cloud.diagnostics, lambda now: not grown(before, now))  # noqa: B023
        if not grown(before, after):
            return
    raise AssertionError((before, after))


def grown(before: dict[str, Any], after: dict[str, Any]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in COUNTED if after[name] > before[name]}


def settled(cloud: Cloud) -> dict[str, Any]:
    """Counts that twenty looks in a row, over a second, agree on."""
    looks: list[dict[str, Any]] = []

    def quiet() -> bool:
        looks.append(cloud.diagnostics())
        recent = [[look[name] for name in COUNTED] for look in looks[-20:]]
        return len(recent) == 20 and all(look == recent[0] for look in recent)

    wait_for(quiet)
    return looks[-1]
