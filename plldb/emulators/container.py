"""LocalStack in a container, through testcontainers: our token-free image, or the vendor's."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before testcontainers is imported: its reaper would take the container away as soon as this
# process ends, and `plldb local up --detach` ends at once. Ours are found by their label.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")

import docker
import docker.errors
import requests
from testcontainers.core.container import DockerContainer

from plldb.emulators.base import LOOPBACK, RunningEmulator, port_to_use
from plldb.errors import EmulatorError

if TYPE_CHECKING:
    from docker.models.containers import Container

CONTEXT = Path(__file__).parent / "localstack"
# LocalStack's port inside the container, on every image of it.
_PORT = 4566
_HOME_LABEL = "plldb.home"
# An engine that goes away in the middle is an error of the HTTP client below.
_ERRORS = (docker.errors.DockerException, requests.RequestException)


class LocalStack:
    """``home`` tells one developer's containers from another's.

    ``image`` None is our own, built when it is missing. ``progress`` hears what the build does.
    """

    name = "localstack"

    def __init__(
        self,
        home: Path,
        image: str | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._label = f"{_HOME_LABEL}={hashlib.sha256(str(home.resolve()).encode()).hexdigest()}"
        self._image = image
        self._progress = progress

    def start(self, port: int | None) -> RunningEmulator:
        with _docker_errors("start LocalStack"):
            image = self._image or build_image(self._progress)
            container = DockerContainer(image).with_kwargs(labels=_labels(self._label))
            # On loopback only: whoever reaches LocalStack runs code in it.
            host_port = port_to_use(port)
            container.ports[f"{_PORT}/tcp"] = (LOOPBACK, host_port)  # type: ignore[assignment]  # docker takes it
            if token := os.environ.get("LOCALSTACK_AUTH_TOKEN"):
                container.with_env("LOCALSTACK_AUTH_TOKEN", token)
            container.start()
        return RunningEmulator(
            emulator=self.name,
            endpoint_url=f"http://{LOOPBACK}:{host_port}",
            inside_url=f"http://localhost:{_PORT}",
            container_id=str(container.get_wrapped_container().id),
        )

    def is_alive(self, running: RunningEmulator) -> bool:
        # No engine, no container: after a restart of the machine, say.
        return _engine_is_there() and any(
            container.id == running.container_id and container.status == "running"
            for container in self._containers()
        )

    def health_url(self, running: RunningEmulator) -> str:
        return f"{running.endpoint_url}/_localstack/health"

    def last_log_lines(self, running: RunningEmulator, count: int) -> list[str]:
        for container in self._containers():
            if container.id == running.container_id:
                with _docker_errors("read LocalStack's log"):
                    log: bytes = container.logs(tail=count)
                return log.decode(errors="replace").splitlines()
        return []

    def stop(self) -> None:
        if not _engine_is_there():
            return  # and so no container runs
        with _docker_errors("stop LocalStack"):
            for container in self._containers():
                container.remove(force=True, v=True)

    def _containers(self) -> list[Container]:
        with _docker_errors("look for LocalStack's container"):
            found: list[Container] = docker.from_env().containers.list(
                all=True, filters={"label": self._label}, ignore_removed=True
            )
            return found


def build_image(progress: Callable[[str], None], context: Path = CONTEXT) -> str:
    """The tag of our image, which names its content: built only when there is none yet.

    The environment variable ``BASE_IMAGE`` replaces the Dockerfile's base image.
    """
    base_image = os.environ.get("BASE_IMAGE")
    tag = f"plldb-localstack:{_context_hash(context, base_image)}"
    with _docker_errors(f"build the image {tag}"):
        client = docker.from_env()
        if client.images.list(name=tag):
            return tag
        progress(f"building {tag}; the first time takes a minute or two")
        arguments = {"BASE_IMAGE": base_image} if base_image else {}
        lines = client.api.build(
            path=str(context), tag=tag, buildargs=arguments, rm=True, forcerm=True, decode=True
        )
        _follow_build(lines, tag, progress)
    return tag


def _follow_build(
    lines: Iterator[dict[str, Any]], tag: str, progress: Callable[[str], None]
) -> None:
    for line in lines:
        if "error" in line:
            raise EmulatorError(
                f"The image {tag} could not be built: {str(line['error']).strip()}",
                "Where no registry is in reach, name a local Python 3.13 image with BASE_IMAGE.",
            )
        if (text := str(line.get("stream", "")).strip()).startswith("Step "):
            progress(text)


def _context_hash(context: Path, base_image: str | None) -> str:
    digest = hashlib.sha256((base_image or "").encode())
    for file in sorted(context.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(file.relative_to(context).as_posix().encode() + b"\0")
            digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def engine_answers() -> bool:
    """Whether there is a Docker engine to run containers."""
    try:
        return bool(docker.from_env(timeout=5).ping())
    except _ERRORS:
        return False


def _engine_is_there() -> bool:
    """Also one that refuses: only one that can't be reached runs nothing."""
    try:
        docker.from_env(timeout=5).ping()
    except docker.errors.APIError:
        return True
    except _ERRORS:
        return False
    return True


@contextmanager
def _docker_errors(action: str) -> Iterator[None]:
    try:
        yield
    except _ERRORS as error:
        reason = str(error).splitlines() or ["no reason was given"]
        raise EmulatorError(
            f"Could not {action}: {reason[0]}",
            "Start the Docker engine ('docker info' must answer), or use --emulator ministack.",
        ) from error


def _labels(label: str) -> dict[str, str]:
    name, _, value = label.partition("=")
    return {name: value}
