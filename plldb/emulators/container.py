"""LocalStack in a container, through testcontainers: our token-free image, or the vendor's."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before testcontainers is imported: its reaper would take the container away as soon as this
# process ends, and `plldb local up --detach` ends at once. Ours are found by their label.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")

import docker
import docker.errors
import requests
from docker.utils import parse_host
from testcontainers.core.container import DockerContainer

from plldb.emulators.base import LOOPBACK, RunningEmulator, choose_port
from plldb.errors import EmulatorError

if TYPE_CHECKING:
    from docker.models.containers import Container

logger = logging.getLogger(__name__)

CONTEXT = Path(__file__).parent / "localstack"
# LocalStack's port inside the container, on every image of it.
_PORT = 4566
_HOME_LABEL = "plldb.home"
# LocalStack's state is in memory: it has nothing to save when it is asked to end.
_STOP_SECONDS = 2
_PING_SECONDS = 5
_UNIX = "http+unix://"
# An engine that goes away in the middle is an error of the HTTP client below.
_ERRORS = (docker.errors.DockerException, requests.RequestException)


class LocalStack:
    """LocalStack in a container.

    ``home`` tells one developer's containers from another's. Without an ``image`` it is our own,
    which is built when it is missing; ``progress`` hears what the build does.
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
        with _translate_docker_errors("start LocalStack"):
            image = self._image or build_image(self._progress)
            container = DockerContainer(image).with_kwargs(labels=_parse_label(self._label))
            with closing(container.get_docker_client().client):
                # On loopback only: whoever reaches LocalStack runs code in it.
                host_port = choose_port(port)
                container.ports[f"{_PORT}/tcp"] = (LOOPBACK, host_port)  # type: ignore[assignment]  # docker takes it
                if token := os.environ.get("LOCALSTACK_AUTH_TOKEN"):
                    container.with_env("LOCALSTACK_AUTH_TOKEN", token)
                # plldb names at attach what it can't debug; the rest of the stack is to run.
                container.with_env("TOKENFREE_LAMBDA_UNSUPPORTED", "accept")
                container.start()
                container_id = str(container.get_wrapped_container().id)
        logger.info("LocalStack is container %s of image %s", container_id, image)
        return RunningEmulator(
            emulator=self.name,
            endpoint_url=f"http://{LOOPBACK}:{host_port}",
            inside_url=f"http://localhost:{_PORT}",
            container_id=container_id,
        )

    def is_alive(self, running: RunningEmulator) -> bool:
        # Without an engine there is no container, as after a restart of the machine.
        if not _is_engine_there():
            return False
        with self._find_containers() as containers:
            return any(
                container.id == running.container_id and container.status == "running"
                for container in containers
            )

    def health_url(self, running: RunningEmulator) -> str:
        return f"{running.endpoint_url}/_localstack/health"

    def last_log_lines(self, running: RunningEmulator, count: int) -> list[str]:
        with self._find_containers() as containers:
            for container in containers:
                if container.id == running.container_id:
                    with _translate_docker_errors("read LocalStack's log"):
                        log: bytes = container.logs(tail=count)
                    return log.decode(errors="replace").splitlines()
        return []

    def stop(self) -> None:
        """Asks the containers to end, and removes them; one that does not end in time is killed."""
        if not _is_engine_there():
            return  # and so no container runs
        with self._find_containers() as containers, _translate_docker_errors("stop LocalStack"):
            for container in containers:
                logger.info("stopping container %s, %s", container.id, container.status)
                container.stop(timeout=_STOP_SECONDS)
                container.remove(force=True, v=True)

    @contextmanager
    def _find_containers(self) -> Iterator[list[Container]]:
        with _open_client("look for LocalStack's container") as client:
            found: list[Container] = client.containers.list(
                all=True, filters={"label": self._label}, ignore_removed=True
            )
            yield found


def build_image(progress: Callable[[str], None], context: Path = CONTEXT) -> str:
    """Builds our image, unless it is there, and returns its tag, which names its content.

    The environment variable ``BASE_IMAGE`` replaces the Dockerfile's base image. Raises
    EmulatorError, with what the failed step said.
    """
    base_image = os.environ.get("BASE_IMAGE")
    tag = f"plldb-localstack:{_hash_context(context, base_image)}"
    with _open_client(f"build the image {tag}") as client:
        if client.images.list(name=tag):
            return tag
        logger.info("building image %s", tag)
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
    """Reports the steps. Raises EmulatorError for a failed one, when the engine has said it all."""
    error: str | None = None
    for line in lines:
        error = line.get("error", error)
        if (text := str(line.get("stream", "")).strip()).startswith("Step "):
            progress(text)
    if error is not None:
        raise EmulatorError(
            f"The image {tag} could not be built: {error.strip()}",
            "Where no registry is in reach, name a local Python 3.13 image with BASE_IMAGE.",
        )


def _hash_context(context: Path, base_image: str | None) -> str:
    digest = hashlib.sha256((base_image or "").encode())
    for file in sorted(context.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(file.relative_to(context).as_posix().encode() + b"\0")
            digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def engine_answers() -> bool:
    """Whether there is a Docker engine that runs containers."""
    try:
        return _ping()
    except _ERRORS as error:
        logger.debug("no Docker engine answers: %s", error)
        return False


def _is_engine_there() -> bool:
    """Whether an engine can be reached, even if it refuses: only then may containers run."""
    try:
        _ping()
    except docker.errors.APIError:
        return True
    except _ERRORS:
        return False
    return True


def _ping() -> bool:
    """Whether an engine says that it is well. Raises one of _ERRORS where none can be reached."""
    _check_socket()
    with closing(docker.from_env(timeout=_PING_SECONDS)) as client:
        return bool(client.ping())


def _check_socket() -> None:
    """Raises DockerException if the engine has a Unix socket and nobody is there: docker's own
    client leaves one open that can't be connected. Also for a DOCKER_HOST that is none.
    """
    host = str(parse_host(os.environ.get("DOCKER_HOST")))
    if not host.startswith(_UNIX):
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PING_SECONDS)
        try:
            probe.connect(host.removeprefix(_UNIX))
        except OSError as error:
            raise docker.errors.DockerException(f"nobody listens at {host}: {error}") from error


@contextmanager
def _open_client(action: str) -> Iterator[docker.DockerClient]:
    with _translate_docker_errors(action), closing(docker.from_env()) as client:
        yield client


@contextmanager
def _translate_docker_errors(action: str) -> Iterator[None]:
    try:
        yield
    except _ERRORS as error:
        reason = str(error).splitlines() or ["no reason was given"]
        raise EmulatorError(
            f"Could not {action}: {reason[0]}",
            "Start the Docker engine ('docker info' must answer), or use --emulator ministack.",
        ) from error


def _parse_label(label: str) -> dict[str, str]:
    name, _, value = label.partition("=")
    return {name: value}
