"""One emulator and one helper stack for the whole suite, made through the public command line.

The environment variable EMULATOR chooses the engine. A test that needs what an engine does not
have says so with ``@pytest.mark.needs("capability")``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from plldb.aws import Target
from plldb.config import EmulatorAddress, TargetSettings
from plldb.stacks import find_helper_stack

from .support import Backend, Keys, Plldb, clean_environment, random_name

CAPABILITIES = {
    "iam": "IAM policies and signatures are enforced",
    "log": "the emulator's own log can be read",
}
_CAPABILITIES_OF = {"ministack": {"iam", "log"}}
ENGINE = os.environ.get("EMULATOR", "ministack")

# A stack to debug: deployed in no time, and good for nothing else.
_TINY_TEMPLATE = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*capabilities): what the engine must have")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for capability in mark.args:
            if capability not in _CAPABILITIES_OF[ENGINE]:
                pytest.skip(f"not on {ENGINE}: {CAPABILITIES[capability]}")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plldb-home")


@pytest.fixture(scope="session")
def plldb(home: Path) -> Iterator[Plldb]:
    """The command line, with an emulator running that it finds by itself."""
    command = Plldb(clean_environment() | {"PLLDB_HOME": str(home)})
    try:
        command("local", "up", "--detach", "--emulator", ENGINE).succeeded()
        yield command
    finally:
        command("local", "down").succeeded()


@pytest.fixture(scope="session")
def address(plldb: Plldb) -> EmulatorAddress:
    url = plldb("local", "status", "--output", "json").json["endpointUrl"]
    return EmulatorAddress(url, url)


@pytest.fixture(scope="session")
def target(address: EmulatorAddress) -> Target:
    return Target(TargetSettings("emulator", "us-east-1", emulator=address))


@pytest.fixture(scope="session")
def backend(plldb: Plldb, target: Target) -> Backend:
    plldb("bootstrap").succeeded()
    return Backend(target, find_helper_stack(target, "plldb"))


@pytest.fixture
def stack(target: Target) -> Iterator[str]:
    """The name of a deployed stack to debug."""
    name = random_name("debuggee")
    cloudformation = target.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=_TINY_TEMPLATE)
    waiter = cloudformation.get_waiter("stack_create_complete")
    waiter.wait(StackName=name, WaiterConfig={"Delay": 1})
    try:
        yield name
    finally:
        cloudformation.delete_stack(StackName=name)


@pytest.fixture
def nobody(target: Target) -> Iterator[Keys]:
    """Working credentials of a user who may do nothing."""
    iam = target.client("iam")
    name = random_name("nobody")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    try:
        yield Keys(key["AccessKeyId"], key["SecretAccessKey"])
    finally:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user(UserName=name)
