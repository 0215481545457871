"""The examples, as somebody has them who has copied one of the folders: debugged, and tested."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
import requests
from websockets.sync.client import connect

from plldb.aws import Target
from plldb.dev.stack_deployment import read_outputs
from plldb.emulators.base import choose_port
from plldb.stacks import find_stack

from .project import detach, stop_in_editor
from .support import (
    DEADLINE_SECONDS,
    PATIENT,
    SETUP_SECONDS,
    Attached,
    Backend,
    Plldb,
    clean_environment,
    delete_stack,
    without_outer_pytest,
)

_EXAMPLES = Path(__file__).parents[2] / "examples"
_LEFT_BY_OTHERS = shutil.ignore_patterns(".*", "__pycache__", "cdk.out")
_MAKES_CDK = shutil.which("node") is not None and find_spec("aws_cdk") is not None
_NO_CDK = "the CDK needs Node.js, and aws-cdk-lib of the extra dev"


def _copy(example: str, folder: Path) -> Path:
    return shutil.copytree(_EXAMPLES / example, folder / example, ignore=_LEFT_BY_OTHERS)


# --- Debugged -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Client:
    """Whoever calls a stack that is deployed, by its outputs."""

    plldb: Plldb
    target: Target
    stack: str
    outputs: Mapping[str, str]

    def invoke(self, function: str, *options: str) -> Any:
        command = ("invoke", function, "--stack-name", self.stack, *options)
        return json.loads(self.plldb(*command).succeeded().stdout)

    def get(self, function: str, output: str, path: str) -> Any:
        """By the API whose URL is that output, which calls the function."""
        url = self.outputs[output].rstrip("/") + path
        answer = requests.get(url, timeout=DEADLINE_SECONDS)
        answer.raise_for_status()
        return answer.json()

    def beat(self) -> Any:
        """A speaker's first heartbeat."""
        secrets = self.target.client("secretsmanager")
        key = secrets.get_secret_value(SecretId=self.outputs["TokenKeyArn"])["SecretString"]
        claims = {"aud": "audio-broadcast", "exp": time.time() + 600, "sub": "ann"}
        token = jwt.encode(claims | {"role": "speaker"}, key, algorithm="HS256")
        url = f"{self.outputs['WebSocketUrl']}?{urlencode({'token': token})}"
        with connect(url, open_timeout=DEADLINE_SECONDS) as connection:
            connection.send(json.dumps({"action": "heartbeat"}))
            return json.loads(connection.recv(timeout=DEADLINE_SECONDS))


class DirectClient(Client):
    """The embedded emulator has no routes of what ``sam deploy`` makes of an HTTP API."""

    def get(self, function: str, output: str, path: str) -> Any:
        request = {"method": "GET", "path": path, "sourceIp": "192.0.2.1"}
        event = {
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": "",
            "headers": {},
            "requestContext": {"http": request, "stage": "$default"},
        }
        return json.loads(self.invoke(function, "--event", json.dumps(event))["body"])


@dataclass(frozen=True)
class Example:
    """``function`` has, in ``file``, a line with ``word``, which is in its answer to ``call``.

    ``deploy`` is how its own tool deploys it.
    """

    name: str
    stack: str
    function: str
    file: str
    line: str
    word: str
    call: Callable[[Client], Any]
    deploy: tuple[str, ...] = ("sam", "deploy", "--no-confirm-changeset")

    def __str__(self) -> str:
        return self.name


_DEBUGGED = [
    Example(
        "orders",
        "orders",
        "Overdue",
        "src/overdue/overdue.py",
        'return {"overdue": overdue}',
        '"overdue"',
        lambda client: client.invoke("Overdue", "--sample", "schedule"),
    ),
    Example(
        "duel_arena",
        "duel-arena",
        "Arena",
        "src/arena/app.py",
        'return {"status": "ok"}',
        '"ok"',
        lambda client: client.get("Arena", "Url", "/health"),
    ),
    Example(
        "agent_platform",
        "agent-platform",
        "Platform",
        "src/agent_platform/api.py",
        'return Info(name="agent-platform"',
        '"agent-platform"',
        lambda client: client.get("Platform", "ApiUrl", "/info"),
    ),
    pytest.param(
        Example(
            "audio_broadcast",
            "AudioBroadcast-dev",
            "Heartbeat",
            "src/broadcast/heartbeat.py",
            '"type": "heartbeat"',
            '"heartbeat"',
            Client.beat,
            ("cdk", "deploy", "--app", "cdk.out", "--require-approval", "never"),
        ),
        marks=pytest.mark.skipif(not _MAKES_CDK, reason=_NO_CDK),
        id="audio_broadcast",
    ),
]


@pytest.mark.needs("process")
@pytest.mark.parametrize("example", _DEBUGGED, ids=str)
def test_it_is_deployed_and_debugged_by_one_command(
    example: Example, plldb: Plldb, backend: Backend, target: Target, tmp_path: Path
) -> None:
    """An edited line answers, and a breakpoint stops at it."""
    project, within = _prepare(example, plldb, tmp_path)
    address = f"127.0.0.1:{choose_port(None)}"
    arguments = ("dev", "--output", "json", "--debugpy", address, *PATIENT)
    try:
        with Attached(within.start(*arguments), plldb.said) as dev:
            deployed = dev.wait_for("deployed", SETUP_SECONDS)
            assert deployed["stackName"] == example.stack
            dev.wait_for("ready")
            client = Client(within, target, example.stack, deployed["outputs"])
            _call_edited(example, project, client)
            _stop(example, project, client, dev)
            detach(dev)
    finally:
        # Another test may deploy it again at once.
        delete_stack(target, example.stack)


@pytest.mark.needs("process")
@pytest.mark.parametrize("example", _DEBUGGED, ids=str)
def test_its_own_tool_deploys_it(
    example: Example, plldb: Plldb, backend: Backend, target: Target, tmp_path: Path
) -> None:
    """And it is debugged here all the same. The tool is one of this machine's, if it has it."""
    if shutil.which(example.deploy[0]) is None:
        pytest.skip(f"{example.deploy[0]} is not installed")
    project, within = _prepare(example, plldb, tmp_path)
    if example.deploy[0] == "cdk":
        within("exec", "--", "cdk", "bootstrap", timeout=SETUP_SECONDS).succeeded()
    try:
        within("exec", "--", *example.deploy, timeout=SETUP_SECONDS).succeeded()
        with within.attach(example.stack, *PATIENT) as attached:
            attached.wait_for("ready")
            deployed = find_stack(target, example.stack)
            assert deployed is not None
            outputs = read_outputs(target, deployed)
            client = DirectClient(within, target, example.stack, outputs)
            _call_edited(example, project, client)
            detach(attached)
    finally:
        # Another test may deploy it again at once.
        delete_stack(target, example.stack)


def _prepare(example: Example, plldb: Plldb, folder: Path) -> tuple[Path, Plldb]:
    """A copy, and the command line in it, where ``python`` is this interpreter."""
    project = _copy(example.name, folder)
    if (project / "cdk.json").exists():
        _synthesize(project)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    quiet = {"SAM_CLI_TELEMETRY": "0"}
    return project, plldb.within(project).with_environment(PATH=path, **quiet)


def _call_edited(example: Example, project: Path, client: Client) -> None:
    file = project / example.file
    source = file.read_text()
    assert source.count(example.line) == 1
    assert json.loads(example.word) in json.dumps(example.call(client))
    file.write_text(source.replace(example.line, example.line.replace(example.word, '"edited"')))
    assert '"edited"' in json.dumps(example.call(client))


def _stop(example: Example, project: Path, client: Client, attached: Attached) -> None:
    """As an editor does, at the edited line."""
    [offered] = [
        one["configuration"]
        for one in attached.seen
        if one["event"] == "launch.configuration" and one["function"].startswith(example.function)
    ]
    answer = stop_in_editor(
        offered, project / example.file, '"edited"', lambda: example.call(client)
    )
    assert '"edited"' in json.dumps(answer)


def _synthesize(project: Path) -> None:
    """As ``cdk synth`` has it done, without the packages: they are installed here."""
    context = {"aws:cdk:bundling-stacks": []}
    variables = {"CDK_OUTDIR": str(project / "cdk.out"), "CDK_CONTEXT_JSON": json.dumps(context)}
    app = [sys.executable, "app.py"]
    subprocess.run(app, cwd=project, env=os.environ | variables, check=True, timeout=SETUP_SECONDS)


# --- Tested ---------------------------------------------------------------------------------------


def _run_pytest(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """On an emulator of their own, whatever the others of this suite run against."""
    environment = without_outer_pytest(clean_environment())
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *options],
        cwd=project,
        env=environment | {"PLLDB_HOME": str(project.parent / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=SETUP_SECONDS,
    )


_COVERED = ("--cov", "--cov-fail-under=90")


@pytest.mark.needs("process")
@pytest.mark.parametrize(
    ("example", "options"),
    [
        pytest.param("orders", ("-n", "2", *_COVERED), id="orders"),
        pytest.param("duel_arena", ("-n", "0", *_COVERED), id="duel_arena"),
        pytest.param("agent_platform", ("-n", "0", *_COVERED), id="agent_platform"),
        pytest.param(
            "audio_broadcast", ("-n", "0", *(_COVERED if _MAKES_CDK else ())), id="audio_broadcast"
        ),
    ],
)
def test_its_own_tests_pass(example: str, options: tuple[str, ...], tmp_path: Path) -> None:
    done = _run_pytest(_copy(example, tmp_path), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    if example == "audio_broadcast" and not _MAKES_CDK:
        pytest.skip(f"{_NO_CDK}: without them, only its unit tests ran")
    assert "SKIPPED" not in done.stdout, done.stdout
