"""Lambda with versions and aliases in memory: its rules, and a crash at any of its changes."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import Any

from lambda_functions.instrumentation.control_plane import (
    LATEST,
    Alias,
    ChangeRefusedError,
    Deployment,
    Found,
    FunctionRef,
    GoneError,
)
from lambda_functions.instrumentation.event_sources import Callers, EventSources


class CrashedError(BaseException):
    """The instrumentation function was killed."""


class Account:
    """The functions of the stack "app", by the names ``app-<logical id>``, as a ControlPlane.

    ``fuse``: so many changes are made before everything crashes, right before the next one, or, if
    ``is_after``, right after the last. None: it never does. ``meanwhile`` is called before each
    change, and may do what others do.
    """

    def __init__(self, *names: str) -> None:
        self.configs: dict[str, dict[str, Any]] = {}
        self.published: dict[str, dict[str, dict[str, Any]]] = {}
        self.pointers: dict[str, dict[str, dict[str, Any]]] = {}
        self.provisioned_at: dict[str, set[str]] = {}
        self.direct: set[str] = set()
        self.sources: dict[str, EventSources] = {}
        self.fuse: int | None = None
        self.is_after = False
        self.meanwhile: list[Any] = []
        self.changes: list[str] = []
        self._count = 0
        for name in names:
            self.add(f"app-{name}")

    def add(self, name: str, code: str = "code-1") -> None:
        self.configs[name] = {
            "FunctionArn": f"arn:aws:lambda:eu-west-1:1:function:{name}",
            "Version": LATEST,
            "Handler": "app.handler",
            "Runtime": "python3.13",
            "Timeout": 3,
            "Environment": {"Variables": {"NAME": name}},
            "Layers": [],
            "CodeSha256": code,
            "RevisionId": self._new_revision(),
        }
        self.published[name], self.pointers[name] = {}, {}

    def _new_revision(self) -> str:
        self._count += 1
        return f"revision-{self._count}"

    # --- What users do ----------------------------------------------------------------------------

    def publish_by_user(self, name: str) -> str:
        """A version of what there is."""
        number = str(1 + max((int(n) for n in self.published[name]), default=0))
        self.published[name][number] = copy.deepcopy(self.configs[name]) | {"Version": number}
        return number

    def alias_by_user(self, name: str, alias: str, version: str, *weights: str) -> None:
        self.pointers[name][alias] = {
            "version": version,
            "weights": frozenset(weights),
            "revision": self._new_revision(),
        }

    def invoked(self, name: str, alias: str) -> dict[str, Any]:
        """The configuration that an alias invokes."""
        version = self.pointers[name][alias]["version"]
        return self.configs[name] if version == LATEST else self.published[name][version]

    def snapshot(self) -> Any:
        """All that a user would see, but for revisions."""
        return (
            {n: {k: v for k, v in c.items() if k != "RevisionId"} for n, c in self.configs.items()},
            {n: sorted(v) for n, v in self.published.items()},
            {
                n: {a: (p["version"], p["weights"]) for a, p in aliases.items()}
                for n, aliases in self.pointers.items()
            },
        )

    # --- ControlPlane -----------------------------------------------------------------------------

    def of_stack(self, stack_name: str) -> Iterator[FunctionRef]:
        for name in list(self.configs):
            yield FunctionRef(name.removeprefix("app-"), name)

    def _config(self, name: str) -> dict[str, Any]:
        if name not in self.configs:
            raise GoneError
        return self.configs[name]

    def get(self, name: str) -> Found:
        return copy.deepcopy(self._config(name))

    def find(self, names: Collection[str]) -> dict[str, Found]:
        return {name: self.get(name) for name in names if name in self.configs}

    def list_known(self, names: Collection[str]) -> dict[str, Found]:
        return {}

    def is_throttled(self, name: str) -> bool:
        return False

    def deployment(self, stack_name: str) -> Deployment:
        return Deployment("first")

    def event_sources(self, names: set[str]) -> dict[str, EventSources]:
        return self.sources

    def update(self, name: str, revision: str, changes: dict[str, Any]) -> Found | None:
        self._before(f"update {name}")
        if self._config(name)["RevisionId"] != revision:
            return None
        if "Layers" in changes:
            changes = changes | {"Layers": [{"Arn": arn} for arn in changes["Layers"]]}
        changes = copy.deepcopy(changes) | {"RevisionId": self._new_revision()}
        self.configs[name] = self.configs[name] | changes
        return self._after(self.get(name))

    def aliases(self, name: str) -> list[Alias]:
        self._config(name)
        return [
            Alias(alias, one["version"], one["revision"], one["weights"])
            for alias, one in self.pointers[name].items()
        ]

    def provisioned(self, name: str) -> set[str]:
        return self.provisioned_at.get(name, set())

    def callers(self, name: str, qualifier: str = "") -> Callers:
        return Callers(are_any=name in self.direct)

    def version(self, name: str, number: str) -> Found:
        if number not in self.published.get(name, {}):
            raise GoneError
        return copy.deepcopy(self.published[name][number])

    def versions(self, name: str) -> list[Found]:
        self._config(name)
        return copy.deepcopy([*self.published[name].values()])

    def publish(self, name: str, revision: str, code: str | None) -> str | None:
        self._before(f"publish {name}")
        config = self._config(name)
        if config["RevisionId"] != revision or config["CodeSha256"] != code:
            return None
        return self._after(self.publish_by_user(name))

    def point(self, name: str, alias: Alias, version: str) -> bool:
        self._before(f"point {alias.name} of {name}")
        pointer = self.pointers[name].get(alias.name)
        if pointer is None or pointer["revision"] != alias.revision:
            return False
        if version not in self.published[name]:
            raise ChangeRefusedError(f"there is no version {version}")
        pointer |= {"version": version, "revision": self._new_revision()}
        return self._after(True)

    def delete_version(self, name: str, number: str) -> None:
        self._before(f"delete {name}:{number}")
        for alias, pointer in self.pointers[name].items():
            if pointer["version"] == number or number in pointer["weights"]:
                raise ChangeRefusedError(f"alias {alias} references it")
        self.published[name].pop(number, None)
        self._after(None)

    def _before(self, change: str) -> None:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        if self.fuse is not None and not self.is_after and self.fuse == 0:
            raise CrashedError
        self.changes.append(change)

    def _after(self, answer: Any) -> Any:
        if self.fuse is not None:
            self.fuse -= 1
            if self.is_after and self.fuse == 0:
                raise CrashedError
        return answer
