"""The inspector's page beside a session: what it is told, and what it has run again."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from plldb.aws import Target

from .project import attach, deployed_project, detach
from .support import Backend, Plldb, poll

_CODE = """
import os
import time
from pathlib import Path

def handler(event, context):
    print("adds", event["a"])
    while "gate" in event and not Path(event["gate"]).exists():
        time.sleep(0.02)
    keys = [name for name in os.environ if name.startswith("AWS_CONTAINER_CREDENTIALS")]
    return {"sum": event["a"] + event.get("b", 0), "has_credentials": bool(keys)}
"""


class Inspector:
    """Asks as the page does."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)

    def get(self, path: str) -> Any:
        return self._ask("GET", path, None, {})

    def post(self, path: str, value: object) -> Any:
        headers = {
            "origin": f"http://{self._parts.netloc}",
            "content-type": "application/json",
        }
        return self._ask("POST", path, json.dumps(value), headers)

    def find(self, **wanted: object) -> list[dict[str, Any]]:
        listed = self.get("invocations")["invocations"]
        return [one for one in listed if one.items() >= wanted.items()]

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Any:
        connection = http.client.HTTPConnection(self._parts.netloc, timeout=60)
        try:
            connection.request(method, f"{self._parts.path}api/{path}", body, headers)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            return json.loads(answer.read())
        finally:
            connection.close()


def test_it_tells_of_invocations_and_runs_them_again_while_one_is_held(
    plldb: Plldb, target: Target, backend: Backend, tmp_path: Path
) -> None:
    with deployed_project(target, tmp_path, ["FnAdder"]) as project:
        project.write("FnAdder", _CODE)
        gate = tmp_path / "gate"
        with attach(plldb.within(tmp_path), project, "--inspect") as attached:
            inspector = Inspector(attached.wait_for("inspector")["url"])
            attached.wait_for("ready")
            assert inspector.find() == []
            assert project.invoke("FnAdder", {"a": 1, "b": 2}).json["sum"] == 3
            (first,) = poll(lambda: inspector.find(outcome="succeeded"), "seen")

            held = threading.Thread(
                target=project.invoke, args=("FnAdder", {"a": 5, "gate": str(gate)})
            )
            held.start()
            try:
                poll(lambda: inspector.find(outcome="running"), "running")
                asked = {"id": first["id"], "event": '{"a": 20, "b": 22}'}
                again = inspector.post("replay", asked)["id"]
                poll(lambda: inspector.find(id=again, outcome="succeeded"), "replayed")
                assert inspector.find(outcome="running")
            finally:
                gate.touch()
                held.join()
            whole = inspector.get(f"invocation?id={again}")
            assert json.loads(whole["answer"]) == {"sum": 42, "has_credentials": False}
            assert whole["replayOf"] == first["id"]
            assert [line["line"] for line in whole["log"]] == ["adds 20"]
            saved = Path(inspector.post("save", {"id": again, "kind": "test"})["path"])
            assert json.loads(saved.read_text())["event"] == {"a": 20, "b": 22}
            assert saved.parent == tmp_path / "tests" / "recordings"
            detach(attached)
        with pytest.raises(ConnectionError):
            inspector.find()
