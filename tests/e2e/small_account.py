"""An AWS account with few concurrent executions, as new ones have: an emulator with that limit.

MiniStack counts what is invoked through the Lambda API and by REST APIs, and lets messages and
connections of WebSocket APIs pass. AWS counts them all.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

from plldb.aws import Target
from plldb.config import EmulatorAddress, TargetSettings
from plldb.emulators.base import choose_port
from plldb.stacks import find_helper_stack

from .support import DEADLINE_SECONDS, Backend, Plldb, clean_environment, poll

# What API Gateway does with a message whose function is throttled.
_COUNTING = """
from ministack.services import apigateway, lambda_svc

pass_on = apigateway._invoke_ws_lambda

async def invoke(*arguments, **more):
    slot, _ = lambda_svc._acquire_execution_slot({}, {"FunctionName": "of a WebSocket API"})
    if slot is None:
        return {"statusCode": 500, "body": '{"message": "Internal server error"}'}
    try:
        return await pass_on(*arguments, **more)
    finally:
        lambda_svc._release_execution_slot(slot)

apigateway._invoke_ws_lambda = invoke

from ministack.app import main
main()
"""


@dataclass(frozen=True)
class SmallAccount:
    plldb: Plldb
    backend: Backend

    @property
    def target(self) -> Target:
        return self.backend.target


@contextmanager
def small_account(folder: Path, executions: int) -> Iterator[SmallAccount]:
    """With a helper stack in it. ``folder`` is for what the emulator writes."""
    port = choose_port(None)
    url = f"http://127.0.0.1:{port}"
    environment = clean_environment() | {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "AUTH": "true",
        "MINISTACK_WORKER_THREADS": "512",
        "LAMBDA_ACCOUNT_CONCURRENCY": str(executions),
        "TMPDIR": str(folder),
        "PYTHONUNBUFFERED": "1",
    }
    with (folder / "ministack.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _COUNTING],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        poll(lambda: _is_healthy(url), "the emulator is up")
        yield _bootstrapped(url, folder)
    finally:
        family = [*psutil.Process(process.pid).children(recursive=True), process]
        for one in family:
            one.kill()
        process.wait()


def _is_healthy(url: str) -> bool:
    try:
        return requests.get(f"{url}/_ministack/health", timeout=DEADLINE_SECONDS).ok
    except requests.ConnectionError:
        return False


def _bootstrapped(url: str, folder: Path) -> SmallAccount:
    home = {"PLLDB_HOME": str(folder / "home")}
    ends = {"PLLDB_ENDPOINT_URL": url, "PLLDB_INSIDE_ENDPOINT_URL": url}
    plldb = Plldb(clean_environment() | home | ends)
    plldb("bootstrap", timeout=600).succeeded()
    target = Target(TargetSettings("emulator", "us-east-1", emulator=EmulatorAddress(url, url)))
    return SmallAccount(plldb, Backend(target, find_helper_stack(target, "plldb")))
