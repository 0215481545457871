"""What the end-to-end tests share: the command line as a process, polling, raw clients."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import boto3
import requests
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from pexpect.fdpexpect import fdspawn
from requests_aws4auth import AWS4Auth
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import InvalidStatus

from plldb.aws import Target
from plldb.stacks import HelperStack

DEADLINE_SECONDS = 90
# For an emulator that is started, a helper stack and a stack, on a busy machine.
SETUP_SECONDS = 400
# Arguments of attach and dev for who calls a function without seeing who has answered.
PATIENT = ("--when-absent", "wait")
# What CloudFormation refuses before it makes anything, on AWS as on emulators, and what it names.
REFUSED_RESOURCE = "{Type: AWS::SNS::Topic, Properties: {TopicName: !FindInMap [No, such, name]}}"
REFUSED_NAME = "No::such::name"
# Stands in the name of all that is made, so that a run can be cleaned up after. See
# tools/aws_acceptance.py.
RUN_VARIABLE = "E2E_RUN"
_T = TypeVar("_T")


def poll(
    look: Callable[[], _T], what: str, seconds: float = DEADLINE_SECONDS, pause: float = 0.02
) -> _T:
    """The first truthy answer of ``look``."""
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(pause)
    return answer


def at_terminal(descriptor: int) -> fdspawn:
    """Who reads and types at the other side of a terminal, as a person would."""
    return fdspawn(descriptor, timeout=DEADLINE_SECONDS, encoding="utf-8", codec_errors="replace")


def random_name(prefix: str) -> str:
    return f"{prefix}-{os.environ.get(RUN_VARIABLE, '')}{uuid.uuid4().hex[:8]}"


def delete_stack(target: Target, name: str) -> None:
    """And waits until it is gone."""
    cloudformation = target.client("cloudformation")
    cloudformation.delete_stack(StackName=name)
    waiter = cloudformation.get_waiter("stack_delete_complete")
    waiter.wait(StackName=name, WaiterConfig={"Delay": 1})


def bucket_location(region: str) -> dict[str, Any]:
    """What CreateBucket is given. us-east-1 is where buckets are, and is refused by its name.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucketConfiguration.html
    """
    where = {"LocationConstraint": region}
    return {} if region == "us-east-1" else {"CreateBucketConfiguration": where}


# --- The command line --------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    exit_code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        (line,) = self.stdout.splitlines()
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer

    def succeeded(self) -> Self:
        assert self.exit_code == 0, f"exit code {self.exit_code}\n{self.stdout}\n{self.stderr}"
        return self

    def failed(self, exit_code: int = 1) -> Self:
        """It failed as an expected error: no traceback."""
        assert self.exit_code == exit_code, f"{self.exit_code}\n{self.stdout}\n{self.stderr}"
        assert "Traceback" not in self.stderr, self.stderr
        return self


class Plldb:
    """Runs ``plldb`` with a fixed environment, and keeps all that it ever said."""

    def __init__(self, environment: Mapping[str, str], folder: Path | None = None) -> None:
        self.environment = dict(environment)
        self.folder = folder
        self.said: list[str] = []

    def with_environment(self, **variables: str) -> Plldb:
        other = Plldb(self.environment | variables, self.folder)
        other.said = self.said
        return other

    def within(self, folder: Path) -> Plldb:
        """The same, in another working directory."""
        other = Plldb(self.environment, folder)
        other.said = self.said
        return other

    def __call__(self, *arguments: str, timeout: float = SETUP_SECONDS) -> Result:
        started = time.perf_counter()
        with self.start(*arguments) as process:
            try:
                stdout, stderr = process.communicate(timeout=timeout)
            finally:
                process.kill()
        self.said += [stdout, stderr]
        return Result(process.returncode, stdout, stderr, time.perf_counter() - started)

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "plldb"]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.command, *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def attach(self, stack_name: str, *arguments: str) -> Attached:
        command = ("attach", "--stack-name", stack_name, "--output", "json", *arguments)
        return Attached(self.start(*command), self.said)


class Attached:
    """A running ``plldb attach``; its events are read as they come."""

    def __init__(self, process: subprocess.Popen[str], said: list[str]) -> None:
        self.process = process
        self._said = said
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.seen: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self._said.append(self._stderr())

    def wait_for(
        self, event: str, seconds: float = DEADLINE_SECONDS, **fields: Any
    ) -> dict[str, Any]:
        """The next event of that name with these fields; those before it are passed over."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                wanted = {"event": event} | fields
                raise AssertionError(f"no {wanted}; seen: {self.seen}") from None
            if found is None:
                raise AssertionError(f"ended before {event!r}: {self.seen} {self._stderr()}")
            if found.items() >= ({"event": event} | fields).items():
                return found

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_code(self, seconds: float = DEADLINE_SECONDS) -> int:
        return self.process.wait(timeout=seconds)

    def errors(self) -> str:
        """What it said on stderr, once it has ended."""
        self.process.wait(timeout=DEADLINE_SECONDS)
        return self._stderr()

    def _stderr(self) -> str:
        assert self.process.stderr is not None
        if not hasattr(self, "_errors"):
            with self.process.stderr:
                self._errors = self.process.stderr.read()
        return self._errors

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self._said.append(line)
                event = json.loads(line)
                self.seen.append(event)
                self._events.put(event)
        self._events.put(None)


# --- The helper stack, without plldb -------------------------------------------------------------


@dataclass(frozen=True)
class Keys:
    """An access key of a principal."""

    access_key_id: str
    secret_access_key: str


class FunctionFailedError(AssertionError):
    """One of the helper stack's functions, called through the Lambda API, has raised."""

    def __init__(self, returned: dict[str, Any]) -> None:
        super().__init__(returned)
        self.kind = returned.get("errorType")


class Backend:
    """The deployed helper stack, spoken to directly: REST, WebSocket, table."""

    def __init__(self, target: Target, helper: HelperStack) -> None:
        self.target = target
        self.helper = helper
        self._dynamodb = target.client("dynamodb")

    def post_sessions(self, body: Any, keys: Keys | None = None) -> requests.Response:
        """``body``: bytes as they are, anything else as JSON. Signed by root unless keys say."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        auth = self.target.execute_api_auth() if keys is None else self.signed_by(keys)
        return self.post_unsigned(data, auth)

    def call(
        self, method: str, path: str, keys: Keys | None = None, **query: Any
    ) -> requests.Response:
        """A signed request to the management API, without a body.

        A question is asked again while a busy emulator takes longer for it than the function has.
        """
        until = time.monotonic() + DEADLINE_SECONDS
        while True:
            response = requests.request(
                method,
                f"{self.helper.management_api_url}{path}",
                params=query,
                auth=self.target.execute_api_auth() if keys is None else self.signed_by(keys),
                timeout=DEADLINE_SECONDS,
            )
            is_late = method == "GET" and "Task timed out" in response.text
            if not is_late or time.monotonic() > until:
                return response

    def post_unsigned(self, data: bytes, auth: Any = None) -> requests.Response:
        return requests.post(
            f"{self.helper.management_api_url}/sessions",
            data=data,
            auth=auth,
            headers={"Content-Type": "application/json"},
            timeout=DEADLINE_SECONDS,
        )

    def signed_by(self, keys: Keys) -> AWS4Auth:
        return AWS4Auth(
            keys.access_key_id, keys.secret_access_key, self.target.region, "execute-api"
        )

    def new_session(self, stack_name: str | None = None) -> str:
        """PENDING; unless a stack is named, of one that no other test knows.

        Asks again while the helper stack fails: an engine that is busy does not answer it in time.
        """
        body = {"stackName": stack_name or random_name("stack")}
        until = time.monotonic() + DEADLINE_SECONDS
        response = self.post_sessions(body)
        while response.status_code >= 500 and time.monotonic() < until:
            response = self.post_sessions(body)
        assert response.status_code == 201, response.text
        return str(response.json()["sessionId"])

    def item(self, session_id: str) -> dict[str, Any]:
        """The session's item, attribute → plain value; empty if there is none."""
        found = self._dynamodb.get_item(
            TableName=self.helper.sessions_table,
            Key={"SessionId": {"S": session_id}},
            ConsistentRead=True,
        )
        return {name: next(iter(value.values())) for name, value in found.get("Item", {}).items()}

    def set_attributes(self, session_id: str, **values: int | str) -> None:
        """Of the session's item, past every rule of the helper stack; none if it is not there."""
        with suppress(self._dynamodb.exceptions.ConditionalCheckFailedException):
            self._dynamodb.update_item(
                TableName=self.helper.sessions_table,
                Key={"SessionId": {"S": session_id}},
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
                ConditionExpression="attribute_exists(SessionId)",
                ExpressionAttributeNames={f"#{name}": name for name in values},
                ExpressionAttributeValues={
                    f":{name}": {"N": str(value)} if isinstance(value, int) else {"S": value}
                    for name, value in values.items()
                },
            )

    def set_ttl(self, session_id: str, ttl: int) -> None:
        self.set_attributes(session_id, TTL=ttl)

    def lengthen_lease(self, session_id: str) -> None:
        """To an hour, for a session whose test sends no heartbeats."""
        self.set_ttl(session_id, int(time.time()) + 3600)

    def set_connected_at(self, session_id: str, connected_at: float) -> None:
        """For a while after that, the reaper leaves it alone."""
        self.set_attributes(session_id, ConnectedAt=int(connected_at))

    def invoke(self, logical_id: str, event: str | bytes = "{}") -> dict[str, Any]:
        """What one of the helper stack's functions returns, called once through the Lambda API."""
        answer = self.target.patient_client("lambda", 300).invoke(
            FunctionName=self.function_name(logical_id), Payload=event
        )
        returned = json.load(answer["Payload"])
        if "FunctionError" in answer:
            raise FunctionFailedError(returned)
        assert isinstance(returned, dict)
        return returned

    def reap(self) -> dict[str, int]:
        """What one run of the reaper says that it did.

        Another one, if an emulator that is busy hung up on it, or on who called it.
        """
        until = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                return self.invoke("ReaperFunction")
            except FunctionFailedError as failed:
                if failed.kind != "NotReapedError" or time.monotonic() > until:
                    raise
            except (ConnectionClosedError, ReadTimeoutError):
                if time.monotonic() > until:
                    raise

    def reap_until(self, look: Callable[[], object], what: str) -> None:
        """What one run of the reaper does not come to, the next one does."""

        def reaped() -> object:
            self.reap()
            return look()

        poll(reaped, what)

    @contextmanager
    def reaper_off(self) -> Iterator[str]:
        """It runs only when it is called meanwhile. Gives its rule's name.

        It has run once more by then, so that one that had begun by itself is over as well.
        """
        found = self.target.client("cloudformation").describe_stack_resource(
            StackName=self.helper.name, LogicalResourceId="ReaperRule"
        )
        rule = str(found["StackResourceDetail"]["PhysicalResourceId"])
        events = self.target.client("events")
        events.disable_rule(Name=rule)
        try:
            self.reap()
            yield rule
        finally:
            events.enable_rule(Name=rule)

    def wait_for_status(self, session_id: str, status: str) -> dict[str, Any]:
        return poll(
            lambda: item if (item := self.item(session_id)).get("Status") == status else None,
            f"status {status}",
        )

    def sessions_of(self, stack_name: str) -> list[dict[str, Any]]:
        found = self._dynamodb.query(
            TableName=self.helper.sessions_table,
            IndexName="GSI-StackName",
            KeyConditionExpression="StackName = :stack",
            ExpressionAttributeValues={":stack": {"S": stack_name}},
        )["Items"]
        return [{n: next(iter(v.values())) for n, v in item.items()} for item in found]

    def function_name(self, logical_id: str) -> str:
        """The physical name of one of the helper stack's functions."""
        found = self.target.client("cloudformation").describe_stack_resource(
            StackName=self.helper.name, LogicalResourceId=logical_id
        )
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    def all_session_ids(self) -> list[str]:
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self.helper.sessions_table)
        return [item["SessionId"]["S"] for page in pages for item in page["Items"]]

    def put_sessions(self, sessions: Iterable[dict[str, Any]]) -> None:
        """Items, attribute → typed value, straight into the table, many at once."""
        self._write([{"PutRequest": {"Item": item}} for item in sessions])

    def delete_sessions(self, session_ids: Iterable[str]) -> None:
        """Out of the table, whatever became of them."""
        keys = [{"SessionId": {"S": session_id}} for session_id in session_ids]
        self._write([{"DeleteRequest": {"Key": key}} for key in keys])

    def _write(self, requests_left: list[dict[str, Any]]) -> None:
        name = self.helper.sessions_table
        while requests_left:
            batch, requests_left = requests_left[:25], requests_left[25:]
            answer = self._dynamodb.batch_write_item(RequestItems={name: batch})
            requests_left += answer.get("UnprocessedItems", {}).get(name, [])

    def connect(self, session_id: str | None) -> connect_websocket:
        """A debugger's plain WebSocket client, for ``async with`` or ``await``.

        It sends no pings: an engine that is busy for long does not answer them.
        """
        query = "" if session_id is None else "?" + urlencode({"sessionId": session_id})
        return connect_websocket(
            self.helper.websocket_url + query, open_timeout=DEADLINE_SECONDS, ping_interval=None
        )

    def connect_function(self, token: str, session: str = "any") -> connect_websocket:
        """A function's; ``session`` is only a name for logs."""
        return connect_websocket(
            f"{self.helper.websocket_url}?{urlencode({'sessionId': session})}",
            additional_headers={"Authorization": f"Bearer {token}"},
            open_timeout=DEADLINE_SECONDS,
            ping_interval=None,
        )

    async def try_connect(self, session_id: str | None) -> ClientConnection | int:
        """The open connection, or the HTTP status of the refusal."""
        return await opened(self.connect(session_id))

    async def connected(self, session_id: str) -> ClientConnection:
        """Of a new session; again, while a busy helper stack has not found out whose it is."""
        until = time.monotonic() + DEADLINE_SECONDS
        while True:
            answer = await self.try_connect(session_id)
            if isinstance(answer, ClientConnection):
                return answer
            item = await asyncio.to_thread(self.item, session_id)
            assert item["Status"] == "PENDING", answer
            assert time.monotonic() < until, answer

    async def refused(self, session_id: str) -> int:
        """The HTTP status of the refusal; again, while a busy helper stack fails."""
        until = time.monotonic() + DEADLINE_SECONDS
        while True:
            answer = await self.try_connect(session_id)
            assert isinstance(answer, int), "it is let in"
            if answer < 500 or time.monotonic() > until:
                return answer

    def refusal(self, session_id: str | None) -> int:
        async def attempt() -> int:
            answer = await self.try_connect(session_id)
            if isinstance(answer, ClientConnection):
                await answer.close()
                return 101
            return answer

        return asyncio.run(attempt())


async def opened(connecting: connect_websocket) -> ClientConnection | int:
    """The open connection, or the HTTP status of the refusal."""
    try:
        return await connecting
    except InvalidStatus as refused:
        return refused.response.status_code


@contextmanager
def user(target: Target, *statements: dict[str, Any]) -> Iterator[tuple[str, Keys]]:
    """The ARN and working credentials of a user whose policy has these statements, or none."""
    iam, name = target.client("iam"), random_name("user")
    arn = str(iam.create_user(UserName=name)["User"]["Arn"])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    try:
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=policy)
        keys = Keys(key["AccessKeyId"], key["SecretAccessKey"])
        if target.is_aws:
            poll(lambda: _is_known(keys, target.region), "the key is known", pause=1)
        yield arn, keys
    finally:
        if statements:
            iam.delete_user_policy(UserName=name, PolicyName="all")
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user(UserName=name)


def _is_known(keys: Keys, region: str) -> bool:
    """On AWS, a new key is not known everywhere at once.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
    """
    sts = boto3.client(
        "sts",
        region_name=region,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
    )
    try:
        sts.get_caller_identity()
    except ClientError:
        return False
    return True


@contextmanager
def table(target: Target) -> Iterator[str]:
    """A table that is none of plldb's, by its name; its key is a text, ``Id``."""
    dynamodb, name = target.client("dynamodb"), random_name("table")
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "Id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "Id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    try:
        yield name
    finally:
        dynamodb.delete_table(TableName=name)


def allowed(*actions: str, on: str = "*") -> dict[str, Any]:
    """A statement of a policy."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": on}


def signed_in(plldb: Plldb, keys: Keys) -> Plldb:
    """The command line as that user."""
    return plldb.with_environment(
        PLLDB_EMULATOR_ACCESS_KEY_ID=keys.access_key_id,
        PLLDB_EMULATOR_SECRET_ACCESS_KEY=keys.secret_access_key,
    )


def function_logs(backend: Backend, since: float = 0) -> str:
    """From the helper stack's log group; LocalStack keeps one for each function instead.

    ``since`` is in seconds since the epoch.
    """
    logs = backend.target.client("logs")
    lines = []
    for prefix in (f"/plldb/{backend.helper.name}", f"/aws/lambda/{backend.helper.name}-"):
        for group in logs.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]:
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=group["logGroupName"], startTime=int(since * 1000)
            )
            lines += [event["message"].rstrip() for page in pages for event in page["events"]]
    return "\n".join(lines)


def function_records(backend: Backend, since: float) -> list[dict[str, Any]]:
    """What the helper stack's functions logged of their invocations.

    In a new environment, Lambda's runtime adds what botocore tells its logger.
    """
    lines = function_logs(backend, since).splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{")]
    return [record for record in records if "logger" not in record]


async def ask(websocket: ClientConnection, message: str | list[str]) -> dict[str, Any]:
    """Sends one message, given whole or in frames, and returns the next that comes."""
    await websocket.send(message)
    answer = json.loads(await asyncio.wait_for(websocket.recv(), DEADLINE_SECONDS))
    assert isinstance(answer, dict)
    return answer


def reset(websocket: ClientConnection) -> None:
    """Ends the TCP connection at once with RST: no close frame, no FIN."""
    raw: socket.socket = websocket.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    websocket.transport.abort()


def without_outer_pytest(environ: Mapping[str, str]) -> dict[str, str]:
    """For a pytest that a test starts: nothing tells it that it is a worker, or measured. That is
    the outer one.
    """
    outer = ("COV_", "COVERAGE_", "PYTEST_")
    return {name: value for name, value in environ.items() if not name.startswith(outer)}


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that selects a target."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "PLLDB_")) or name == "AWS_CA_BUNDLE"
    }
