"""A stack to debug, and a debugger without plldb's command line: WebSocket and REST by hand."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from websockets.asyncio.client import ClientConnection

from plldb.aws import Target

from .support import DEADLINE_SECONDS, Backend, Keys, poll, random_name

# Says that it ran, with what, and what of plldb it can see.
ORIGINAL = """
import os

def handler(event, context):
    print("the original runs")
    return {"original": event, "plldb": sorted(n for n in os.environ if n.startswith("PLLDB"))}
"""
_ROLE = {
    "Type": "AWS::IAM::Role",
    "Properties": {
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "lambda.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
    },
}
# What redirection touches of a function's configuration.
TOUCHED = ("Handler", "Timeout", "Layers", "Environment")


def function(code: str = ORIGINAL, **properties: Any) -> dict[str, Any]:
    """A CloudFormation resource; its role is to be the logical id Role."""
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Handler": "index.handler",
            "Runtime": "python3.13",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Code": {"ZipFile": code},
        }
        | properties,
    }


def template(resources: dict[str, Any]) -> str:
    """Of these resources, and the role Role."""
    return json.dumps({"Resources": resources | {"Role": _ROLE}})


@dataclass(frozen=True)
class Outcome:
    """What an Invoke gave: its payload as it came, the error's kind, and the end of the log."""

    text: str
    error: str | None
    log: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Debuggee:
    """A deployed stack; its functions go by their logical ids."""

    def __init__(self, target: Target, name: str) -> None:
        self.name = name
        self.target = target
        self._lambda = target.client("lambda")
        pages = target.client("cloudformation").get_paginator("list_stack_resources")
        self.physical = {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for page in pages.paginate(StackName=name)
            for resource in page["StackResourceSummaries"]
        }

    def invoke(self, function: str, event: Any = None) -> Outcome:
        answer = self._lambda.invoke(
            FunctionName=self.physical[function], Payload=json.dumps(event), LogType="Tail"
        )
        # The log is its last 4 KB, which may begin in the middle of a character.
        log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
        return Outcome(answer["Payload"].read().decode(), answer.get("FunctionError"), log)

    def found(self, function: str) -> dict[str, Any]:
        answer = self._lambda.get_function_configuration(FunctionName=self.physical[function])
        return dict(answer)

    def configuration(self, function: str) -> dict[str, Any]:
        """What redirection touches; without layers or variables, however an engine says so."""
        found = self.found(function)
        return {
            "Handler": found["Handler"],
            "Timeout": found["Timeout"],
            "Layers": [layer["Arn"] for layer in found.get("Layers") or []],
            "Environment": (found.get("Environment") or {}).get("Variables") or {},
        }

    def configurations(self) -> dict[str, dict[str, Any]]:
        return {name: self.configuration(name) for name in self.functions}

    @property
    def functions(self) -> list[str]:
        return [name for name in self.physical if name.startswith("Fn")]

    def update(self, function: str, **changes: Any) -> None:
        """Returns once it is in effect: until then, an engine may invoke what was before."""
        self._lambda.update_function_configuration(FunctionName=self.physical[function], **changes)
        poll(lambda: self.found(function).get("LastUpdateStatus") != "InProgress", "update")

    def is_held(self, function: str) -> bool:
        return self.configuration(function)["Handler"] != "index.handler"


@contextmanager
def deployed(
    target: Target, resources: dict[str, Any], prefix: str = "debuggee"
) -> Iterator[Debuggee]:
    """A stack of these resources, and the role Role."""
    name = random_name(prefix)
    cloudformation = target.client("cloudformation")
    cloudformation.create_stack(
        StackName=name, TemplateBody=template(resources), Capabilities=["CAPABILITY_IAM"]
    )
    waiter = cloudformation.get_waiter("stack_create_complete")
    try:
        waiter.wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
        yield Debuggee(target, name)
    finally:
        cloudformation.delete_stack(StackName=name)


Handle = Callable[[dict[str, Any], Any], dict[str, Any]]


def result(value: Any) -> dict[str, Any]:
    """The body of an answer."""
    return {"result": json.dumps(value)}


@dataclass
class Debugger:
    """One attached session. ``said`` is all that came over its connection."""

    backend: Backend
    session_id: str
    websocket: ClientConnection
    said: list[dict[str, Any]] = field(default_factory=list)

    async def receive(self, seconds: float = DEADLINE_SECONDS) -> dict[str, Any]:
        message = json.loads(await asyncio.wait_for(self.websocket.recv(), seconds))
        assert isinstance(message, dict)
        self.said.append(message)
        return message

    async def until(self, kind: str, seconds: float = DEADLINE_SECONDS) -> list[dict[str, Any]]:
        """All messages up to the first of that type, which is the last."""
        received = []
        deadline = time.monotonic() + seconds
        while not received or received[-1]["type"] != kind:
            received.append(await self.receive(deadline - time.monotonic()))
        return received

    async def instrument(
        self, *functions: str, when_absent: str = "original", take_over: bool = False
    ) -> list[dict[str, Any]]:
        await self.send(
            action="instrument",
            functions=list(functions),
            whenAbsent=when_absent,
            takeOver=take_over,
        )
        return await self.until("ready")

    async def send(self, **message: Any) -> None:
        await self.websocket.send(json.dumps(message))

    async def close(self) -> list[dict[str, Any]]:
        await self.send(action="close")
        return await self.until("closed")

    async def serve(
        self, handle: Handle, invocations: int = 1, seconds: float = DEADLINE_SECONDS
    ) -> None:
        """Answers so many invocations with what ``handle(message, event)`` gives, 8 at once.

        ``seconds`` is how long each may take to arrive: many cold starts at once take a while.
        """
        free = asyncio.Semaphore(8)
        running = []

        async def run(message: dict[str, Any]) -> None:
            async with free:
                await asyncio.to_thread(self._run, message, handle)

        while len(running) < invocations:
            message = await self.receive(seconds)
            if message["type"] == "invocation":
                running.append(asyncio.create_task(run(message)))
        await asyncio.gather(*running)

    def _run(self, message: dict[str, Any], handle: Handle) -> None:
        body = handle(message, json.loads(self.event_of(message)))
        if len(body.get("result", "")) > 200_000:
            body = {"resultKey": self.upload(message, body["result"].encode())}
        response = self.post_result(message["requestId"], body)
        assert response.status_code == 200, response.text

    def event_of(self, message: dict[str, Any]) -> str:
        if message["event"] is not None:
            return str(message["event"])
        answer = self.get(f"/invocations/{message['requestId']}/event").json()
        if "event" in answer:
            return str(answer["event"])
        url = self.backend.target.reachable_url(answer["url"])
        return requests.get(url, timeout=DEADLINE_SECONDS).text

    def upload(self, message: dict[str, Any], content: bytes) -> str:
        target = self.post(f"/invocations/{message['requestId']}/uploads").json()
        url = self.backend.target.reachable_url(target["url"])
        put = requests.put(url, content, timeout=DEADLINE_SECONDS)
        assert put.status_code == 200, put.text
        return str(target["key"])

    def post_result(self, request_id: str, body: Any, keys: Keys | None = None) -> Any:
        return self.post(f"/invocations/{request_id}/result", body, keys)

    def post(self, path: str, body: Any = None, keys: Keys | None = None) -> requests.Response:
        return self._request("POST", path, body, keys)

    def get(self, path: str, keys: Keys | None = None) -> requests.Response:
        return self._request("GET", path, None, keys)

    def _request(self, method: str, path: str, body: Any, keys: Keys | None) -> requests.Response:
        backend = self.backend
        auth = backend.target.execute_api_auth() if keys is None else backend.signed_by(keys)
        return requests.request(
            method,
            backend.helper.management_api_url + path,
            json=body,
            auth=auth,
            timeout=DEADLINE_SECONDS,
        )


@asynccontextmanager
async def attached(backend: Backend, stack: str) -> AsyncIterator[Debugger]:
    """A connected session. What it holds at the end is restored before this returns."""
    # Callers and answers block a thread each, and wait for each other.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(150))
    session_id = backend.new_session(stack)
    async with backend.connect(session_id) as websocket:
        debugger = Debugger(backend, session_id, websocket)
        try:
            yield debugger
        finally:
            if backend.item(session_id).get("Status") == "ACTIVE":
                await debugger.close()


def restore(backend: Backend, stack: str) -> dict[str, Any]:
    """As ``plldb restore`` does it: through the Lambda API, and without a session."""
    request = {"operation": "restore", "stackName": stack, "session": None, "connectionId": None}
    return backend.invoke("InstrumentationFunction", json.dumps(request))
