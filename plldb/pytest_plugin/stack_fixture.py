"""``plldb_stack``: a project's stack, deployed for the tests alone."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import socket
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from plldb.aws import aws_errors
from plldb.bootstrap.executor import Executor
from plldb.bootstrap.planner import DeleteStack
from plldb.bootstrap.stack_operation import ResourceEvent
from plldb.config import suggest
from plldb.dev.emulator_adaptation import choose_adaptation
from plldb.dev.lambda_call import invoke
from plldb.dev.project_packages import StackSource, choose_stacks, find_stack_sources
from plldb.dev.project_stack import name_after
from plldb.dev.sam_settings import read_sam_settings
from plldb.dev.stack_deployment import (
    Deployer,
    Deployment,
    Reporter,
    StackParameters,
    check_parameters,
    make_storage,
)
from plldb.dev.stack_functions import list_functions
from plldb.dev.template_package import PackagedTemplate, render
from plldb.emulators.process_identity import identify_self, is_running
from plldb.errors import (
    DeploymentError,
    FunctionFailedError,
    PlldbError,
    UsageError,
)
from plldb.pytest_plugin.emulator_fixture import PlldbEmulator
from plldb.pytest_plugin.explained import explained
from plldb.stacks import find_stack, list_resources, list_stacks

logger = logging.getLogger(__name__)

# What is put behind a name has to fit into one of CloudFormation's, and this into a function's.
_LONGEST_NAME = 30
# A tag of a stack is the process that it is deployed for, so that the next run finds what a killed
# one has left.
_PROCESS_TAG = "plldb:pytest-process"
_PROCESS = re.compile(r"(?P<machine>\S+) (?P<pid>[0-9]+) (?P<started>[0-9]+\.[0-9]+)")
# Set by pytest-xdist in its workers: gw0, gw1, …
_WORKER = "PYTEST_XDIST_WORKER"


class PlldbStack:
    """A deployed stack. ``outputs`` are the template's, with URLs as they are reached from here.

    ``declared_name`` is what the project calls it, which plldb.toml may have settings for; the
    ``name`` under which it is deployed is its own.
    """

    def __init__(
        self, emulator: PlldbEmulator, deployment: Deployment, template: Path, declared_name: str
    ) -> None:
        self.emulator = emulator
        self.name = deployment.stack_name
        self.outputs = self._name("output", deployment.outputs)
        self.template = template
        self.declared_name = declared_name

    def __repr__(self) -> str:
        return f"<PlldbStack {self.name}>"

    @cached_property
    def functions(self) -> Mapping[str, str]:
        """What Lambda calls the functions, by their names here: logical ids, with that of a nested
        stack before them as in ``Child/Greeter``.
        """
        __tracebackhide__ = True
        with explained():
            found = list_functions(self.emulator.target, self.name)
        return self._name("function", {one.name: one.physical_name for one in found})

    @cached_property
    def resources(self) -> Mapping[str, str]:
        """Physical ids by logical ids, without what is in nested stacks: a table's name, a queue's
        URL, …
        """
        __tracebackhide__ = True
        client = self.client("cloudformation")
        with explained(), aws_errors(f"list the resources of stack {self.name!r}"):
            found = [*list_resources(client, self.name)]
        return self._name("resource", {one.logical_id: one.physical_id for one in found})

    def client(self, service: str) -> Any:
        """A boto3 client of the emulator."""
        return self.emulator.client(service)

    def invoke(self, function: str, event: Any = None) -> Any:
        """What a function answers to an event, both as Python has JSON.

        Raises FunctionFailedError if it raises an error, whose trace is a note of that; KeyError if
        the stack has no such function. The test fails if there is no answer.
        """
        __tracebackhide__ = True
        name, payload = self.functions[function], json.dumps(event).encode()
        with explained():
            answer = invoke(self.emulator.target, name, payload, None)
        if (failure := answer.failure) is not None:
            error = FunctionFailedError(str(failure))
            error.add_note("\n".join(failure.trace) or answer.log.rstrip())
            raise error
        return json.loads(answer.payload) if answer.payload else None

    def _name(self, kind: str, values: Mapping[str, str]) -> Mapping[str, str]:
        return MappingProxyType(_Named(f"stack {self.name} has no {kind}", values))


class _Named(dict[str, str]):
    """Tells whoever asks for a name that is not there which one may be meant."""

    def __init__(self, lack: str, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self._lack = lack

    def __missing__(self, name: str) -> str:
        __tracebackhide__ = True
        hint = suggest(name, sorted(self)) if self else "It has none at all."
        raise KeyError(f"{self._lack} {name!r}. {hint}")


class DeployStack:
    """``plldb_stack``: call it to have a stack deployed. One that is there already, with the same
    content and parameters, is given again; all are deleted after the last test.
    """

    def __init__(self, emulator: PlldbEmulator, environ: Mapping[str, str] = os.environ) -> None:
        self._emulator = emulator
        self._worker = environ.get(_WORKER, "")
        # By content and parameters.
        self._stacks: dict[str, PlldbStack] = {}
        # What there may be of stacks, whether their deployment came to its end or not.
        self._names: list[str] = []

    def __call__(
        self,
        template: str | Path | None = None,
        *,
        parameters: Mapping[str, str] = MappingProxyType({}),
        stack: str | None = None,
    ) -> PlldbStack:
        """``template`` is a SAM or CloudFormation template, or a folder such as cdk.out, relative
        to pytest's root; without it, the project is the one there. ``parameters`` are the
        template's, over those of samconfig.toml. Of an app with several stacks, ``stack`` says
        which.
        """
        __tracebackhide__ = True
        with explained():
            return self._deploy(None if template is None else Path(template), parameters, stack)

    def delete_all(self) -> None:
        """What can't be deleted is a warning: the tests are over."""
        names = reversed(self._names)
        self._names = []
        problems = [*self._delete(names)]
        if problems:
            warnings.warn("\n".join(problems), stacklevel=2)

    def delete_left(self) -> None:
        """The stacks of tests on this machine that were killed. What can't be is no matter of these
        tests, and logged.
        """
        with explained():
            stacks = list_stacks(self._emulator.target)
        left = [one.name for one in stacks if _is_left(one.tags.get(_PROCESS_TAG, ""))]
        if left:
            logger.info("killed tests have left stacks: %s", ", ".join(left))
        for problem in self._delete(left):
            logger.warning("%s", problem)

    def _deploy(
        self, template: Path | None, parameters: Mapping[str, str], stack: str | None
    ) -> PlldbStack:
        emulator, root = self._emulator, self._emulator.root
        source = _choose_one(find_stack_sources(root, template), stack)
        folder = root if template is None else (root / template).parent
        settings = read_sam_settings(folder)
        declared = source.name or settings.stack_name or name_after(folder)
        name = self._name(declared)
        given = {**settings.parameters, **parameters}
        storage = make_storage(emulator.target)
        adaptation = choose_adaptation(emulator.target, emulator.settings)
        package = source.package(storage, adaptation, StackParameters(emulator.target, name, given))
        for remark in package.remarks:
            logger.warning("%s", remark)
        check_parameters([package], parameters)
        key = _hash(package, given)
        if key not in self._stacks:
            self._names.append(name)
            deployer = Deployer(emulator.target, storage, _make_reporter(), lambda *_: True)
            tags = {**settings.tags, _PROCESS_TAG: _identify_process()}
            deployment = deployer.deploy(name, package, given, tags)
            self._stacks[key] = PlldbStack(emulator, deployment, source.template, declared)
        return self._stacks[key]

    def _name(self, declared: str) -> str:
        """Another one in each worker, and in each of several runs on one emulator."""
        parts = (declared[:_LONGEST_NAME].rstrip("-"), self._worker, secrets.token_hex(3))
        return "-".join(filter(None, parts))

    def _delete(self, names: Iterable[str]) -> Iterator[str]:
        """All, whatever comes of one of them; gives the problems."""
        target = self._emulator.target
        executor = Executor(target, lambda _: None, lambda _: None, DeploymentError)
        for name in names:
            try:
                found = find_stack(target, name)
                if found is not None:
                    executor.execute((DeleteStack(name, found.status),))
            except PlldbError as error:
                yield f"Stack {name} is left: {error.explanation}"


def _identify_process() -> str:
    """This one, among those of all machines: "build-7-4026531836 4711 1795683126.04"."""
    pid, started = identify_self()
    return f"{_name_machine()} {pid} {started}"


def _is_left(process: str) -> bool:
    """Whether it was one of this machine, and is gone."""
    found = _PROCESS.fullmatch(process)
    if found is None or found["machine"] != _name_machine():
        return False
    return not is_running(int(found["pid"]), float(found["started"]))


def _name_machine() -> str:
    """With the characters that tags may have. A container can have its host's name, but has process
    ids of its own: on Linux, these have a number (namespaces(7)), which stands behind the name.
    """
    try:
        process_ids = re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        process_ids = ""
    return re.sub(r"[^\w.-]", "-", f"{socket.gethostname()}-{process_ids}")


def _choose_one(sources: list[StackSource], stack: str | None) -> StackSource:
    chosen = choose_stacks(sources, stack)
    if len(chosen) > 1:
        names = ", ".join(str(one.name) for one in chosen)
        raise UsageError(f"The app has several stacks: {names}.", "Say which one: stack=NAME.")
    return chosen[0]


def _hash(package: PackagedTemplate, parameters: Mapping[str, str]) -> str:
    """Of all that is deployed: code is in the template by keys that are hashes of it."""
    keys = sorted(upload.key for upload in package.uploads)
    content = json.dumps([render(package.body), keys, sorted(parameters.items())])
    return hashlib.sha256(content.encode()).hexdigest()


def _make_reporter() -> Reporter:
    def log_resource(event: ResourceEvent) -> None:
        logger.info("%s %s %s", event.status, event.logical_id, event.reason)

    return Reporter(lambda step: logger.info("%s", step), log_resource)
