"""Composition root: makes the collaborators of a command from its options and the environment."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from plldb.cli.console import Console
from plldb.cli.options import given_config, given_options, remember_output
from plldb.config import (
    Configuration,
    EmulatorAddress,
    Options,
    Setting,
    Settings,
    load_settings,
    load_target,
)

if TYPE_CHECKING:
    from plldb.aws import Target
    from plldb.config import ConfigFile
    from plldb.emulators.base import Emulator
    from plldb.emulators.lifecycle import Lifecycle


class Factory:
    """Each collaborator is made once, when it is first asked for."""

    def __init__(self, flags: Options, config: str | None = None) -> None:
        """``config`` names another settings file than the nearest."""
        self._flags = flags
        self._config = config

    @cached_property
    def settings(self) -> Settings:
        settings = load_settings(self._flags, os.environ, self._file)
        remember_output(settings.output)
        return settings

    @cached_property
    def configuration(self) -> Configuration:
        """Every setting with its source."""
        return Configuration(self._flags, os.environ, self._file)

    def parameters(self, given: Iterable[str] = ()) -> dict[str, Setting[str]]:
        """The template's parameters; ``given`` are the ``NAME=VALUE`` of the command line."""
        from plldb.bootstrap.parameters import settle_parameters
        from plldb.bootstrap.release import read_template

        environment = self.settings.environment
        return settle_parameters(read_template(), environment, self._file, given)

    @property
    def default_home(self) -> Path:
        import platformdirs

        return Path(platformdirs.user_state_dir("plldb", appauthor=False))

    @cached_property
    def home(self) -> Path:
        """Where the state lies; no settings file says it, so it is known whatever one says."""
        return Configuration(Options(), os.environ).home(self.default_home).value

    @cached_property
    def console(self) -> Console:
        return Console(self.settings.output, self.settings.verbose)

    @cached_property
    def target(self) -> Target:
        from plldb.aws import Target

        running = self.running_emulator()
        target = Target(load_target(self._flags, os.environ, running, self._file))
        if self.console.verbose:
            self.console.note(f"Calls go to {target.description}.")
        return target

    @cached_property
    def lifecycle(self) -> Lifecycle:
        return self.lifecycle_of(image=None)

    def lifecycle_of(self, image: str | None) -> Lifecycle:
        """``image`` is the container image to start, instead of plldb's own."""
        from plldb.emulators.lifecycle import Lifecycle

        return Lifecycle(self.home, partial(self.make_emulator, image=image))

    @cached_property
    def _file(self) -> ConfigFile | None:
        from plldb import settings_file

        return settings_file.load(self._config, os.environ, Path.cwd())

    def running_emulator(self) -> EmulatorAddress | None:
        from plldb.emulators.state import StateFile

        if StateFile(self.home).read() is None:
            return None
        running = self.lifecycle.status()
        return running.address if running else None

    def make_emulator(self, name: str, image: str | None = None) -> Emulator:
        if name == "localstack":
            from plldb.emulators.container import LocalStack

            return LocalStack(self.home, image, self.console.note)
        from plldb.emulators.process import MiniStack

        return MiniStack(self.home)


def make_factory() -> Factory:
    """The factory for the command that is running."""
    return Factory(given_options(), given_config())
