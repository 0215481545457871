"""The shim under every Python that Lambda has, as far as this machine has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import plldb_shim
import pytest
from lambda_functions.websocket import wire

from tests.unit.fakes import Answer, Request, local_server

from .function import variables_of
from .helper_stack import (
    ASKED,
    REQUEST_ID,
    absent,
    accepted,
    answer,
    answering,
    helper_stack,
    started,
)

SHIM = Path(plldb_shim.__file__).parent
VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
_IS_VERSION = "import sys; sys.exit('%d.%d' % sys.version_info[:2] != sys.argv[1])"
# Loaded when they are needed, if at all.
HEAVY = {
    *("asyncio", "email", "hashlib", "http.client", "logging", "select", "selectors", "socket"),
    *("ssl", "subprocess", "tempfile", "typing", "urllib.parse", "urllib.request"),
}

INVOCATIONS = """
import json, sys
import plldb_shim
class Context:
    aws_request_id = "request-1"
    def get_remaining_time_in_millis(self): return 60000
outcomes = []
for event in ["small", "x" * 100000, None, "failing"]:
    try:
        outcomes.append(plldb_shim.handler(event, Context()))
    except Exception as error:
        outcomes.append(type(error).__name__ + ": " + str(error))
plldb_shim.bootstrap.channel.hang_up()
print(json.dumps(outcomes))
"""


def interpreters(version: str) -> Iterator[str]:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    yield from (str(path) for path in pyenv.glob(f"{version}*/bin/python"))
    found = which(f"python{version}")
    if found:
        yield found


@pytest.fixture(scope="module", params=VERSIONS)
def interpreter(request: pytest.FixtureRequest) -> str:
    for path in interpreters(request.param):
        done = subprocess.run([path, "-c", _IS_VERSION, request.param], check=False)
        if done.returncode == 0:
            return path
    pytest.skip(f"no Python {request.param} here")


def run(interpreter: str, code: str, **environ: str) -> str:
    done = subprocess.run(
        [interpreter, "-W", "error", "-S", "-c", code],
        env={"PYTHONPATH": str(SHIM.parent), "PYTHONDONTWRITEBYTECODE": "1"} | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()[-1]


def test_it_loads_nothing_heavy(interpreter: str) -> None:
    modules = set(run(interpreter, "import plldb_shim, sys; print(*sys.modules)").split())
    assert not modules & HEAVY


def test_invocations_of_all_kinds(interpreter: str, own_code: Path) -> None:
    stored: dict[str, str] = {}

    def bucket(request: Request) -> Answer:
        if request.method == "PUT":
            stored[request.path] = request.body
            return Answer(200)
        return Answer(200, json.dumps({"result": len(json.loads(stored["/k"]))}))

    error = {"errorType": "CardError", "errorMessage": "no", "stackTrace": []}
    with local_server(bucket) as server:
        script = {
            "upload": [[wire.upload(REQUEST_ID, "k", f"{server.url}/k?s=1")]],
            "invoke": [
                [accepted(), started(), answer({"ä": [1.5, None]})],
                [accepted(), wire.answer(REQUEST_ID, ASKED, body_url=f"{server.url}/r?s=1")],
                [absent()],
                [accepted(), wire.answer(REQUEST_ID, ASKED, body=json.dumps({"error": error}))],
            ],
        }
        with helper_stack(answering(script)) as stack:
            printed = run(
                interpreter,
                INVOCATIONS,
                **variables_of(stack.url),
                PYTHONPATH=f"{SHIM.parent}{os.pathsep}{own_code}",
            )
    assert json.loads(printed) == [{"ä": [1.5, None]}, 100_000, {"own": None}, "CardError: no"]
    assert len(stack.handshakes) == 1


def test_this_one_is_among_them() -> None:
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in VERSIONS
