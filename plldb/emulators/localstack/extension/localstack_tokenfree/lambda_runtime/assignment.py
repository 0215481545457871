"""Which environment an invocation gets: a warm one if any, else a new one when there is room.

LocalStack starts a process for every invocation that finds no idle one. A hundred at once would
be a hundred interpreters starting on a few cores. Here only some start at a time, those who find
all environments busy have a moment's patience first, and whoever waits takes an environment that
becomes free meanwhile. How many may run at once stays unlimited.
"""

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterator

from localstack.services.lambda_.invocation import lambda_service
from localstack.services.lambda_.invocation.assignment import AssignmentService
from localstack.services.lambda_.invocation.execution_environment import (
    ExecutionEnvironment,
    InvalidStatusException,
)
from localstack.services.lambda_.invocation.lambda_models import (
    FunctionVersion,
    InitializationType,
)

from ..settings import SETTINGS


class Environments(dict[str, ExecutionEnvironment]):
    """Other threads add and remove while one looks through the values."""

    def values(self) -> list[ExecutionEnvironment]:  # type: ignore[override]
        return list(super().values())


class QueueingAssignmentService(AssignmentService):
    def __init__(self) -> None:
        super().__init__()
        self.environments: dict[str, Environments] = defaultdict(Environments)
        self._changed = threading.Condition()
        self._room = SETTINGS.lambda_concurrent_starts

    @contextlib.contextmanager
    def get_environment(
        self,
        version_manager_id: str,
        function_version: FunctionVersion,
        provisioning_type: InitializationType,
    ) -> Iterator[ExecutionEnvironment]:
        if provisioning_type != InitializationType.on_demand:
            with super().get_environment(
                version_manager_id, function_version, provisioning_type
            ) as environment:
                yield environment
            return
        environment = self._reserve(version_manager_id, function_version)
        try:
            yield environment
            environment.release()
        except InvalidStatusException:
            pass  # an update retired it while it ran; its answer counts all the same
        except Exception:
            self.stop_environment(environment)
            raise
        finally:
            self._notify()

    def _reserve(
        self, version_manager_id: str, function_version: FunctionVersion
    ) -> ExecutionEnvironment:
        with self._changed:
            busy = bool(self.environments[version_manager_id])
            start_at = time.monotonic() + (SETTINGS.lambda_patience_seconds if busy else 0)
            while not (environment := self._reserve_idle(version_manager_id)):
                left = start_at - time.monotonic()
                if self._room and left <= 0:
                    self._room -= 1
                    break
                self._changed.wait(left if left > 0 else None)
        return environment or self._start(version_manager_id, function_version)

    def _reserve_idle(self, version_manager_id: str) -> ExecutionEnvironment | None:
        for environment in self.environments[version_manager_id].values():
            if environment.initialization_type != InitializationType.on_demand:
                continue
            with contextlib.suppress(InvalidStatusException):  # how it says that it is not idle
                environment.reserve()
                return environment
        return None

    def _start(
        self, version_manager_id: str, function_version: FunctionVersion
    ) -> ExecutionEnvironment:
        """Needs one unit of room, and gives it back."""
        try:
            environment = self.start_environment(version_manager_id, function_version)
            environment.reserve()
            self.environments[version_manager_id][environment.id] = environment
            return environment
        finally:
            with self._changed:
                self._room += 1
                self._changed.notify_all()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


def install() -> None:
    """Before the Lambda service is loaded, which looks the class up by this name."""
    lambda_service.AssignmentService = QueueingAssignmentService
