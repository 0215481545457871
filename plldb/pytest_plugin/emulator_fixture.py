"""``plldb_emulator``: an emulator, with plldb's helper stack on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plldb import settings_file
from plldb.aws import Target
from plldb.bootstrap.operations import deploy_helper_stack
from plldb.config import (
    ConfigFile,
    EmulatorAddress,
    Options,
    SettingsResolver,
    TargetSettings,
    find_state_folder,
)
from plldb.dev.tool_environment import name_emulator_keys
from plldb.emulators.engines import make_emulator
from plldb.emulators.state import StateFile
from plldb.errors import UsageError
from plldb.pytest_plugin.emulator_users import EmulatorUsers


class PlldbEmulator:
    """Where the tests' stacks are deployed, and calls go.

    ``settings`` are what a ``Target`` of it is made of, ``file`` is plldb.toml if there is one, and
    ``root`` the folder that paths are relative to: pytest's root.
    """

    def __init__(
        self,
        target: Target,
        settings: TargetSettings,
        helper_stack: str,
        file: ConfigFile | None,
        root: Path,
    ) -> None:
        assert settings.emulator is not None
        self.target = target
        self.settings = settings
        self.helper_stack = helper_stack
        self.file = file
        self.root = root
        self.endpoint_url = settings.emulator.endpoint_url
        self.region = target.region

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which any SDK or tool finds it, and its access key."""
        region = {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}
        return self.target.endpoint_environment() | name_emulator_keys(self.settings) | region

    def client(self, service: str) -> Any:
        """A boto3 client, such as of "sqs"; always the same one."""
        return self.target.client(service)


@contextmanager
def use_emulator(
    name: str | None, root: Path, environ: Mapping[str, str]
) -> Iterator[PlldbEmulator]:
    """The one of an endpoint URL, if that is set; else the one that runs on this machine, or is
    started, of that ``name`` if there is one. The helper stack is deployed if need be.

    Raises UsageError if settings select AWS, or contradict the name; EmulatorError or
    BootstrapError if it can't be had.
    """
    file = settings_file.load(None, environ, root)
    resolver = SettingsResolver(Options(), environ, file)
    selected = resolver.target
    if selected.kind.value == "aws":
        raise UsageError(
            "plldb's fixtures deploy to an emulator, and AWS was selected "
            f"({selected.kind.source}).",
            "Unset it; or where plldb.toml says so, set PLLDB_TARGET=emulator.",
        )
    home = find_state_folder(environ).value
    users = EmulatorUsers(home, lambda engine: make_emulator(engine, home))
    if selected.endpoint_url.value is None:
        with (
            users.using(name, lambda found: _prepare(resolver, found.address)) as running,
            _open(resolver, running.address, file, root) as emulator,
        ):
            yield emulator
        return
    if name is not None:
        raise UsageError(
            f"--plldb-emulator {name} starts an emulator, and calls go to "
            f"{selected.endpoint_url.value} ({selected.endpoint_url.source}).",
            "Give one of them.",
        )
    known = StateFile(home).read()
    address = None if known is None else known.address
    with users.alone():
        _prepare(resolver, address)
    with _open(resolver, address, file, root) as emulator:
        yield emulator


@contextmanager
def _open(
    resolver: SettingsResolver, address: EmulatorAddress | None, file: ConfigFile | None, root: Path
) -> Iterator[PlldbEmulator]:
    settings = resolver.resolve_target(lambda: address)
    with Target(settings) as target:
        yield PlldbEmulator(target, settings, resolver.helper_stack.value, file, root)


def _prepare(resolver: SettingsResolver, address: EmulatorAddress | None) -> None:
    """Deploys the helper stack as 'plldb bootstrap' does; one that is up to date stays."""
    with Target(resolver.resolve_target(lambda: address)) as target:
        deploy_helper_stack(target, resolver)
