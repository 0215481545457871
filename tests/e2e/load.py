"""Many sessions at once, held open with heartbeats, and what that does to an emulator's memory."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import psutil
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket

from plldb.aws import Target
from plldb.bootstrap.cloudformation.lambda_functions.sessions.session import LEASE
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import (
    close_message,
    heartbeat_message,
)
from plldb.debugger.api_client import ApiClient
from plldb.stacks import HelperStack

from .support import DEADLINE_SECONDS, random_name

# Of one laptop: more at once would measure this side.
_CREATING_THREADS = 8
_CONNECTING_AT_ONCE = 20
# The cap on PENDING sessions is a stack's; as many stacks as a team has.
_STACKS = 10
_SAMPLES = 30


@dataclass(frozen=True)
class Shape:
    """How much load: sessions created, of these held open, for how long, and how lively."""

    created: int = 1000
    held: int = 200
    seconds: float = 60
    heartbeat_seconds: float = 10


@dataclass
class Figures:
    """Times in milliseconds, memory in MB; ``errors`` in words, ``lost`` heartbeats without answer.

    ``memory`` are (seconds since the hold began, resident memory of the emulator with its workers),
    and ``sizes`` those of the emulator and its largest worker: how many it has, is another matter.
    """

    created: list[float] = field(default_factory=list)
    connected: list[float] = field(default_factory=list)
    heartbeats: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    sent: int = 0

    @property
    def lost(self) -> int:
        return self.sent - len(self.heartbeats)

    @property
    def growth(self) -> float:
        """Of sizes in the last third of the hold, as a multiple of those in the first third."""
        third = len(self.sizes) // 3
        return sum(self.sizes[-third:]) / sum(self.sizes[:third])


def run_load(target: Target, helper: HelperStack, emulator_pid: int, shape: Shape) -> Figures:
    """Creates sessions, holds some of them open with heartbeats, and closes those in order."""
    figures = Figures()
    ids = _create(target, helper, shape.created, figures)
    asyncio.run(_Crowd(helper.websocket_url, figures, shape, emulator_pid).hold(ids[: shape.held]))
    return figures


def _create(target: Target, helper: HelperStack, count: int, figures: Figures) -> list[str]:
    management = ApiClient(helper.management_api_url, target.execute_api_auth())
    stacks = [random_name("load") for _ in range(_STACKS)]

    def create(number: int) -> str:
        started = time.perf_counter()
        session_id = management.create_session(stacks[number % _STACKS])
        figures.created.append(_milliseconds_since(started))
        return session_id

    with ThreadPoolExecutor(_CREATING_THREADS) as pool:
        return list(pool.map(create, range(count)))


class _Crowd:
    def __init__(self, url: str, figures: Figures, shape: Shape, emulator_pid: int) -> None:
        self._url = url
        self._figures = figures
        self._shape = shape
        self._emulator = psutil.Process(emulator_pid)
        self._connecting = asyncio.Semaphore(_CONNECTING_AT_ONCE)
        self._everybody = asyncio.Barrier(shape.held + 1)

    async def hold(self, session_ids: list[str]) -> None:
        watching = asyncio.create_task(self._watch_memory())
        await asyncio.gather(*(self._one(number, one) for number, one in enumerate(session_ids)))
        await watching

    async def _one(self, number: int, session_id: str) -> None:
        try:
            async with self._connecting:
                started = time.perf_counter()
                websocket = await connect_websocket(
                    f"{self._url}?sessionId={session_id}",
                    open_timeout=DEADLINE_SECONDS,
                    # An engine that is busy for long does not answer them.
                    ping_interval=None,
                )
                self._figures.connected.append(_milliseconds_since(started))
        except Exception as error:  # noqa: BLE001 - every failure is a figure of the load
            self._figures.errors.append(f"connect: {error!r}")
            await self._everybody.wait()
            return
        everybody = asyncio.create_task(self._everybody.wait())
        async with websocket:
            try:
                await self._wait(everybody, websocket, session_id)
                await self._beat(number, websocket, session_id)
            except Exception as error:  # noqa: BLE001
                self._figures.errors.append(f"held: {error!r}")
        await everybody

    async def _wait(
        self, everybody: asyncio.Task[int], websocket: ClientConnection, session_id: str
    ) -> None:
        """With heartbeats that keep the lease, and are no figures."""
        while not (await asyncio.wait([everybody], timeout=LEASE / 3))[0]:
            await websocket.send(heartbeat_message(session_id))
            await asyncio.wait_for(websocket.recv(), DEADLINE_SECONDS)

    async def _beat(self, number: int, websocket: ClientConnection, session_id: str) -> None:
        """Heartbeats until the time is over; those of the crowd are spread evenly."""
        loop = asyncio.get_running_loop()
        every = self._shape.heartbeat_seconds
        began = loop.time()
        due = began + every * number / self._shape.held
        ttl = 0
        while due < began + self._shape.seconds:
            await asyncio.sleep(max(0.0, due - loop.time()))
            due += every
            started = time.perf_counter()
            self._figures.sent += 1
            await websocket.send(heartbeat_message(session_id))
            answer = json.loads(await asyncio.wait_for(websocket.recv(), DEADLINE_SECONDS))
            if answer.get("type") != "heartbeat" or answer["ttl"] < ttl:
                self._figures.errors.append(f"heartbeat: {answer}")
                continue
            ttl = answer["ttl"]
            self._figures.heartbeats.append(_milliseconds_since(started))
        await websocket.send(close_message(session_id))
        answer = json.loads(await asyncio.wait_for(websocket.recv(), DEADLINE_SECONDS))
        if answer.get("type") != "closed":
            self._figures.errors.append(f"close: {answer}")

    async def _watch_memory(self) -> None:
        await self._everybody.wait()
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(_SAMPLES):
            await asyncio.sleep(
                max(0.0, began + self._shape.seconds * number / _SAMPLES - loop.time())
            )
            emulator, *workers = await asyncio.to_thread(_resident_megabytes, self._emulator)
            self._figures.memory.append((loop.time() - began, emulator + sum(workers)))
            self._figures.sizes.append(emulator + max(workers, default=0.0))


def _resident_megabytes(process: psutil.Process) -> list[float]:
    """Of the process, and of those that it has started."""
    found = [process.memory_info().rss / 1e6]
    for one in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found.append(one.memory_info().rss / 1e6)
    return found


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
