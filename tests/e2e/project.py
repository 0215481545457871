"""A developer's project: a deployed stack, and the code of its functions on this machine."""

from __future__ import annotations

import copy
import io
import json
import signal
import textwrap
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plldb.aws import Target
from tests.unit.debugger.dap import DapClient

from .debugging import Debuggee, Outcome, deployed, function, template
from .support import DEADLINE_SECONDS, Attached, Plldb, bucket_location, poll, random_name

# What is deployed answers differently from what lies here, so that a test can tell who ran.
DEPLOYED = """
def handler(event, context):
    print("deployed")
    return {"ran": "deployed", "event": event}
"""
LOCAL = """
import os

def handler(event, context):
    return {"ran": "here", "event": event, "pid": os.getpid(), "file": __file__}
"""
_VARIABLES = {"GREETING": "hello", "EMPTY": ""}
_TIMEOUT_SECONDS = 30


class Project:
    def __init__(
        self, stack: Debuggee, folder: Path, functions: list[str], there: dict[str, Any]
    ) -> None:
        self.target = stack.target
        self.stack_name = stack.name
        self.folder = folder
        self.functions = functions
        self._stack = stack
        # The functions of the deployed template.
        self._there = there
        self._lambda = stack.target.client("lambda")

    @property
    def template(self) -> str:
        return str(self.folder / "template.json")

    def code(self, logical_id: str) -> Path:
        return self.folder / logical_id / "app.py"

    def write(self, logical_id: str, source: str) -> None:
        self.code(logical_id).write_text(textwrap.dedent(source))

    def name(self, logical_id: str) -> str:
        return str(self._stack.physical[logical_id])

    def invoke(self, logical_id: str, event: Any = None) -> Outcome:
        return self._stack.invoke(logical_id, event)

    def invoke_once(self, logical_id: str, event: Any = None) -> Outcome:
        return self._stack.invoke_once(logical_id, event)

    def deploy(self, logical_id: str, source: str) -> None:
        """Other code for a function, as another deployment would bring."""
        name = self.name(logical_id)
        self._lambda.update_function_code(FunctionName=name, ZipFile=_zipped(source))
        self._lambda.get_waiter("function_updated_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 1}
        )

    # --- The stack, deployed again ----------------------------------------------------------------

    def redeploy(self, functions: Iterable[str] = (), **properties: Any) -> None:
        """Other properties for these functions, or for all; returns once it is done."""
        for logical_id in functions or self.functions:
            self._there[logical_id]["Properties"] |= properties
        self._update_stack()

    def add(self, logical_id: str) -> None:
        """A function like the others, here as well."""
        example = next(iter(self._there.values()))
        self._there[logical_id] = copy.deepcopy(example)
        (self.folder / logical_id).mkdir()
        self.write(logical_id, LOCAL)
        here = json.loads(Path(self.template).read_text())
        here["Resources"][logical_id] = _function(logical_id, _VARIABLES)
        Path(self.template).write_text(json.dumps(here))
        self.functions = [*self.functions, logical_id]
        self._update_stack()

    def remove(self, logical_id: str) -> None:
        """From the deployed stack only."""
        del self._there[logical_id]
        self.functions = [name for name in self.functions if name != logical_id]
        self._update_stack()

    def _update_stack(self) -> None:
        cloudformation = self.target.client("cloudformation")
        cloudformation.update_stack(
            StackName=self.stack_name,
            TemplateBody=template(self._there),
            Capabilities=["CAPABILITY_IAM"],
        )
        waiter = cloudformation.get_waiter("stack_update_complete")
        waiter.wait(StackName=self.stack_name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
        self._stack.look()

    def configuration(self, logical_id: str) -> dict[str, Any]:
        """What a developer set: everything but what Lambda itself counts and stamps."""
        found = self._lambda.get_function_configuration(FunctionName=self.name(logical_id))
        ours = ("Handler", "Timeout", "Environment", "Layers", "Runtime", "Role", "MemorySize")
        return {key: found[key] for key in ours if key in found}

    def configurations(self) -> dict[str, dict[str, Any]]:
        return {logical_id: self.configuration(logical_id) for logical_id in self.functions}

    def revision(self, logical_id: str) -> str:
        """Changes with each update of the function."""
        found = self._lambda.get_function_configuration(FunctionName=self.name(logical_id))
        return str(found["RevisionId"])

    def role(self) -> dict[str, Any]:
        """The role that the functions run as, with all its policies."""
        iam = self.target.client("iam")
        arn = self.configuration(self.functions[0])["Role"]
        name = arn.rpartition("/")[2]
        role = iam.get_role(RoleName=name)["Role"]
        return {
            "trust": role["AssumeRolePolicyDocument"],
            "inline": iam.list_role_policies(RoleName=name)["PolicyNames"],
            "attached": iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"],
        }

    def update(self, logical_id: str, **changes: Any) -> None:
        """Returns once it is in effect."""
        self._stack.update(logical_id, **changes)

    def wait_until_restored(self, before: Mapping[str, Any]) -> None:
        """Until every configuration is as before."""
        poll(lambda: self.configurations() == before, "restored")


def attach(plldb: Plldb, project: Project, *arguments: str) -> Attached:
    return plldb.attach(project.stack_name, "--template", project.template, *arguments)


def detach(attached: Attached) -> None:
    attached.signal(signal.SIGINT)
    assert attached.exit_code() == 0, attached.errors()


def assert_restored(attached: Attached, look: Callable[[], Any], before: Any) -> None:
    """Whether what ``look`` finds is as before, once ``attached`` has ended.

    At once if it heard of each function that it was restored. It exits without that if it hears
    nothing for a while, as on a busy machine, or if somebody else was first.
    """
    if _may_be_held(attached):
        poll(lambda: look() == before, "restored")
    assert look() == before


def _may_be_held(attached: Attached) -> set[str]:
    """The functions of which it did not hear that they are no longer its own."""
    held: set[str] = set()
    for event in attached.seen:
        if event["event"] == "instrumented":
            held.add(event["function"])
        elif event["event"] in ("restored", "taken"):
            held.discard(event["function"])
    return held


def stop_in_editor(offered: Any, path: Path, text: str, call: Callable[[], Any]) -> Any:
    """Has ``call`` stop, as an editor does, at the first line with ``text``; then goes on.

    ``offered`` is the launch configuration of the function that is called. Returns the answer.
    """
    line = next(
        number for number, one in enumerate(path.read_text().splitlines(), 1) if text in one
    )
    at = offered["connect"]
    with (
        ThreadPoolExecutor() as pool,
        DapClient(at["host"], at["port"], DEADLINE_SECONDS) as editor,
    ):
        editor.attach(offered, {path: [line]})
        answer = pool.submit(call)
        thread, frame = editor.stopped_in()
        assert (frame["source"]["path"], frame["line"]) == (str(path), line)
        editor.go_on(thread)
        return answer.result(DEADLINE_SECONDS)


@contextmanager
def deployed_project(
    target: Target, folder: Path, functions: list[str], variables: Mapping[str, str] = _VARIABLES
) -> Iterator[Project]:
    """A stack of zip functions that answer "deployed", and local code that answers "here"."""
    s3 = target.client("s3")
    bucket = random_name("project-code")
    s3.create_bucket(Bucket=bucket, **bucket_location(target.region))
    s3.put_object(Bucket=bucket, Key="code.zip", Body=_zipped(DEPLOYED))
    for logical_id in functions:
        (folder / logical_id).mkdir(parents=True)
        (folder / logical_id / "app.py").write_text(LOCAL)
    here = {name: _function(name, variables) for name in functions}
    (folder / "template.json").write_text(template(here))
    zipped = {"S3Bucket": bucket, "S3Key": "code.zip"}
    there = {name: _function(zipped, variables) for name in functions}
    try:
        with deployed(target, there, "project") as stack:
            yield Project(stack, folder, functions, there)
    finally:
        s3.delete_object(Bucket=bucket, Key="code.zip")
        s3.delete_bucket(Bucket=bucket)


def _zipped(source: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("app.py", source)
    return archive.getvalue()


def _function(code: Any, variables: Mapping[str, str]) -> dict[str, Any]:
    return function(
        Handler="app.handler",
        Timeout=_TIMEOUT_SECONDS,
        Environment={"Variables": dict(variables)},
        Code=code,
    )
