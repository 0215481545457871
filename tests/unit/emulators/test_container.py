"""LocalStack in a container, against an engine that speaks Docker's API and runs nothing."""

from __future__ import annotations

import gc
import itertools
import json
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from plldb.emulators.base import RunningEmulator
from plldb.emulators.container import CONTEXT, LocalStack, build_image, engine_answers
from plldb.errors import EmulatorError
from tests.unit.fakes import Answer, Request, local_server

STEPS = ["Step 1/2 : FROM python\n", " ---> Running in 0123\n", "Step 2/2 : RUN true\n"]


class FakeEngine:
    """Images by tag and containers by id; https://docs.docker.com/reference/api/engine/"""

    def __init__(self) -> None:
        self.images: set[str] = set()
        self.containers: dict[str, dict[str, Any]] = {}
        self.builds: list[dict[str, Any]] = []
        self.build_output: list[dict[str, Any]] = [{"stream": step} for step in STEPS]
        self.refusal: Answer | None = None
        self.stopped: list[tuple[str, str]] = []  # container id, seconds until it is killed
        self._ids = (f"{number:064x}" for number in itertools.count(1))

    def respond(self, request: Request) -> Answer:  # noqa: PLR0911 (a table of routes)
        parts = urlsplit(request.url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        # After the version: /v1.47/containers/json
        path = parts.path.strip("/").split("/")
        path = path[1:] if path[0].startswith("v1.") else path
        match request.method, path:
            case "GET", ["version"]:
                return _json({"ApiVersion": "1.44", "MinAPIVersion": "1.24"})
            case _ if self.refusal is not None:
                return self.refusal
            case "GET", ["_ping"]:
                return Answer(200, "OK")
            case "GET", ["images", "json"]:
                found = json.loads(query["filters"])["reference"] if "filters" in query else []
                return _json([_image(tag) for tag in self.images if tag in found])
            case "GET", ["images", *name, "json"]:
                return _json(_image("/".join(name)))
            case "POST", ["build"]:
                return self._build(query)
            case _, ["containers", *rest]:
                return self._containers(request, query, rest)
        raise AssertionError(request)

    def _build(self, query: dict[str, str]) -> Answer:
        self.builds.append({"tag": query["t"], "args": json.loads(query.get("buildargs", "{}"))})
        if not any("error" in line for line in self.build_output):
            self.images.add(query["t"])
        lines = [json.dumps(line) + "\r\n" for line in self.build_output]
        chunks = [f"{len(line.encode()):x}\r\n{line}\r\n" for line in [*lines, ""]]
        return Answer(200, "".join(chunks), {"Transfer-Encoding": "chunked"})

    def _containers(  # noqa: PLR0911
        self, request: Request, query: dict[str, str], rest: list[str]
    ) -> Answer:
        match request.method, rest:
            case "GET", ["json"]:
                label = json.loads(query["filters"])["label"][0]
                return _json([{"Id": one["Id"]} for one in self.of_label(label)])
            case "POST", ["create"]:
                new_id = next(self._ids)
                self.containers[new_id] = json.loads(request.body) | {
                    "Id": new_id,
                    "State": {"Status": "created"},
                    "Config": {"Tty": False},
                    "Log": "one\ntwo\nthree\n",
                }
                return _json({"Id": new_id, "Warnings": []}, 201)
            case "POST", [one, "start"]:
                self.containers[one]["State"]["Status"] = "running"
                return Answer(204)
            case "POST", [one, "stop"] if one in self.containers:
                was_running = self.containers[one]["State"]["Status"] == "running"
                self.containers[one]["State"]["Status"] = "exited"
                self.stopped.append((one, query["t"]))
                return Answer(204 if was_running else 304)
            case "GET", [one, "json"] if one in self.containers:
                return _json(self.containers[one])
            case "GET", [one, "logs"]:
                lines = self.containers[one]["Log"].splitlines(keepends=True)
                text = "".join(lines[-int(query["tail"]) :])
                # A frame of stdout: https://docs.docker.com/reference/api/engine (attach)
                header = b"\x01\0\0\0" + len(text).to_bytes(4, "big")
                return Answer(200, header.decode() + text)
            case "DELETE", [one]:
                assert (query["force"], query["v"]) == ("True", "True")
                assert self.containers.pop(one)["State"]["Status"] == "exited", "it is not asked"
                return Answer(204)
        return _json({"message": "No such container"}, 404)

    def of_label(self, label: str) -> list[dict[str, Any]]:
        name, _, value = label.partition("=")
        return [one for one in self.containers.values() if one["Labels"].get(name) == value]


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value), {"Content-Type": "application/json"})


def _image(tag: str) -> dict[str, Any]:
    return {"Id": f"sha256:{tag}", "RepoTags": [tag]}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeEngine]:
    engine = FakeEngine()
    with local_server(engine.respond) as server:
        monkeypatch.setenv("DOCKER_HOST", server.url.replace("http://", "tcp://"))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "BASE_IMAGE"):
            monkeypatch.delenv(name, raising=False)
        yield engine


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """What an image is built from."""
    folder = tmp_path / "context"
    (folder / "extension").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM python\n", encoding="utf-8")
    (folder / "extension" / "a.py").write_text("a = 1\n", encoding="utf-8")
    return folder


def ignore(_: str) -> None:
    pass


class TestImage:
    def test_it_is_built_once(self, engine: FakeEngine, context: Path) -> None:
        told: list[str] = []
        tag = build_image(told.append, context)
        assert build_image(told.append, context) == tag
        assert engine.builds == [{"tag": tag, "args": {}}]
        assert tag.startswith("plldb-localstack:")
        assert "a minute or two" in told[0]
        assert told[1:] == ["Step 1/2 : FROM python", "Step 2/2 : RUN true"]

    def test_whatever_it_is_built_from_changes_its_tag(
        self, engine: FakeEngine, context: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tags = [build_image(ignore, context)]
        (context / "extension" / "a.py").write_text("a = 2\n", encoding="utf-8")
        tags.append(build_image(ignore, context))
        (context / "extension" / "a.py").rename(context / "extension" / "b.py")
        tags.append(build_image(ignore, context))
        (context / "new").touch()
        tags.append(build_image(ignore, context))
        monkeypatch.setenv("BASE_IMAGE", "python:3.13-slim")
        tags.append(build_image(ignore, context))
        monkeypatch.setenv("BASE_IMAGE", "mirror/python:3.13")
        tags.append(build_image(ignore, context))
        assert len(set(tags)) == len(tags)
        assert engine.builds[-1]["args"] == {"BASE_IMAGE": "mirror/python:3.13"}

    def test_what_python_leaves_behind_does_not(self, engine: FakeEngine, context: Path) -> None:
        tag = build_image(ignore, context)
        (context / "extension" / "__pycache__").mkdir()
        (context / "extension" / "__pycache__" / "a.pyc").write_bytes(b"x")
        assert build_image(ignore, context) == tag

    def test_a_failed_build_shows_what_failed(self, engine: FakeEngine, context: Path) -> None:
        engine.build_output.append({"error": "pip: no matching distribution\n"})
        with pytest.raises(EmulatorError, match=r"pip: no matching distribution$") as raised:
            build_image(ignore, context)
        assert "BASE_IMAGE" in str(raised.value.hint)

    def test_our_own_context_is_there(self) -> None:
        assert (CONTEXT / "Dockerfile").is_file()


def test_what_node_brings_into_the_image_is_pinned_by_hash() -> None:
    wanted = json.loads((CONTEXT / "node" / "package.json").read_text())["dependencies"]
    packages = json.loads((CONTEXT / "node" / "package-lock.json").read_text())["packages"]
    assert packages.pop("")["dependencies"] == wanted
    assert [
        name for name, package in packages.items() if "sha512-" not in package["integrity"]
    ] == []
    assert "--hash=sha256:" in (CONTEXT / "node" / "requirements.lock").read_text()


class TestContainer:
    def test_it_is_published_on_this_machine_only(self, engine: FakeEngine, tmp_path: Path) -> None:
        running = LocalStack(tmp_path, image="some/image:1").start(None)
        (container,) = engine.containers.values()
        port = running.endpoint_url.removeprefix("http://127.0.0.1:")
        assert container["HostConfig"]["PortBindings"] == {
            "4566/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]
        }
        assert container["State"]["Status"] == "running"
        assert container["Image"] == "some/image:1"
        assert not container["HostConfig"].get("Privileged")
        assert not container["HostConfig"].get("Binds")
        assert running == RunningEmulator(
            emulator="localstack",
            endpoint_url=f"http://127.0.0.1:{port}",
            inside_url="http://localhost:4566",
            container_id=container["Id"],
        )

    def test_the_port_can_be_chosen(self, engine: FakeEngine, tmp_path: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        running = LocalStack(tmp_path, image="i").start(port)
        assert running.endpoint_url == f"http://127.0.0.1:{port}"
        assert LocalStack(tmp_path).health_url(running) == (
            f"http://127.0.0.1:{port}/_localstack/health"
        )

    def test_one_that_is_taken_is_refused(self, engine: FakeEngine, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taker:
            port = taker.getsockname()[1]
            with pytest.raises(EmulatorError, match=str(port)):
                LocalStack(tmp_path, image="i").start(port)
        assert engine.containers == {}

    def test_without_an_image_of_its_own_it_is_ours(
        self, engine: FakeEngine, tmp_path: Path
    ) -> None:
        LocalStack(tmp_path).start(None)
        (container,), (image,) = engine.containers.values(), engine.images
        assert container["Image"] == image

    def test_of_our_environment_it_knows_the_vendors_token_only(
        self, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        localstack = LocalStack(tmp_path, image="i")
        without = localstack.start(None)
        own = ["TOKENFREE_LAMBDA_UNSUPPORTED=accept"]
        assert engine.containers[without.container_id]["Env"] == own
        monkeypatch.setenv("LOCALSTACK_AUTH_TOKEN", "t")
        licensed = localstack.start(None)
        env = engine.containers[licensed.container_id]["Env"]
        assert sorted(env) == ["LOCALSTACK_AUTH_TOKEN=t", *own]

    def test_it_is_found_and_its_log_is_read(self, engine: FakeEngine, tmp_path: Path) -> None:
        localstack = LocalStack(tmp_path, image="i")
        running = localstack.start(None)
        assert localstack.is_alive(running)
        assert localstack.last_log_lines(running, 2) == ["two", "three"]
        engine.containers[running.container_id]["State"]["Status"] = "exited"
        assert not localstack.is_alive(running)
        engine.containers.clear()
        assert not localstack.is_alive(running)
        assert localstack.last_log_lines(running, 2) == []

    def test_stopping_removes_all_of_this_home_and_none_of_another(
        self, engine: FakeEngine, tmp_path: Path
    ) -> None:
        mine, other = LocalStack(tmp_path / "mine", "i"), LocalStack(tmp_path / "other", "i")
        forgotten, known, theirs = mine.start(None), mine.start(None), other.start(None)
        engine.containers[forgotten.container_id]["State"]["Status"] = "exited"
        # A link to a home is that home.
        (tmp_path / "mine").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "mine")
        assert LocalStack(tmp_path / "link", "i").is_alive(known)
        mine.stop()
        assert engine.containers.keys() == {theirs.container_id}
        mine.stop()

    def test_its_label_does_not_tell_where_a_home_is(
        self, engine: FakeEngine, tmp_path: Path
    ) -> None:
        LocalStack(tmp_path, "i").start(None)
        (container,) = engine.containers.values()
        assert str(tmp_path) not in json.dumps(container["Labels"])


class TestErrors:
    @pytest.mark.parametrize("status", [400, 409, 500])
    def test_a_refusal_is_an_error_of_ours(
        self, engine: FakeEngine, tmp_path: Path, status: int
    ) -> None:
        localstack = LocalStack(tmp_path, "i")
        running = localstack.start(None)
        engine.refusal = _json({"message": "no space left"}, status)
        for act in (
            lambda: localstack.start(None),
            lambda: localstack.is_alive(running),
            lambda: localstack.last_log_lines(running, 1),
            localstack.stop,
            lambda: build_image(ignore),
        ):
            with pytest.raises(EmulatorError, match=r"Could not .*no space left") as raised:
                act()
            assert "\n" not in raised.value.message
            assert "ministack" in str(raised.value.hint)

    def test_no_engine_at_all(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{probe.getsockname()[1]}")
            assert not engine_answers()
            with pytest.raises(EmulatorError, match="Could not") as raised:
                LocalStack(tmp_path).start(None)
            assert "docker info" in str(raised.value.hint)

    @pytest.mark.parametrize("kind", ["none", "not listening", "a file"])
    def test_no_engine_at_its_socket(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
    ) -> None:
        path = tmp_path / "s"
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        with socket.socket(socket.AF_UNIX) as left:
            if kind == "not listening":
                left.bind(str(path))
            elif kind == "a file":
                path.touch()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert not engine_answers()
                gc.collect()

    def test_an_engine_that_takes_nobody_is_not_waited_for(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """One that is stuck, with as many clients before its door as it has room for."""
        path = tmp_path / "s"
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        monkeypatch.setattr("plldb.emulators.container._PING_SECONDS", 0.1)
        with socket.socket(socket.AF_UNIX) as stuck, socket.socket(socket.AF_UNIX) as client:
            stuck.bind(str(path))
            stuck.listen(0)
            client.connect(str(path))
            assert not engine_answers()

    def test_without_an_engine_nothing_runs_and_nothing_needs_stopping(
        self, monkeypatch: pytest.MonkeyPatch, engine: FakeEngine, tmp_path: Path
    ) -> None:
        """As after a restart of the machine."""
        localstack = LocalStack(tmp_path, "i")
        running = localstack.start(None)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{probe.getsockname()[1]}")
            assert not localstack.is_alive(running)
            localstack.stop()

    def test_an_engine_answers(self, engine: FakeEngine) -> None:
        assert engine_answers()

    def test_one_that_is_ill_does_not(self, engine: FakeEngine) -> None:
        engine.refusal = _json({"message": "starting"}, 503)
        assert not engine_answers()
