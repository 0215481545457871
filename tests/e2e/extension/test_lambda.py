"""Functions as subprocesses: what a function sees, and what happens when it misbehaves."""

import base64
import contextlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .cloud import Cloud, wait_for
from .code import zipped, zipped_files
from .conftest import ENDPOINT_VARIABLE

ROLE = "arn:aws:iam::000000000000:role/any"
CODE = """
import os, sys, time, threading
import boto3

STARTED = time.time()
calls = 0

def handler(event, context):
    global calls
    calls += 1
    do = event.get("do", "describe")
    print("doing", do)
    return globals()[do](event, context)

def describe(event, context):
    return {
        "pid": os.getpid(), "calls": calls, "path": sys.path, "env": dict(os.environ),
        "arn": context.invoked_function_arn, "request": context.aws_request_id,
        "left": context.get_remaining_time_in_millis(), "name": context.function_name,
        "version": context.function_version, "log": context.log_group_name}

def echo(event, context):
    return event["value"]

def sleep(event, context):
    time.sleep(event["seconds"])
    return os.getpid()

def exit(event, context):
    os._exit(3)

def spin(event, context):
    while True:
        pass

def fail(event, context):
    raise KeyError("gone")

def large(event, context):
    return "x" * event["bytes"]

def buckets(event, context):
    boto3.client("s3").list_buckets()
    return "ok"

def named(event, context):
    boto3.client("sqs", endpoint_url="https://sqs.us-east-1.amazonaws.com").list_queues()
    return "ok"

def imported(event, context):
    import extra
    return extra.VALUE

def orphan(event, context):
    import subprocess
    return subprocess.Popen(["sleep", "600"]).pid
"""


class Function:
    def __init__(self, client: Any, name: str) -> None:
        self.client = client
        self.name = name

    def invoke(self, do: str = "describe", **event: Any) -> Any:
        answer = self.respond(do, **event)
        assert "FunctionError" not in answer, answer["Payload"].read()
        return json.load(answer["Payload"])

    def error(self, do: str, **event: Any) -> dict[str, Any]:
        answer = self.respond(do, **event)
        assert answer["FunctionError"] == "Unhandled"
        error: dict[str, Any] = json.load(answer["Payload"])
        return error

    def respond(self, do: str, **event: Any) -> Any:
        return self.client.invoke(
            FunctionName=self.name, Payload=json.dumps({"do": do, **event}), LogType="Tail"
        )

    def configure(self, **changes: Any) -> None:
        self.client.update_function_configuration(FunctionName=self.name, **changes)
        self.client.get_waiter("function_updated_v2").wait(
            FunctionName=self.name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 100}
        )

    def replace_code(self, code: bytes) -> None:
        self.client.update_function_code(FunctionName=self.name, ZipFile=code)
        self.client.get_waiter("function_updated_v2").wait(
            FunctionName=self.name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 100}
        )


Factory = Callable[..., Function]


@pytest.fixture
def create(cloud: Cloud) -> Iterator[Factory]:
    client = cloud.client("lambda")
    names: list[str] = []

    def create(code: bytes = zipped(app=CODE), **options: Any) -> Function:
        name = f"function-{uuid.uuid4().hex[:8]}"
        client.create_function(
            **{
                "FunctionName": name,
                "Runtime": "python3.13",
                "Handler": "app.handler",
                "Role": ROLE,
                "Timeout": 60,
                "Code": {"ZipFile": code},
                **options,
            }
        )
        names.append(name)
        client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 100}
        )
        return Function(client, name)

    yield create
    for name in names:
        with contextlib.suppress(client.exceptions.ResourceNotFoundException):
            client.delete_function(FunctionName=name)


def test_context_and_environment(create: Factory) -> None:
    function = create(Environment={"Variables": {"COLOUR": "green"}}, Runtime="python3.12")
    seen = function.invoke()
    environment = seen["env"]
    assert environment["COLOUR"] == "green"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == seen["name"] == function.name
    assert environment["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.12"
    assert environment["AWS_ENDPOINT_URL"].startswith("http://localhost:")
    assert environment["AWS_REGION"] == "us-east-1"
    assert environment["_HANDLER"] == "app.handler"
    assert seen["path"][0] == environment["LAMBDA_TASK_ROOT"]
    assert seen["arn"].endswith(f":function:{function.name}")
    assert 30000 < seen["left"] <= 60000
    assert seen["version"] == "$LATEST"
    assert seen["log"] == f"/aws/lambda/{function.name}"


def test_boto3_reaches_the_emulator(create: Factory) -> None:
    function = create()
    assert function.invoke("buckets") == "ok"
    assert function.invoke("named") == "ok"


def test_layer_of_another_account_is_wanted_as_a_file(create: Factory) -> None:
    layer = "arn:aws:lambda:us-east-1:017000801446:layer:AWSLambdaPowertoolsPythonV3:1"
    with pytest.raises(ClientError, match=r"Put its zip .*/AWSLambdaPowertoolsPythonV3\.zip"):
        create(Layers=[layer])


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, "é", {"a": [1.5, None]}])
def test_values_pass_unchanged(shared: Function, value: Any) -> None:
    assert shared.invoke("echo", value=value) == value


@pytest.fixture(scope="module")
def shared(cloud: Cloud) -> Iterator[Function]:
    client = cloud.client("lambda")
    name = f"function-{uuid.uuid4().hex[:8]}"
    client.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": zipped(app=CODE)},
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name)
    yield Function(client, name)
    client.delete_function(FunctionName=name)


def test_warm_reuse(create: Factory) -> None:
    function = create()
    first, second = function.invoke(), function.invoke()
    assert second["pid"] == first["pid"]
    assert second["calls"] == first["calls"] + 1
    assert second["request"] != first["request"]


def test_concurrent_invocations_run_in_parallel(create: Factory) -> None:
    """Each in an environment of its own, as those before it are busy."""
    function = create()
    with ThreadPoolExecutor(6) as pool:
        pids = list(pool.map(lambda _: function.invoke("sleep", seconds=3), range(6)))
    assert len(set(pids)) == 6


def test_exit_is_survived(create: Factory) -> None:
    function = create()
    error = function.error("exit")
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert function.invoke("echo", value=1) == 1


def test_endless_loop_is_ended(create: Factory) -> None:
    function = create(Timeout=1)
    began = time.monotonic()
    error = function.error("spin")
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert time.monotonic() - began < 30
    # The new process has a second to start, which a loaded machine may not give it at once.
    assert wait_for(lambda: "FunctionError" not in function.respond("echo", value=1))


def test_unhandled_error(shared: Function) -> None:
    error = shared.error("fail")
    assert (error["errorType"], error["errorMessage"]) == ("KeyError", "'gone'")
    assert "app.py" in error["stackTrace"][-1]


def test_handler_that_cannot_be_loaded(create: Factory) -> None:
    assert create(Handler="nonesuch.handler").error("x")["errorType"] == "Runtime.ImportModuleError"
    broken = create(zipped(app="raise ValueError('at import')"))
    assert broken.error("x")["errorMessage"] == "at import"
    assert broken.error("x")["errorType"] == "ValueError"


def test_import_that_never_ends(create: Factory) -> None:
    function = create(zipped(app="while True: pass"), Timeout=1)
    error = function.error("x")
    assert error["errorType"] == "Sandbox.Timedout", error


def test_response_limit(shared: Function) -> None:
    size = 6 * 1024 * 1024
    assert len(shared.invoke("large", bytes=size - 10)) == size - 10
    assert shared.error("large", bytes=size + 200)["errorType"] == "Function.ResponseSizeTooLarge"


def test_log_tail(shared: Function) -> None:
    tail = base64.b64decode(shared.respond("echo", value=1)["LogResult"]).decode().splitlines()
    assert tail[0].startswith("START RequestId: ")
    assert "doing echo" in tail
    assert tail[-2].startswith("END RequestId: ")


def test_configuration_update_takes_effect(create: Factory) -> None:
    function = create(Environment={"Variables": {"COLOUR": "green"}})
    before = function.invoke()
    function.configure(Environment={"Variables": {"COLOUR": "blue"}}, Timeout=42)
    after = function.invoke()
    assert after["env"]["COLOUR"] == "blue"
    assert after["pid"] != before["pid"]
    assert 30000 < after["left"] <= 42000


def test_code_update_takes_effect(create: Factory) -> None:
    function = create()
    function.invoke()
    function.replace_code(zipped(app="def handler(event, context): return 'new'"))
    assert function.invoke() == "new"


def test_invocation_survives_an_update(create: Factory) -> None:
    function = create()
    function.invoke()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(function.invoke, "sleep", seconds=3)
        time.sleep(0.5)
        function.configure(Timeout=20)
        assert isinstance(running.result(), int)


def test_layers_and_handler_redirection(cloud: Cloud, create: Factory) -> None:
    client = cloud.client("lambda")
    contents = [
        zipped(python__extra="VALUE = 'first'", python__shim="from app import handler"),
        zipped(python__extra="VALUE = 'second'"),
    ]
    layers = [
        client.publish_layer_version(LayerName=f"layer-{n}", Content={"ZipFile": content})
        for n, content in enumerate(contents)
    ]
    function = create()
    arns = [layer["LayerVersionArn"] for layer in layers]
    function.configure(Layers=arns[:1], Handler="shim.handler")
    assert function.invoke("imported") == "first"
    function.configure(Layers=arns)
    assert function.invoke("imported") == "second"
    function.configure(Layers=[], Handler="app.handler")
    assert function.error("imported")["errorType"] == "ModuleNotFoundError"


def test_asynchronous_invocation(cloud: Cloud, create: Factory) -> None:
    function = create()
    answer = function.client.invoke(
        FunctionName=function.name, InvocationType="Event", Payload=b'{"do": "echo", "value": 1}'
    )
    assert answer["StatusCode"] == 202
    logs = cloud.client("logs")

    def lines() -> list[str]:
        try:
            events = logs.filter_log_events(logGroupName=f"/aws/lambda/{function.name}")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"].strip() for event in events]

    assert "doing echo" in wait_for(lines, lambda lines: "doing echo" in lines)


def test_deleted_function_leaves_no_process(cloud: Cloud, create: Factory) -> None:
    """Its own and the one that it has started are fewer, whatever other functions still end."""
    function = create()
    function.invoke("orphan")
    left = cloud.diagnostics()["subprocesses"] - 2
    assert left >= 0
    function.client.delete_function(FunctionName=function.name)
    settled = wait_for(cloud.diagnostics, lambda now: now["subprocesses"] <= left)
    assert settled["subprocesses"] <= left


NODE_CODE = """
const http = require('http');
const state = { calls: 0 };
const doings = {
  echo: (event) => event.value,
  count: () => ++state.calls,
  fail: () => { throw new RangeError('gone'); },
  reject: async () => { throw new RangeError('later'); },
  nothing: () => undefined,
  slow: () => new Promise((resolve) => setTimeout(resolve, 60000)),
  exit: () => process.exit(3),
  spoken: (event, context) => { console.log('spoken', { a: 1 }); return context.awsRequestId; },
  left: (event, context) => context.getRemainingTimeInMillis(),
  url: () => new Promise((resolve, reject) => {
    const answer = (response) => { response.resume(); resolve(response.statusCode); };
    http.get('https://nosuchapi.execute-api.us-east-1.amazonaws.com/x', answer).on('error', reject);
  }),
  signed: () => new Promise((resolve, reject) => {
    const scope = 'Credential=test/20260101/us-east-1/sqs/aws4_request';
    const headers = { Authorization: `AWS4-HMAC-SHA256 ${scope}, SignedHeaders=host, Signature=0` };
    const answer = (response) => resolve(response.headers['x-localstack'] || 'from somewhere else');
    const options = { host: 'sqs.us-east-1.amazonaws.com', path: '/?Action=ListQueues', headers };
    http.request(options, answer).on('error', reject).end();
  }),
};
exports.handler = async (event, context) => doings[event.do](event, context);
exports.plain = (event, context) => doings[event.do](event, context);
exports.callback = (event, context, callback) => setTimeout(() => callback(null, event.value), 1);
"""
NODE_MODULE = "export const handler = async (event) => ({ module: import.meta.url.slice(-3) });"
Node = Callable[..., Function]


@pytest.fixture
def node(create: Factory) -> Node:
    """Functions of Node's, where the emulator has a node."""

    def create_node(
        member: str = "handler",
        file: str = "index.js",
        code: str = NODE_CODE,
        runtime: str = "nodejs22.x",
        timeout: int = 60,
    ) -> Any:
        options = {"Runtime": runtime, "Handler": f"index.{member}", "Timeout": timeout}
        try:
            return create(code=zipped_files({file: code}), **options)
        except ClientError as error:
            if "No node was found" in str(error):
                pytest.skip("the emulator has no node")
            raise

    return create_node


@pytest.mark.parametrize(
    ("do", "answer"), [("echo", {"a": [1, None]}), ("nothing", None)], ids=["value", "nothing"]
)
@pytest.mark.parametrize("member", ["handler", "plain"])
def test_node_answers(node: Node, member: str, do: str, answer: Any) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html"""
    assert node(member).invoke(do, value=answer) == answer


def test_node_callbacks_and_modules(node: Node) -> None:
    assert node("callback").invoke("", value=7) == 7
    assert node("default", code="exports.default = async () => 7;").invoke("") == 7
    assert node(file="index.mjs", code=NODE_MODULE).invoke("") == {"module": "mjs"}


def test_node_functions_stay_warm_and_survive_faults(node: Node) -> None:
    function = node()
    assert [function.invoke("count") for _ in range(3)] == [1, 2, 3]
    assert function.error("fail")["errorType"] == "RangeError"
    assert function.error("reject")["errorMessage"] == "later"
    assert 30000 < function.invoke("left") <= 60000
    assert function.error("exit")["errorType"] == "Runtime.ExitError"
    assert function.invoke("count") == 1
    slow = node(timeout=1)
    assert slow.error("slow")["errorType"] == "Sandbox.Timedout"
    # The new process has a second to start, which a loaded machine may not give it at once.
    assert wait_for(lambda: json.load(slow.respond("count")["Payload"]), lambda one: one == 1) == 1
    missing = node(code="require('nowhere');")
    assert missing.error("echo")["errorType"] == "Runtime.ImportModuleError"
    assert node("nobody").error("echo")["errorType"] == "Runtime.HandlerNotFound"


@pytest.mark.skipif(ENDPOINT_VARIABLE in os.environ, reason="AWS's SDK is the image's")
def test_node_has_the_sdk_of_aws(node: Node) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html#nodejs-sdk-included"""
    code = """
const { DynamoDBClient, ListTablesCommand } = require('@aws-sdk/client-dynamodb');
exports.handler = async () => {
  const answer = await new DynamoDBClient({}).send(new ListTablesCommand({}));
  return answer.$metadata.httpStatusCode;
};
"""
    assert node(code=code).invoke("") == 200


@pytest.mark.skipif(ENDPOINT_VARIABLE in os.environ, reason="AWS's SDK is the image's")
def test_old_node_has_the_old_sdk_of_aws(node: Node) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html#nodejs-sdk-included"""
    code = """
const AWS = require('aws-sdk');
exports.handler = async () => Array.isArray((await new AWS.SQS().listQueues().promise()).QueueUrls);
"""
    assert node(code=code, runtime="nodejs16.x").invoke("") is True
    assert node(code=code).error("")["errorType"] == "Runtime.ImportModuleError"


def test_node_reaches_apis_by_the_names_of_aws(node: Node) -> None:
    assert node().invoke("url") in (403, 404)


def test_node_reaches_services_by_the_names_of_aws(node: Node) -> None:
    """As the SDK's version 2 does, which does not know AWS_ENDPOINT_URL."""
    assert node().invoke("signed") == "true"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"Runtime": "java21", "Handler": "example.Handler::handle"}, "runtime java21 do not run"),
        ({"PackageType": "Image", "Runtime": None, "Handler": None}, "container images do not run"),
    ],
    ids=["java", "image"],
)
def test_what_can_not_run_is_refused_at_once(
    cloud: Cloud, options: dict[str, Any], reason: str
) -> None:
    is_image = "PackageType" in options
    given = {
        "FunctionName": f"function-{uuid.uuid4().hex[:8]}",
        "Role": ROLE,
        "Code": {"ImageUri": "nowhere/none:latest"} if is_image else {"ZipFile": zipped(app=CODE)},
        **options,
    }
    with pytest.raises(ClientError, match=f"InvalidParameterValueException.*{reason}"):
        cloud.client("lambda").create_function(**{k: v for k, v in given.items() if v is not None})
