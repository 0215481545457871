"""Composition root: makes the collaborators of a command from its options and the environment."""

from __future__ import annotations

import os
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from plldb.cli.console import Console
from plldb.cli.options import given_options
from plldb.config import EmulatorAddress, Options, Settings, load_settings, load_target

if TYPE_CHECKING:
    from plldb.aws import Target
    from plldb.emulators.base import Emulator
    from plldb.emulators.lifecycle import Lifecycle


class Factory:
    """Each collaborator is made once, when it is first asked for."""

    def __init__(self, flags: Options) -> None:
        self._flags = flags

    @cached_property
    def settings(self) -> Settings:
        import platformdirs

        home = Path(platformdirs.user_state_dir("plldb", appauthor=False))
        return load_settings(self._flags, os.environ, home)

    @cached_property
    def console(self) -> Console:
        return Console(self.settings.output, self.settings.verbose)

    @cached_property
    def target(self) -> Target:
        from plldb.aws import Target

        target = Target(load_target(self._flags, os.environ, self._running_emulator()))
        if self.console.verbose:
            self.console.note(f"Calls go to {target.description}.")
        return target

    @cached_property
    def lifecycle(self) -> Lifecycle:
        return self.lifecycle_of(image=None)

    def lifecycle_of(self, image: str | None) -> Lifecycle:
        """``image`` is the container image to start, instead of plldb's own."""
        from plldb.emulators.lifecycle import Lifecycle

        return Lifecycle(self.settings.home, partial(self._make_emulator, image=image))

    def _running_emulator(self) -> EmulatorAddress | None:
        from plldb.emulators.state import StateFile

        if StateFile(self.settings.home).read() is None:
            return None
        running = self.lifecycle.status()
        return running.address if running else None

    def _make_emulator(self, name: str, image: str | None = None) -> Emulator:
        if name == "localstack":
            from plldb.emulators.container import LocalStack

            return LocalStack(self.settings.home, image, self.console.note)
        from plldb.emulators.process import MiniStack

        return MiniStack(self.settings.home)


def make_factory() -> Factory:
    """The factory for the command that is running."""
    return Factory(given_options())
