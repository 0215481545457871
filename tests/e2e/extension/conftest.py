"""Where the extension runs: an endpoint given by ``LOCALSTACK_EXTENSION_ENDPOINT``, else a
container of the image, built when it is missing and removed at the end.

``BASE_IMAGE`` names another base image to build on.
"""

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from .cloud import Cloud, Stack

CONTEXT = Path(__file__).parents[3] / "plldb" / "emulators" / "localstack"
IMAGE = "localstack-tokenfree:test"
PORT = 4566
LOOPBACK = ("127.0.0.1", None)  # at whatever port; with_bind_ports knows no address
IDLE_SECONDS = 3  # as long may connections of one emulator idle
FEW_WORKERS = 8
FEW_KEPT = 50
ENDPOINT_VARIABLE = "LOCALSTACK_EXTENSION_ENDPOINT"


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> None:
    """There is one; it is built once, whichever worker needs it first.

    Under the lock that starts of emulators take in the tests around this folder, which runs
    without them, too.
    """
    with FileLock(tmp_path_factory.getbasetemp().parent / "emulator-starts.lock"):
        build_image()


@pytest.fixture(scope="session")
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    if endpoint := os.environ.get(ENDPOINT_VARIABLE):
        yield Cloud(endpoint)
        return
    request.getfixturevalue("image")
    with container({}) as endpoint:
        yield Cloud(endpoint)


@pytest.fixture(scope="session")
def impatient_cloud(image: None) -> Iterator[Cloud]:
    """An emulator whose connections may idle for ``IDLE_SECONDS``."""
    with container({"TOKENFREE_WEBSOCKET_IDLE_SECONDS": str(IDLE_SECONDS)}) as endpoint:
        yield Cloud(endpoint)


@pytest.fixture(scope="session")
def aging_cloud(image: None) -> Iterator[Cloud]:
    """An emulator whose connections may live for three seconds."""
    with container({"TOKENFREE_WEBSOCKET_MAX_SECONDS": "3"}) as endpoint:
        yield Cloud(endpoint)


@pytest.fixture(scope="session")
def narrow_cloud(image: None) -> Iterator[Cloud]:
    """An emulator that answers few HTTP requests at a time, and keeps little of what functions log
    and measure."""
    environment = {
        "GATEWAY_WORKER_COUNT": str(FEW_WORKERS),
        "TOKENFREE_LOG_EVENTS": str(FEW_KEPT),
        "TOKENFREE_METRIC_DATA": str(FEW_KEPT),
    }
    with container(environment) as endpoint:
        yield Cloud(endpoint)


@pytest.fixture(scope="module")
def playground(cloud: Cloud) -> Iterator[Stack]:
    with cloud.stack("playground") as stack:
        yield stack


@pytest.fixture
def table(cloud: Cloud) -> Iterator[str]:
    """A table of items by their ``Id``."""
    dynamodb = cloud.client("dynamodb")
    name = f"table-{uuid.uuid4().hex[:8]}"
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "Id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "Id", "KeyType": "HASH"}],
    )
    yield name
    dynamodb.delete_table(TableName=name)


@contextmanager
def container(environment: Mapping[str, str]) -> Iterator[str]:
    """-> the endpoint of a container of its own."""
    from testcontainers.core.config import ConnectionMode, testcontainers_config
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import HttpWaitStrategy

    # The reaper's image may be out of reach, and a machine that looks like a container itself
    # would be taken for one, where published ports are not on localhost.
    testcontainers_config.ryuk_disabled = True
    testcontainers_config.connection_mode_override = ConnectionMode.docker_host
    healthy = HttpWaitStrategy(PORT, "/_localstack/health").for_status_code(200)
    emulator = DockerContainer(IMAGE).waiting_for(healthy.with_poll_interval(0.1))
    emulator.ports[f"{PORT}/tcp"] = LOOPBACK  # type: ignore[assignment]  # docker takes it
    for name, value in environment.items():
        emulator = emulator.with_env(name, value)
    try:
        emulator.start()
        yield f"http://localhost:{emulator.get_exposed_port(PORT)}"
    finally:
        emulator.stop()


def build_image() -> None:
    """Build with the classic builder, and with Node. Layers that did not change come from Docker's
    cache.

    Skips where no Docker engine answers.
    """
    docker = pytest.importorskip("docker")
    pytest.importorskip("testcontainers")
    from plldb.emulators.container import engine_answers

    if not engine_answers():
        pytest.skip("no Docker engine answers")
    base = os.environ.get("BASE_IMAGE")
    arguments = {"WITH_NODE": "1"} | ({"BASE_IMAGE": base} if base else {})
    with closing(docker.from_env()) as client:
        client.images.build(path=str(CONTEXT), tag=IMAGE, rm=True, buildargs=arguments)
