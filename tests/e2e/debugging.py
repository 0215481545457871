"""A stack to debug, and both ends of the WebSocket API by hand: a debugger's and a function's."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import requests
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ConnectionClosedError
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from plldb.aws import Target
from plldb.bootstrap.cloudformation.lambda_functions.instrumentation.request import (
    restore_request,
)
from plldb.bootstrap.release import make_bucket_name

from .support import DEADLINE_SECONDS, Backend, poll, random_name, reset

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


# What MiniStack says if it has ended an environment, since its function changed, in the moment in
# which it handed the event over. The process may have it, or not.
_CUT_OFF = "'NoneType' object has no attribute 'stdin'"

# An emulator ends an environment whose function changes, and leaves it two seconds to find out
# whether its invocation may run there. On a busy machine, those are too few. Of a process that it
# has ended, MiniStack itself says that it died.
_STOPPED = (
    "plldb: this environment was stopped while the debugger ran its invocation",
    "Worker process died",
    _CUT_OFF,
)

# What MiniStack says if it has ended an environment, since its function changed, while it made it.
_NEVER_ARRIVED = re.compile(
    r"Worker process exited immediately\. .*"
    r"|\[Errno 2\] No such file or directory: '.*/ministack-lambda-.*'"
    r"|Failed to (resolve|extract) layer .*|Worker init failed: No module named 'plldb_shim'",
    re.DOTALL,
)


TRIES = 5

# What a function's log says of an invocation that it ran by itself though a debugger is there: of
# those who had to act within seconds, each a process that may have to start first, one was late. An
# authorizer that can't read the table in time denies.
_LATE = re.compile(
    r"plldb: no debugger attached, running the original handler: "
    r"(the helper stack (was too slow|did not accept the invocation in time)"
    r"|the helper stack can't be reached: (it does not answer|.*timed out|.*answered with [45]\d\d)"
    r"|the debugger does not answer|no debugger has begun it|too little of the function's time"
    r"|this environment is being stopped)"
)


def names_lateness(text: str) -> bool:
    """Whether the function ran an invocation since somebody was late, by what its log says."""
    return _LATE.search(text) is not None


def names_lost_event(text: str) -> bool:
    """Whether the engine may have lost the event on its way to the function, by what somebody says
    of it.
    """
    return _CUT_OFF in text or _NEVER_ARRIVED.search(text) is not None


@dataclass(frozen=True)
class Outcome:
    """What an Invoke gave: its payload as it came, the error's kind, and the end of the log."""

    text: str
    error: str | None
    log: str

    @property
    def never_arrived(self) -> bool:
        """Whether the engine certainly lost the event on its way to the function."""
        if self.error is None:
            return False
        return _NEVER_ARRIVED.fullmatch(str(self.json.get("errorMessage"))) is not None

    @property
    def was_cut_off(self) -> bool:
        """Whether nobody knows if the event arrived at the function."""
        return self.error is not None and self.json["errorMessage"] == _CUT_OFF

    @property
    def was_late(self) -> bool:
        """Whether the function ran it since nobody had taken it in time."""
        return names_lateness(self.log)

    @property
    def was_stopped(self) -> bool:
        """Whether the engine ended the environment before it knew where the invocation runs."""
        return self.error is not None and self.json["errorMessage"] in _STOPPED

    @property
    def was_lost(self) -> bool:
        """Whether it is an error since the debugger that ran it is gone, whoever noticed it first.

        Once a debugger is gone, its functions are restored, and an engine that ends environments
        whose function changes may do so before they have asked what became of their invocation.
        """
        return self.error == "Unhandled" and (
            self.was_stopped or "debugger went away while it ran" in self.json["errorMessage"]
        )

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Debuggee:
    """A deployed stack; its functions go by their logical ids, as plldb names them.

    ``as_deployed`` has their configurations from before anybody has debugged them. A test that asks
    for those when it begins may find its functions still held for the one before it.
    """

    def __init__(self, target: Target, name: str, functions: Iterable[str] | None = None) -> None:
        """``functions``: it is no stack, but these, by their names at Lambda."""
        self.name = name
        self.target = target
        # An invocation is not made twice, however long it waits for its turn.
        self._lambda = target.patient_client("lambda", 300)
        # A connection that was not used for a while may be closed just when it is to be used again.
        self._lambda.meta.events.register("before-send.lambda.Invoke", _use_once)
        self.physical: dict[str, str] = {one: one for one in functions or ()}
        if functions is None:
            self.look()
        self.as_deployed = self.configurations()

    def look(self) -> None:
        """What is in the stack by now."""
        self.physical = dict(self._list_resources(self.name))

    def _list_resources(self, stack: str, path: str = "") -> Iterator[tuple[str, str]]:
        """Logical and physical ids; those in nested stacks after those that lead there."""
        pages = self.target.client("cloudformation").get_paginator("list_stack_resources")
        for page in pages.paginate(StackName=stack):
            for resource in page["StackResourceSummaries"]:
                logical_id = path + resource["LogicalResourceId"]
                yield logical_id, resource["PhysicalResourceId"]
                if resource["ResourceType"] == "AWS::CloudFormation::Stack":
                    yield from self._list_resources(
                        resource["PhysicalResourceId"], f"{logical_id}/"
                    )

    def invoke(self, function: str, event: Any = None, **more: Any) -> Outcome:
        """Again, while nobody takes it in time, or the emulator hangs up: a busy machine does that.

        It may run more than once. Where that matters, or nobody is to take it: ``invoke_once``.
        """
        until = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                outcome = self.invoke_once(function, event, **more)
            except ConnectionClosedError:  # nobody knows whether the event arrived
                if time.monotonic() > until:
                    raise
                continue
            if not (outcome.was_late or outcome.was_cut_off) or time.monotonic() > until:
                return outcome

    def invoke_once(self, function: str, event: Any = None, **more: Any) -> Outcome:
        """Wherever it runs. Again only if the event has certainly not arrived there."""
        for _ in range(TRIES - 1):
            outcome = self._call(function, event, **more)
            if not outcome.never_arrived:
                return outcome
        return self._call(function, event, **more)

    def _call(self, function: str, event: Any, **more: Any) -> Outcome:
        name, payload = self.physical[function], json.dumps(event)
        answer = self._lambda.invoke(FunctionName=name, Payload=payload, LogType="Tail", **more)
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
            "Handler": found.get("Handler"),  # an image has none
            "Timeout": found["Timeout"],
            "Layers": [layer["Arn"] for layer in found.get("Layers") or []],
            "Environment": (found.get("Environment") or {}).get("Variables") or {},
        }

    def configurations(self) -> dict[str, dict[str, Any]]:
        return {name: self.configuration(name) for name in self.functions}

    @property
    def functions(self) -> list[str]:
        return [name for name in self.physical if name.rpartition("/")[2].startswith("Fn")]

    def update(self, function: str, **changes: Any) -> None:
        """Returns once it is in effect: until then, an engine may invoke what was before."""
        self._lambda.update_function_configuration(FunctionName=self.physical[function], **changes)
        poll(lambda: self.found(function).get("LastUpdateStatus") != "InProgress", "update")

    def is_held(self, function: str) -> bool:
        return self.configuration(function)["Handler"] != "index.handler"


def nested(target: Target, resources: dict[str, Any]) -> dict[str, Any]:
    """A CloudFormation resource: a stack of these resources, and the role Role.

    Its template has to lie in S3: in the bucket of plldb's artifacts.
    """
    account = target.client("sts").get_caller_identity()["Account"]
    bucket, key = make_bucket_name(target.region, account), f"tests/{random_name('nested')}.json"
    s3 = target.client("s3")
    s3.put_object(Bucket=bucket, Key=key, Body=template(resources).encode())
    url = f"{s3.meta.endpoint_url}/{bucket}/{key}"
    return {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}


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


def _use_once(request: AWSPreparedRequest, **_: Any) -> None:
    """Has a connection serve this request alone."""
    request.headers["Connection"] = "close"


Handle = Callable[[dict[str, Any], Any], dict[str, Any]]
Message = dict[str, Any]


def result(value: Any) -> dict[str, Any]:
    """The body of an answer."""
    return {"result": value}


class HelperStackFailedError(AssertionError):
    """In place of an answer, an emulator passes on what went wrong in the helper stack."""


class Peer:
    """One end of the WebSocket API. ``said`` is all that came over its connection.

    ``proof`` is what its messages show: the session's id, or a function's token.
    """

    def __init__(self, websocket: ClientConnection, proof: dict[str, str]) -> None:
        self.websocket = websocket
        self.said: list[Message] = []
        self._proof = proof

    async def send(self, **message: Any) -> None:
        await self.websocket.send(json.dumps(self._proof | message))

    async def receive(self, seconds: float = DEADLINE_SECONDS) -> Message:
        text = await asyncio.wait_for(self.websocket.recv(), seconds)
        try:
            message = json.loads(text)
        except ValueError:
            raise HelperStackFailedError(text) from None
        assert isinstance(message, dict)
        self.said.append(message)
        return message

    async def ask(self, **message: Any) -> Message:
        """Sends one message, and gives the next that comes."""
        await self.send(**message)
        return await self.receive()

    async def until(self, kind: str, seconds: float = DEADLINE_SECONDS) -> list[Message]:
        """All messages up to the first of that type, which is the last."""
        received: list[Message] = []
        deadline = time.monotonic() + seconds
        while not received or received[-1]["type"] != kind:
            received.append(await self.receive(deadline - time.monotonic()))
        return received

    async def cut_off(self) -> None:
        """Ends the connection without a word."""
        reset(self.websocket)
        await self.websocket.wait_closed()

    async def is_told_nothing(self) -> bool:
        """Whether nothing is on its way."""
        return not await self.what_is_on_its_way()

    async def what_is_on_its_way(self) -> list[Message]:
        """Messages of one connection are answered in turn."""
        await self.send(action="no such action")
        *received, _ = await self.until("error")
        return received


class Debugger(Peer):
    """One attached session."""

    def __init__(self, backend: Backend, session_id: str, websocket: ClientConnection) -> None:
        super().__init__(websocket, {"sessionId": session_id})
        self.backend = backend
        self.session_id = session_id

    async def instrument(
        self,
        *functions: str,
        when_absent: str = "original",
        take_over: bool = False,
        **more: Any,
    ) -> list[Message]:
        await self.send(
            action="instrument",
            functions=list(functions),
            whenAbsent=when_absent,
            takeOver=take_over,
            **more,
        )
        return await self.until("ready")

    async def resume(self, former: str) -> Message:
        return await self.ask(action="resume", replaces=former)

    async def close(self) -> list[Message]:
        """Asks for it again if a busy helper stack has failed with that."""
        until = time.monotonic() + DEADLINE_SECONDS
        while True:
            await self.send(action="close")
            try:
                return await self.until("closed")
            except HelperStackFailedError:
                if time.monotonic() > until:
                    raise

    # --- Invocations --------------------------------------------------------------------------

    async def next_invocation(self) -> Message:
        *_, message = await self.until("invocation")
        return message

    async def claim(self, invocation: Message) -> Message:
        """What the claim is answered with."""
        await self.send(action="claim", **_id_of(invocation))
        return (await self._until_about(invocation, "go", "void"))[-1]

    async def decline(self, invocation: Message) -> None:
        await self.send(action="decline", **_id_of(invocation))

    async def answer(self, invocation: Message, body: dict[str, Any]) -> Message:
        """What is recorded. A large body is uploaded."""
        text = json.dumps(body)
        if len(text) < _LONGEST_INLINE:
            return await self.answer_with(invocation, body=text)
        upload = await self.new_upload(invocation)
        await asyncio.to_thread(self.put, upload["url"], text)
        return await self.answer_with(invocation, bodyKey=upload["key"])

    async def answer_with(self, invocation: Message, **fields: Any) -> Message:
        """What an answer with just these fields is answered with."""
        await self.send(action="answer", **_id_of(invocation) | fields)
        return (await self._until_about(invocation, "recorded", "error"))[-1]

    async def new_upload(self, invocation: Message) -> Message:
        await self.send(action="upload", requestId=invocation["requestId"])
        return (await self._until_about(invocation, "upload", "error"))[-1]

    async def _until_about(self, invocation: Message, *kinds: str) -> list[Message]:
        """All messages up to one of these types about the invocation; errors name none."""
        received: list[Message] = []
        wanted = (None, invocation["requestId"])
        while not (
            received and received[-1]["type"] in kinds and received[-1].get("requestId") in wanted
        ):
            received.append(await self.receive())
        return received

    async def begin_next(self) -> Message:
        """The next invocation, claimed. One that its function has taken back is made again."""
        known: dict[str, Message] = {}
        while True:
            message = await self.receive()
            invocation = known.get(message.get("requestId", ""))
            if message["type"] == "invocation":
                known[message["requestId"]] = message
                await self.send(action="claim", **_id_of(message))
            elif message["type"] == "go" and invocation is not None:
                return invocation

    async def run_next(self, body: dict[str, Any]) -> Message:
        """The same, and answered with this."""
        invocation = await self.begin_next()
        assert (await self.answer(invocation, body))["state"] == "ANSWERED"
        return invocation

    async def serve(
        self, handle: Handle, invocations: int = 1, seconds: float = DEADLINE_SECONDS
    ) -> None:
        """Claims and answers so many invocations with what ``handle(message, event)`` gives.

        What the function has taken back does not count.
        ``seconds`` is how long each may take to arrive: many cold starts at once take a while.
        """
        service = _Service(self, handle)
        async with asyncio.TaskGroup() as running:
            while service.recorded < invocations:
                # Of a claim or an answer that a busy helper stack fails with, the function asks.
                with suppress(HelperStackFailedError):
                    await service.take(await self.receive(seconds), running)

    def event_of(self, invocation: Message) -> Any:
        text = invocation["event"]
        return json.loads(self.get(invocation["eventUrl"]) if text is None else text)

    def get(self, url: str) -> str:
        answer = requests.get(self.backend.target.reachable_url(url), timeout=DEADLINE_SECONDS)
        assert answer.status_code == 200, answer.text
        return answer.text

    def put(self, url: str, text: str) -> None:
        url = self.backend.target.reachable_url(url)
        answer = requests.put(url, text.encode(), timeout=DEADLINE_SECONDS)
        assert answer.status_code == 200, answer.text


# A message has 32,000 bytes at most, and quotes are escaped in it.
_LONGEST_INLINE = 12_000


def _id_of(invocation: Message) -> dict[str, Any]:
    return {name: invocation[name] for name in ("requestId", "deadline")}


class _Service:
    """Answers what comes over a debugger's connection, in whatever order."""

    def __init__(self, debugger: Debugger, handle: Handle) -> None:
        self.recorded = 0
        self._debugger = debugger
        self._handle = handle
        self._free = asyncio.Semaphore(8)
        self._known: dict[str, Message] = {}
        self._large: dict[str, str] = {}

    async def take(self, message: Message, running: asyncio.TaskGroup) -> None:
        invocation = self._known.get(message.get("requestId", ""))
        match message["type"]:
            case "invocation":
                self._known[message["requestId"]] = message
                await self._debugger.send(action="claim", **_id_of(message))
            case "go" if invocation:
                running.create_task(self._run(invocation))
            case "upload" if invocation:
                running.create_task(self._upload(invocation, message))
            case "recorded":
                assert message["state"] == "ANSWERED", message
                self.recorded += 1
            case "error":
                raise AssertionError(message)

    async def _run(self, invocation: Message) -> None:
        async with self._free:
            event = await asyncio.to_thread(self._debugger.event_of, invocation)
            text = json.dumps(await asyncio.to_thread(self._handle, invocation, event))
        if len(text) < _LONGEST_INLINE:
            await self._debugger.send(action="answer", **_id_of(invocation), body=text)
            return
        self._large[invocation["requestId"]] = text
        await self._debugger.send(action="upload", requestId=invocation["requestId"])

    async def _upload(self, invocation: Message, upload: Message) -> None:
        text = self._large.pop(invocation["requestId"])
        await asyncio.to_thread(self._debugger.put, upload["url"], text)
        await self._debugger.send(action="answer", **_id_of(invocation), bodyKey=upload["key"])


class FunctionEnd(Peer):
    """A function's end by hand, with the token of a function that a session holds."""

    def __init__(self, websocket: ClientConnection, token: str) -> None:
        super().__init__(websocket, {"token": token})

    async def invoke(self, **changes: Any) -> tuple[dict[str, Any], Message]:
        """The id of a new invocation, and what is said to it at first."""
        message = new_invocation(**changes)
        await self.send(**message)
        return _id_of(message), await self.receive()


def new_invocation(seconds: float = 60, **changes: Any) -> dict[str, Any]:
    """What a function sends of one, but for its token."""
    now = time.time()
    return {
        "action": "invoke",
        "requestId": str(uuid.uuid4()),
        "function": "Fn0",
        "deadline": round(now + seconds, 3),
        "acceptBefore": now + DEADLINE_SECONDS,
        "context": {"function_name": "fn0"},
        "event": "1",
    } | changes


@asynccontextmanager
async def function_end(backend: Backend, token: str) -> AsyncIterator[FunctionEnd]:
    async with backend.connect_function(token) as websocket:
        yield FunctionEnd(websocket, token)


@asynccontextmanager
async def attached(
    backend: Backend, stack: str, *, has_long_lease: bool = True
) -> AsyncIterator[Debugger]:
    """A connected session. What it holds at the end is restored before this returns, unless it has
    been ended otherwise: then that may go on beside what follows.

    To give it a long lease takes a write to the table.
    """
    # Callers and answers block a thread each, and wait for each other.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(150))
    session_id = backend.new_session(stack)
    async with await backend.connected(session_id) as websocket:
        if has_long_lease:
            backend.lengthen_lease(session_id)
        debugger = Debugger(backend, session_id, websocket)
        try:
            yield debugger
        finally:
            if backend.item(session_id).get("Status") == "ACTIVE":
                try:
                    await debugger.close()
                except ConnectionClosed:  # it has been ended otherwise since
                    assert backend.item(session_id).get("Status") != "ACTIVE"


def end_grace(backend: Backend, session_id: str) -> None:
    """Of a session whose connection is lost: nobody waits any longer for its debugger."""
    backend.wait_for_status(session_id, "CLOSED")
    backend.set_ttl(session_id, int(time.time()) - 1)


def restore(backend: Backend, stack: str) -> dict[str, Any]:
    """As ``plldb restore`` does it: through the Lambda API, and without a session."""
    return backend.invoke("InstrumentationFunction", json.dumps(restore_request(stack)))
