"""Small stand-ins for what lies outside of plldb; each keeps what the real one would keep."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from plldb.emulators.base import RunningEmulator
from tests.unit.expressions import Expressions

ACCOUNT = "123456789012"


def client_error(code: str, message: str = "", operation: str = "Operation") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


# --- HTTP ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    method: str
    url: str
    headers: dict[str, str]
    body: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def credential_scope(self) -> list[str]:
        """Of SigV4: access key id, date, region, service and the terminator."""
        _, _, rest = self.headers["authorization"].partition("Credential=")
        return rest.partition(",")[0].strip().split("/")


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


Responder = Callable[[Request], Answer]


@dataclass
class LocalServer:
    url: str
    requests: list[Request]


@contextmanager
def local_server(respond: Responder) -> Iterator[LocalServer]:
    """An HTTP server on 127.0.0.1 that keeps every request."""
    requests: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(
                self.command, server.url + self.path, headers, body.decode("utf-8", "replace")
            )
            requests.append(request)
            answer = respond(request)
            content = answer.body.encode()
            # The other one adds a date of its own.
            send = self.send_response_only if "Date" in answer.headers else self.send_response
            send(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _handle  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False  # joined at the end, so that no socket outlives the test
        request_queue_size = 64

        def handle_error(self, *_: Any) -> None:
            """A client that hangs up is no concern of ours."""

    httpd = Server(("127.0.0.1", 0), Handler)
    server = LocalServer(f"http://127.0.0.1:{httpd.server_port}", requests)
    # Idle keep-alive connections must not hold up the end.
    Handler.timeout = 1
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        thread.join()
        httpd.socket.close()


def count_connections(server: LocalServer) -> int:
    """How many connections to the server this process holds open.

    They are counted by this process's descriptors: the system's table of connections is not read
    as a whole, and misses some while others come and go.
    """
    port = int(server.url.rpartition(":")[2])
    return sum(_peer_port(int(one.name)) == port for one in Path("/dev/fd").iterdir())


def _peer_port(descriptor: int) -> int | None:
    """The port at the other end; None if it is no connection, or closed by now."""
    with suppress(OSError):
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            with socket.socket(fileno=os.dup(descriptor)) as connection:
                peer = connection.getpeername()
                return int(peer[1]) if isinstance(peer, tuple) else None
    return None


class Wire:
    """Where botocore and requests would send to; keeps each request, and answers from a table.

    Nothing leaves the process: botocore's ``before-send`` event takes an answer instead of
    sending, and requests takes an adapter.
    """

    def __init__(self, respond: Responder) -> None:
        self._respond = respond
        self.requests: list[Request] = []

    def hosts(self) -> set[str]:
        return {request.host for request in self.requests}

    def _exchange(self, request: Request) -> Answer:
        self.requests.append(request)
        return self._respond(request)

    def before_send(self, request: Any, **_: Any) -> AWSResponse:
        """Botocore's hook: https://boto3.amazonaws.com/v1/documentation/api/latest/guide/events.html"""
        answer = self._exchange(
            Request(
                request.method,
                request.url,
                {name.lower(): _text(value) for name, value in request.headers.items()},
                _text(request.body),
            )
        )
        return AWSResponse(request.url, answer.status, answer.headers, _Raw(answer.body.encode()))

    def adapter(self) -> Any:
        """A transport adapter for ``requests``."""
        import requests
        from requests.adapters import BaseAdapter

        wire = self

        class Adapter(BaseAdapter):
            def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
                answer = wire._exchange(
                    Request(
                        request.method,
                        request.url,
                        {name.lower(): _text(value) for name, value in request.headers.items()},
                        _text(request.body),
                    )
                )
                response = requests.Response()
                response.status_code, response.url = answer.status, request.url
                response.request = request
                response.raw = BytesIO(answer.body.encode())
                return response

            def close(self) -> None:
                pass

        return Adapter()


class _Raw(BytesIO):
    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


def _text(value: Any) -> str:
    if value is None:
        return ""
    if hasattr(value, "read"):
        value = value.read()
    return value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)


# --- DynamoDB -------------------------------------------------------------------------------------


class FakeDynamoDb:
    """The low-level client, as far as the stores speak its language.

    What expressions it understands: see expressions.py. An alias that was not declared, or one
    that was declared and is not used, is refused as DynamoDB refuses it. Where a condition does
    not hold, the error has the item, if it is asked for. Queries and scans come in pages, and of
    a batch no more than ``batch_size`` is read at once.
    """

    def __init__(self, key: str = "SessionId", page_size: int = 3, batch_size: int = 2) -> None:
        self.key = key
        self.page_size = page_size
        self.batch_size = batch_size
        self.items: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        # Carried out, but their answers get lost, so that botocore repeats the request.
        self.lost_answers = 0
        self._lock = threading.Lock()

    def put_item(self, *, Item: dict[str, Any], **request: Any) -> dict[str, Any]:  # noqa: N803
        return self._atomically("PutItem", lambda: self._put(Item, request))

    def get_item(self, *, Key: dict[str, Any], **request: Any) -> dict[str, Any]:  # noqa: N803
        def get() -> dict[str, Any]:
            item = self.items.get(Key[self.key]["S"])
            return {} if item is None else {"Item": dict(item)}

        return self._atomically("GetItem", get)

    def update_item(self, *, Key: dict[str, Any], **request: Any) -> dict[str, Any]:  # noqa: N803
        return self._atomically("UpdateItem", lambda: self._update(Key, request))

    def query(self, **request: Any) -> dict[str, Any]:
        """Of an index by stack and TTL, or of the one by connection."""

        def find() -> dict[str, Any]:
            _check_aliases(request)
            if request["IndexName"] == "GSI-ConnectionId":
                return self._page(self._attached(), request["KeyConditionExpression"], request)
            items = sorted(self.items.values(), key=lambda item: int(item["TTL"]["N"]))
            if not request.get("ScanIndexForward", True):
                items.reverse()
            return self._page(items, request["KeyConditionExpression"], request)

        return self._atomically("Query", find)

    def scan(self, **request: Any) -> dict[str, Any]:
        """Of the table, or of a sparse index."""

        def find() -> dict[str, Any]:
            _check_aliases(request)
            match request.get("IndexName"):
                case None:
                    items = list(self.items.values())
                case "GSI-Open":
                    items = self._open()
                case _:
                    items = self._attached()
            return self._page(items, "", request)

        return self._atomically("Scan", find)

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        ((table, request),) = RequestItems.items()

        def get() -> dict[str, Any]:
            names = [key[self.key]["S"] for key in request["Keys"]]
            if len(names) > 100 or len(set(names)) < len(names):
                raise client_error("ValidationException", "too many keys, or one twice")
            found = [dict(self.items[n]) for n in names[: self.batch_size] if n in self.items]
            unread = request["Keys"][self.batch_size :]
            rest = {"UnprocessedKeys": {table: request | {"Keys": unread}}} if unread else {}
            return {"Responses": {table: found}} | rest

        return self._atomically("BatchGetItem", get)

    def get_paginator(self, operation: str) -> Any:
        assert operation == "scan"

        def pages(**request: Any) -> Iterator[dict[str, Any]]:
            page = self.scan(**request)
            yield page
            while "LastEvaluatedKey" in page:
                page = self.scan(**request, ExclusiveStartKey=page["LastEvaluatedKey"])
                yield page

        return _Paginator(pages)

    def _attached(self) -> list[dict[str, Any]]:
        """The index by connection, which is sparse and has nothing but keys."""
        keys = ("ConnectionId", "SessionId")
        return [{k: item[k] for k in keys} for item in self.items.values() if {*keys} <= {*item}]

    def _open(self) -> list[dict[str, Any]]:
        """The index of what is not over: its keys, and what template.yaml says."""
        held = ("Open", self.key, "Deadline", "SessionId", "StackName", "Hold")
        open_ = (item for item in self.items.values() if "Open" in item)
        return [{name: item[name] for name in held if name in item} for item in open_]

    def _page(
        self, items: list[dict[str, Any]], key_condition: str, request: dict[str, Any]
    ) -> dict[str, Any]:
        """What is filtered out counts for the page all the same, and is its start key good for."""
        expressions = Expressions(request)
        items = [item for item in items if expressions.holds(key_condition, item)]
        start = 0
        if "ExclusiveStartKey" in request:
            after = request["ExclusiveStartKey"][self.key]
            start = 1 + next(n for n, item in enumerate(items) if item[self.key] == after)
        end = start + min(self.page_size, request.get("Limit", self.page_size))
        looked_at = items[start:end]
        condition = request.get("FilterExpression", "")
        found = [item for item in looked_at if expressions.holds(condition, item)]
        more = end < len(items)
        last = {"LastEvaluatedKey": {self.key: looked_at[-1][self.key]}} if more else {}
        return {"Items": [dict(item) for item in found]} | last

    def _atomically(self, call: str, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        with self._lock:
            self.calls.append(call)
            while self.lost_answers:
                self.lost_answers -= 1
                with suppress(ClientError):
                    act()
            return act()

    def _put(self, item: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        key = item[self.key]["S"]
        self._check(self.items.get(key, {}), request)
        self.items[key] = dict(item)
        return {}

    def _update(self, key: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        item = self.items.get(key[self.key]["S"], {})
        self._check(item, request)
        changed = Expressions(request).updated(request["UpdateExpression"], item) | key
        self.items[key[self.key]["S"]] = changed
        return {"Attributes": dict(changed)} if request.get("ReturnValues") == "ALL_NEW" else {}

    def _check(self, item: dict[str, Any], request: dict[str, Any]) -> None:
        _check_aliases(request)
        if not Expressions(request).holds(request.get("ConditionExpression", ""), item):
            reason = "The conditional request failed"
            error = client_error("ConditionalCheckFailedException", reason)
            if item and request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
                error.response["Item"] = dict(item)  # type: ignore[typeddict-unknown-key]
            raise error


def _check_aliases(request: dict[str, Any]) -> None:
    expressions = " ".join(
        request.get(f"{name}Expression", "")
        for name in ("Update", "Condition", "KeyCondition", "Filter")
    )
    used = set(re.findall(r"[#:]\w+", expressions))
    kinds = ("ExpressionAttributeNames", "ExpressionAttributeValues")
    declared = {alias for kind in kinds for alias in request.get(kind, {})}
    if used != declared or {} in [request.get(kind) for kind in kinds]:
        raise client_error("ValidationException", f"aliases differ: {used ^ declared}")


def dynamodb_over_http(table: FakeDynamoDb) -> Responder:
    """The same behind DynamoDB's wire protocol, so that the real botocore can be used with it."""
    operations = {
        "PutItem": table.put_item,
        "GetItem": table.get_item,
        "UpdateItem": table.update_item,
        "Query": table.query,
        "Scan": table.scan,
        "BatchGetItem": table.batch_get_item,
    }

    def respond(request: Request) -> Answer:
        operation = request.headers["x-amz-target"].partition(".")[2]
        headers = {"Content-Type": "application/x-amz-json-1.0"}
        try:
            answer = operations[operation](**json.loads(request.body))
        except ClientError as error:
            problem = error.response["Error"]
            body = {
                "__type": f"com.amazonaws.dynamodb.v20120810#{problem['Code']}",
                "message": problem["Message"],
            }
            if "Item" in error.response:
                body["Item"] = error.response["Item"]
            return Answer(400, json.dumps(body), headers)
        return Answer(200, json.dumps(answer), headers)

    return respond


# --- S3 -------------------------------------------------------------------------------------------


@dataclass
class Bucket:
    """``versions`` are (key, version id), delete markers included."""

    owner: str = ACCOUNT
    location: str | None = None
    versions: list[tuple[str, str]] = field(default_factory=list)
    delete_markers: list[tuple[str, str]] = field(default_factory=list)
    public_access_block: dict[str, bool] | None = None
    encryption: dict[str, Any] | None = None
    policy: str | None = None
    lifecycle: dict[str, Any] | None = None
    tags: dict[str, str] = field(default_factory=dict)
    hides_tags: bool = False


class FakeS3:
    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.bodies: dict[str, bytes] = {}
        self.delete_batches: list[int] = []
        self.undeletable: set[str] = set()
        self.refusal_to_create: ClientError | None = None

    def head_bucket(self, *, Bucket: str, ExpectedBucketOwner: str) -> dict[str, Any]:  # noqa: N803
        if Bucket not in self.buckets:
            raise client_error("404", "Not Found", "HeadBucket")
        if self.buckets[Bucket].owner != ExpectedBucketOwner:
            raise client_error("403", "Forbidden", "HeadBucket")
        return {}

    def create_bucket(
        self,
        *,
        Bucket: str,  # noqa: N803
        CreateBucketConfiguration: dict[str, str] | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        if self.refusal_to_create is not None:
            raise self.refusal_to_create
        if Bucket in self.buckets:
            ours = self.buckets[Bucket].owner == ACCOUNT
            raise client_error("BucketAlreadyOwnedByYou" if ours else "BucketAlreadyExists")
        location = (CreateBucketConfiguration or {}).get("LocationConstraint")
        if location == "us-east-1":
            raise client_error("InvalidLocationConstraint")
        self.buckets[Bucket] = _new_bucket(location)
        return {}

    def put_public_access_block(
        self,
        *,
        Bucket: str,  # noqa: N803
        PublicAccessBlockConfiguration: dict[str, bool],  # noqa: N803
    ) -> None:
        self.buckets[Bucket].public_access_block = PublicAccessBlockConfiguration

    def get_public_access_block(self, *, Bucket: str) -> dict[str, Any]:  # noqa: N803
        block = self.buckets[Bucket].public_access_block
        if block is None:
            raise client_error("NoSuchPublicAccessBlockConfiguration")
        return {"PublicAccessBlockConfiguration": block}

    def put_bucket_encryption(
        self,
        *,
        Bucket: str,  # noqa: N803
        ServerSideEncryptionConfiguration: dict[str, Any],  # noqa: N803
    ) -> None:
        self.buckets[Bucket].encryption = ServerSideEncryptionConfiguration

    def get_bucket_encryption(self, *, Bucket: str) -> dict[str, Any]:  # noqa: N803
        encryption = self.buckets[Bucket].encryption
        if encryption is None:
            raise client_error("ServerSideEncryptionConfigurationNotFoundError")
        return {"ServerSideEncryptionConfiguration": encryption}

    def put_bucket_policy(self, *, Bucket: str, Policy: str) -> None:  # noqa: N803
        self.buckets[Bucket].policy = Policy

    def get_bucket_policy(self, *, Bucket: str) -> dict[str, Any]:  # noqa: N803
        policy = self.buckets[Bucket].policy
        if policy is None:
            raise client_error("NoSuchBucketPolicy")
        return {"Policy": policy}

    def put_bucket_lifecycle_configuration(
        self,
        *,
        Bucket: str,  # noqa: N803
        LifecycleConfiguration: dict[str, Any],  # noqa: N803
    ) -> None:
        self.buckets[Bucket].lifecycle = LifecycleConfiguration

    def put_bucket_tagging(self, *, Bucket: str, Tagging: dict[str, Any]) -> None:  # noqa: N803
        self.buckets[Bucket].tags = {tag["Key"]: tag["Value"] for tag in Tagging["TagSet"]}

    def get_bucket_tagging(self, *, Bucket: str) -> dict[str, Any]:  # noqa: N803
        bucket = self.buckets[Bucket]
        if bucket.hides_tags:
            raise client_error("AccessDenied")
        if not bucket.tags:
            raise client_error("NoSuchTagSet")
        return {"TagSet": [{"Key": key, "Value": value} for key, value in bucket.tags.items()]}

    def get_bucket_lifecycle_configuration(self, *, Bucket: str) -> dict[str, Any]:  # noqa: N803
        lifecycle = self.buckets[Bucket].lifecycle
        if lifecycle is None:
            raise client_error("NoSuchLifecycleConfiguration")
        return lifecycle

    def put_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Body: bytes,  # noqa: N803
        ExpectedBucketOwner: str = ACCOUNT,  # noqa: N803
    ) -> None:
        if self.buckets[Bucket].owner != ExpectedBucketOwner:
            raise client_error("AccessDenied", "Access Denied", "PutObject")
        self.buckets[Bucket].versions.append((Key, f"v{len(self.buckets[Bucket].versions)}"))
        self.bodies[Key] = Body

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        gone = {(entry["Key"], entry["VersionId"]) for entry in Delete["Objects"]}
        if len(gone) > 1000:
            raise client_error("MalformedXML")
        self.delete_batches.append(len(gone))
        refused = {entry for entry in gone if entry[0] in self.undeletable}
        bucket = self.buckets[Bucket]
        bucket.versions = [v for v in bucket.versions if v not in gone - refused]
        bucket.delete_markers = [v for v in bucket.delete_markers if v not in gone - refused]
        errors = [{"Key": k, "VersionId": v, "Code": "AccessDenied"} for k, v in sorted(refused)]
        return {"Errors": errors} if errors else {}

    def delete_bucket(self, *, Bucket: str) -> None:  # noqa: N803
        if Bucket not in self.buckets:
            raise client_error("NoSuchBucket")
        if self.buckets[Bucket].versions or self.buckets[Bucket].delete_markers:
            raise client_error("BucketNotEmpty")
        del self.buckets[Bucket]

    def get_paginator(self, operation: str) -> Any:
        return _Paginator(getattr(self, f"_{operation}"))

    def _list_objects_v2(self, Bucket: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        keys = sorted({key for key, _ in self.buckets[Bucket].versions})
        for start in range(0, len(keys), 1000):
            yield {"Contents": [{"Key": key} for key in keys[start : start + 1000]]}
        if not keys:
            yield {}

    def _list_object_versions(self, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        for field_name, entries in (
            ("Versions", self.buckets[Bucket].versions),
            ("DeleteMarkers", self.buckets[Bucket].delete_markers),
        ):
            found = [
                {"Key": key, "VersionId": version}
                for key, version in entries
                if key.startswith(Prefix)
            ]
            for start in range(0, len(found), 700):
                yield {field_name: found[start : start + 700]}


def _new_bucket(location: str | None) -> Bucket:
    return Bucket(location=location)


class _Paginator:
    def __init__(self, pages: Callable[..., Iterator[dict[str, Any]]]) -> None:
        self._pages = pages

    def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        return self._pages(**arguments)


# --- CloudFormation -------------------------------------------------------------------------------


@dataclass
class Scene:
    """What one look at the stack finds: its status, and the events since the last look."""

    status: str
    events: list[tuple[str, str, str]] = field(default_factory=list)  # logical id, status, reason


# What of a request a stack keeps.
_KEPT = ("Tags", "Parameters", "EnableTerminationProtection", "TemplateBody")


class FakeCloudFormation:
    """One account's stacks. ``scripts`` says what an operation leads to, look by look.

    ``first_scripts`` says so of the first operations of a kind, one script each.

    The events of a scene are there as soon as its status is; a stack whose last scene is
    DELETE_COMPLETE is found by its ARN only.
    """

    def __init__(self) -> None:
        self.stacks: dict[str, dict[str, Any]] = {}  # by ARN
        self.scripts: dict[str, list[Scene]] = {}  # by operation
        self.first_scripts: dict[str, list[list[Scene]]] = {}  # by operation
        self.calls: list[tuple[str, str]] = []
        # As which CloudFormation was to act, by call; empty for the caller.
        self.roles: list[str] = []
        # The names of the stacks that were looked up.
        self.lookups: list[str] = []
        # By operation, or operation and stack.
        self.refusals: dict[str, ClientError] = {}
        self.resources: dict[str, list[dict[str, str]]] = {}  # by stack name
        self.templates: dict[str, object] = {}  # by stack name
        self.overlooks: set[str] = set()  # of a creation's arguments
        # Of every stack that is created.
        self.outputs = {
            "SessionsTableName": "sessions",
            "InstrumentationFunctionName": "instrument",
        }
        self._events: dict[str, list[dict[str, str]]] = {}  # by ARN, oldest first
        self._pending: dict[str, list[Scene]] = {}

    def add(self, name: str, status: str, **more: Any) -> str:
        number = len(self.stacks) + 1
        arn = f"arn:aws:cloudformation:us-east-1:{ACCOUNT}:stack/{name}/{number}"
        self.stacks[arn] = {"StackName": name, "StackId": arn, "StackStatus": status, **more}
        self._events[arn] = []
        return arn

    def status(self, name: str) -> str | None:
        stack = self._find(name)
        return None if stack is None else str(stack["StackStatus"])

    def add_event(self, name: str, logical_id: str, status: str, reason: str = "") -> None:
        stack = self._find(name)
        assert stack is not None
        self._record(stack["StackId"], logical_id, status, reason)

    def play(self, name: str, scenes: list[Scene]) -> None:
        """Something that is under way already."""
        stack = self._find(name)
        assert stack is not None
        self._pending[stack["StackId"]] = list(scenes)

    # The client's own operations:

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:  # noqa: N803
        self.lookups.append(StackName)
        stack = self._find(StackName)
        if stack is None:
            raise client_error(
                "ValidationError", f"Stack with id {StackName} does not exist", "DescribeStacks"
            )
        if scenes := self._pending.get(stack["StackId"]):
            scene = scenes.pop(0)
            stack["StackStatus"] = scene.status
            for logical_id, status, reason in scene.events:
                self._record(stack["StackId"], logical_id, status, reason)
        return {"Stacks": [dict(stack)]}

    def create_stack(self, *, StackName: str, **request: Any) -> dict[str, str]:  # noqa: N803
        self._called("create", StackName)
        self.roles.append(request.get("RoleARN", ""))
        self._check_capabilities(request)
        kept = {key: request[key] for key in _KEPT if key in request and key not in self.overlooks}
        outputs = [{"OutputKey": key, "OutputValue": self.outputs[key]} for key in self.outputs]
        arn = self.add(StackName, "CREATE_IN_PROGRESS", Outputs=outputs, **kept)
        self._pending[arn] = list(self.scripts.get("create", [Scene("CREATE_COMPLETE")]))
        return {"StackId": arn}

    def update_stack(self, *, StackName: str, **request: Any) -> dict[str, str]:  # noqa: N803
        self._called("update", StackName)
        self.roles.append(request.get("RoleARN", ""))
        self._check_capabilities(request)
        stack = self._found(StackName)
        stack |= {key: request[key] for key in _KEPT if key in request}
        return self._start(stack, "update", "UPDATE")

    def update_termination_protection(
        self,
        *,
        StackName: str,  # noqa: N803
        EnableTerminationProtection: bool,  # noqa: N803
    ) -> None:
        self._called("protect" if EnableTerminationProtection else "unprotect", StackName)
        self._found(StackName)["EnableTerminationProtection"] = EnableTerminationProtection

    def describe_stack_resources(self, *, StackName: str) -> dict[str, Any]:  # noqa: N803
        return {"StackResources": self.resources.get(StackName, [])}

    def delete_stack(self, *, StackName: str, RoleARN: str = "") -> None:  # noqa: N803
        self._called("delete", StackName)
        self.roles.append(RoleARN)
        if self._found(StackName).get("EnableTerminationProtection"):
            raise client_error("ValidationError", "TerminationProtection is enabled")
        self._start(self._found(StackName), "delete", "DELETE")

    def continue_update_rollback(self, *, StackName: str, RoleARN: str = "") -> None:  # noqa: N803
        self._called("continue", StackName)
        self.roles.append(RoleARN)
        self._start(self._found(StackName), "continue", "UPDATE_ROLLBACK")

    def get_paginator(self, operation: str) -> _Paginator:
        return _Paginator(
            {
                "describe_stack_events": self._describe_stack_events,
                "describe_stacks": self._list_stacks,
                "list_stack_resources": self._list_stack_resources,
            }[operation]
        )

    def get_template(
        self,
        *,
        StackName: str,  # noqa: N803
        TemplateStage: str,  # noqa: N803
    ) -> dict[str, Any]:
        assert TemplateStage == "Processed"
        name = str(self._found(StackName)["StackName"])
        self._refuse("get_template", name)
        return {"TemplateBody": self.templates.get(name, {})}

    def _list_stacks(self) -> Iterator[dict[str, Any]]:
        self._refuse("list_stacks", "")
        for stack in self.stacks.values():
            yield {"Stacks": [dict(stack)]}

    def _list_stack_resources(self, StackName: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        name = str(self._found(StackName)["StackName"])
        self._refuse("list_stack_resources", name)
        resources = self.resources.get(name, [])
        for start in range(0, len(resources), 2):
            yield {"StackResourceSummaries": resources[start : start + 2]}

    def _describe_stack_events(self, StackName: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        newest_first = list(reversed(self._events[self._found(StackName)["StackId"]]))
        for start in range(0, len(newest_first), 2):
            yield {"StackEvents": newest_first[start : start + 2]}
        if not newest_first:
            yield {"StackEvents": []}

    def _start(self, stack: dict[str, Any], operation: str, prefix: str) -> dict[str, str]:
        stack["StackStatus"] = f"{prefix}_IN_PROGRESS"
        end = [Scene(f"{prefix}_COMPLETE")]
        first = self.first_scripts.get(operation)
        script = first.pop(0) if first else self.scripts.get(operation, end)
        self._pending[stack["StackId"]] = list(script)
        return {"StackId": stack["StackId"]}

    def _called(self, operation: str, name: str) -> None:
        self.calls.append((operation, name))
        if operation in self.refusals:
            raise self.refusals[operation]

    def _refuse(self, operation: str, name: str) -> None:
        for key in (operation, f"{operation} {name}"):
            if key in self.refusals:
                raise self.refusals[key]

    def _check_capabilities(self, request: dict[str, Any]) -> None:
        if "CAPABILITY_IAM" not in request.get("Capabilities", []):
            raise client_error("InsufficientCapabilitiesException", "CAPABILITY_IAM")

    def _find(self, name: str) -> dict[str, Any] | None:
        if name.startswith("arn:"):
            return self.stacks.get(name)
        alive = (s for s in self.stacks.values() if s["StackStatus"] != "DELETE_COMPLETE")
        return next((s for s in alive if s["StackName"] == name), None)

    def _found(self, name: str) -> dict[str, Any]:
        stack = self._find(name)
        if stack is None:
            raise client_error("ValidationError", f"Stack [{name}] does not exist")
        return stack

    def _record(self, arn: str, logical_id: str, status: str, reason: str) -> None:
        event = {
            "EventId": f"{logical_id}-{status}-{len(self._events[arn])}",
            "LogicalResourceId": logical_id,
            "ResourceType": "AWS::Test::Resource",
            "ResourceStatus": status,
        }
        self._events[arn].append(event | ({"ResourceStatusReason": reason} if reason else {}))


# --- Sessions and their restoring -----------------------------------------------------------------


class FakeSessionsTable:
    """DynamoDB with one table, of which only the stacks' names count; None: it is gone.

    ``listed`` are those of lists of functions.
    """

    def __init__(self) -> None:
        self.stack_names: list[str] | None = []
        self.listed: list[str] = []
        self.scans: list[dict[str, Any]] = []
        self.tables: set[str] = set()
        self.unprotected: list[str] = []
        self.refusal_to_update: ClientError | None = None

    def update_table(self, *, TableName: str, DeletionProtectionEnabled: bool) -> None:  # noqa: N803
        assert not DeletionProtectionEnabled
        if self.refusal_to_update is not None:
            raise self.refusal_to_update
        if not TableName:
            raise client_error("ValidationException", "no name", "UpdateTable")
        if TableName not in self.tables:
            raise client_error("ResourceNotFoundException", "no table", "UpdateTable")
        self.unprotected.append(TableName)

    def get_paginator(self, operation: str) -> Any:
        return _Paginator(getattr(self, f"_{operation}"))

    def _scan(self, **request: Any) -> Iterator[dict[str, Any]]:
        self.scans.append(request)
        if self.stack_names is None:
            raise client_error("ResourceNotFoundException", "no table", "Scan")
        for start in range(0, len(self.stack_names), 2):
            names = self.stack_names[start : start + 2]
            yield {"Items": [_session_item(name) for name in names]}
        yield {"Items": [{"SessionId": {"S": f"functions#{name}"}} for name in self.listed]}


def _session_item(stack_name: str) -> dict[str, Any]:
    return {"SessionId": {"S": "0a1b2c3d"}, "StackName": {"S": stack_name}}


class FakeRestoring:
    """Lambda with the instrumentation function: by stack, what fails there or ends the function."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.failed: dict[str, dict[str, str]] = {}
        self.crashes: dict[str, str] = {}
        self.refusal: ClientError | None = None

    def invoke(self, *, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803
        request = json.loads(Payload)
        self.requests.append((FunctionName, request))
        if self.refusal is not None:
            raise self.refusal
        name = request["stackName"]
        payload: dict[str, Any] = {"restored": [], "failed": self.failed.get(name, {})}
        if name not in self.crashes:
            return {"Payload": BytesIO(json.dumps(payload).encode())}
        payload = {"errorMessage": self.crashes[name]}
        return {"FunctionError": "Unhandled", "Payload": BytesIO(json.dumps(payload).encode())}


# --- The target -----------------------------------------------------------------------------------


class FakeTarget:
    """Stands in for ``plldb.aws.Target`` with clients of the kind above."""

    account_id = ACCOUNT
    # What it is reached by is not encrypted.
    ca_bundle = None

    def __init__(
        self, region: str = "us-east-1", *, uses_tls: bool = False, partition: str = "aws"
    ) -> None:
        self.region = region
        self.is_aws = False
        self.uses_tls = uses_tls
        self.partition = partition
        self.description = f"the test ({region})"
        self.execute_api_base_url = "http://inside:4566/_aws/execute-api"
        self.s3 = FakeS3()
        self.cloudformation = FakeCloudFormation()
        self.sessions = FakeSessionsTable()
        self.restoring = FakeRestoring()

    def client(self, service: str) -> Any:
        return {
            "s3": self.s3,
            "cloudformation": self.cloudformation,
            "dynamodb": self.sessions,
            "lambda": self.restoring,
        }[service]

    def patient_client(self, service: str, seconds: int) -> Any:
        return self.client(service)

    def execute_api_url(self, api_id: str, aws_url: str) -> str:
        return f"here:{api_id}:{aws_url}"


# --- Emulators ------------------------------------------------------------------------------------


class FakeEmulator:
    """An emulator whose health is a page of a local server; keeps what was done to it."""

    name = "fake"

    def __init__(self, endpoint_url: str, *, starts: bool = True, name: str = "fake") -> None:
        self.name = name
        self.endpoint_url = endpoint_url
        self.alive: set[int] = set()
        self.started = 0
        self.sweeps = 0
        self._starts = starts
        self._lock = threading.Lock()

    def start(self, port: int | None) -> RunningEmulator:
        with self._lock:
            self.started += 1
            pid = self.started
        if self._starts:
            self.alive.add(pid)
        return RunningEmulator(self.name, self.endpoint_url, self.endpoint_url, pid=pid)

    def is_alive(self, running: RunningEmulator) -> bool:
        return running.pid in self.alive

    def health_url(self, running: RunningEmulator) -> str:
        return f"{running.endpoint_url}/health"

    def last_log_lines(self, running: RunningEmulator, count: int) -> list[str]:
        return ["the port is cursed"][:count]

    def stop(self) -> None:
        self.sweeps += 1
        self.alive.clear()


# --- The helper stack -----------------------------------------------------------------------------


class FakeInstrumentation:
    """Keeps what it was asked for."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.before_start: Callable[[], None] = lambda: None

    def start(self, request: dict[str, Any]) -> None:
        self.before_start()
        self.requests.append(json.loads(json.dumps(request)))


class FakeConnections:
    """Keeps what was posted; connections that are in ``gone`` are."""

    def __init__(self, *gone: str) -> None:
        self.gone = set(gone)
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.dropped: list[str] = []

    def post(self, connection_id: str, message: dict[str, Any]) -> bool:
        if connection_id in self.gone:
            return False
        self.posted.append((connection_id, json.loads(json.dumps(message))))
        return True

    def drop(self, connection_id: str) -> bool:
        if connection_id in self.gone:
            return False
        self.gone.add(connection_id)
        self.dropped.append(connection_id)
        return True

    def is_open(self, connection_id: str) -> bool:
        return connection_id not in self.gone
