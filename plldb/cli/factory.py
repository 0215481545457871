"""Composition root: makes the collaborators of a command from its options and the environment."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plldb import __version__
from plldb.cli.console import Console
from plldb.cli.options import collect_options, find_config_name, remember_output
from plldb.config import (
    DEFAULT_EMULATOR_REGION,
    EmulatorAddress,
    Options,
    ProfileEndpoints,
    Setting,
    Settings,
    SettingsResolver,
    TargetSettings,
    find_layers_folder,
    find_state_folder,
)
from plldb.diagnostic_log import choose_screen_level, keeping_log, logging_to

if TYPE_CHECKING:
    from plldb.aws import Target
    from plldb.debugger.api_client import ApiClient
    from plldb.debugger.children.role_lender import RoleLender
    from plldb.debugger.deployed_layers.layer_fetcher import LayerFetcher
    from plldb.dev.template_package import Adaptation
    from plldb.emulators.base import Emulator
    from plldb.emulators.lifecycle import Lifecycle
    from plldb.errors import PlldbError
    from plldb.replay.masks import Masks

logger = logging.getLogger(__name__)

_META = "plldb.factory"


class Factory:
    """Each collaborator is made once, when it is first asked for. ``close`` ends what holds
    connections or files: the target, clients of the management API, the log.
    """

    def __init__(self, flags: Options, config: str | None = None) -> None:
        """``config`` names another settings file than the nearest."""
        self._flags = flags
        self._config = config
        self._to_close = ExitStack()
        # Asks for an MFA code, in place of the console, while something is shown in the terminal.
        self.ask: Callable[[str], str] | None = None
        # Who else than the terminal wants to know what goes on in a session.
        self.followers: list[Callable[[Any], None]] = []

    def close(self) -> None:
        self._to_close.close()

    # --- Settings -------------------------------------------------------------

    @cached_property
    def resolver(self) -> SettingsResolver:
        """Every setting with its source. Raises UsageError if the settings file makes no sense."""
        from plldb import settings_file

        file = settings_file.load(self._config, os.environ, Path.cwd())
        if file is not None and file.commands:
            from plldb.cli.command_settings import check_settings

            check_settings(file)
        return SettingsResolver(self._flags, os.environ, file)

    @cached_property
    def settings(self) -> Settings:
        settings = self.resolver.resolve()
        remember_output(settings.output)
        return settings

    def settle_parameters(self, given: Iterable[str] = ()) -> dict[str, Setting[str]]:
        """The template's parameters; ``given`` are the ``NAME=VALUE`` of the command line."""
        from plldb.bootstrap.parameters import settle_parameters
        from plldb.bootstrap.release import read_template

        environment = self.settings.environment
        return settle_parameters(read_template(), environment, self.resolver.file, given)

    @property
    def tags(self) -> Mapping[str, str]:
        """Those that the settings file has for the helper stack."""
        file = self.resolver.file
        return file.tags if file else {}

    @cached_property
    def home(self) -> Setting[Path]:
        """Where the state lies. It is known whatever is wrong with the settings file."""
        return find_state_folder(os.environ)

    def open_layer_fetcher(self) -> LayerFetcher:
        """Layers of the target, kept on this machine."""
        from plldb.debugger.deployed_layers.layer_fetcher import LayerFetcher

        folder = find_layers_folder(os.environ)
        return self._to_close.enter_context(LayerFetcher.of_target(self.target, folder))

    def make_masks(self) -> Masks:
        """What takes secrets out of that which is kept on the disk."""
        from plldb.replay.masks import Masks

        file = self.resolver.file
        return Masks(() if file is None else file.record.mask)

    def find_stack_name(self, *, is_deployed: bool = True) -> str:
        """That of the project in this folder. Raises UsageError if it has several."""
        from plldb.dev.project_stack import find_stack_name

        return find_stack_name(Path.cwd(), self.resolver.file, is_deployed=is_deployed)

    def find_adaptation(self) -> Adaptation:
        """What is changed in templates, so that this target deploys them as AWS would."""
        from plldb.dev.emulator_adaptation import choose_adaptation

        return choose_adaptation(self.target, self.target_settings)

    # --- What is said, and what is logged -------------------------------------

    @cached_property
    def console(self) -> Console:
        console = Console(self.settings.output)
        level = choose_screen_level(self.settings.verbosity)
        self._to_close.enter_context(logging_to(console.make_log_handler(), level))
        self._log_settings()
        return console

    def keep_log(self, command: str) -> None:
        """Keeps what is logged from now on, in a file of its own for this run of ``command``.

        It is to be called first, so that the settings are logged there too.
        """
        folder = self.home.value / "logs"
        try:
            kept = str(self._to_close.enter_context(keeping_log(folder, command)))
        except OSError as error:
            kept = f"nowhere: {error}"
        self._start_log()
        logger.info("plldb %s, process %d; this log is kept in %s", __version__, os.getpid(), kept)

    def _start_log(self) -> None:
        """Whoever logs something early has the console made, which shows it; once is enough."""
        _ = self.console

    def _log_settings(self) -> None:
        resolver, file = self.resolver, self.resolver.file
        logger.debug("settings file: %s", f"{file.path} ({file.found_by})" if file else "none")
        logger.debug("environment: %s", resolver.environment)
        logger.debug("helper stack: %s", resolver.helper_stack)
        logger.debug("output: %s, verbosity: %s", resolver.output, resolver.verbosity)

    # --- Where calls go -------------------------------------------------------

    @cached_property
    def target(self) -> Target:
        from plldb.aws import Target

        return self._to_close.enter_context(Target(self.target_settings, self._ask))

    def open_target(self) -> Target:
        """The same target once more, for another thread; it is the caller's to close."""
        from plldb.aws import Target

        return Target(self.target_settings, self._ask)

    @cached_property
    def target_settings(self) -> TargetSettings:
        """Where calls go. Raises TargetError."""
        self._start_log()
        settings = self.resolver.resolve_target(self.find_running_emulator, self.find_endpoints)
        self._log_target(settings)
        return settings

    def _ask(self, question: str) -> str:
        return (self.ask or self.console.ask_secret)(question)

    def serve_credentials(self, report: Callable[[PlldbError | None], None]) -> dict[str, str]:
        """Variables by which children reach the target; see ``serving_target``."""
        from plldb.debugger.children.credential_server import serving_target

        return self._to_close.enter_context(serving_target(self.target, report))

    def lend_roles(self) -> RoleLender:
        """Who lends children their functions' roles."""
        from plldb.debugger.children.credential_server import CredentialServer
        from plldb.debugger.children.role_lender import RoleLender

        server = self._to_close.enter_context(CredentialServer())
        return RoleLender(server, self.target.endpoint_environment())

    def run_tool(self, command: Sequence[str]) -> int:
        """Runs a tool against the target, and returns its exit code; mostly, it takes the place of
        this process, unless credentials have to be renewed meanwhile. Raises CommandError.
        """
        from plldb.dev.command_runner import become, end_as, run_beside
        from plldb.dev.tool_environment import name_endpoint

        environ = self.open_tool_environment()
        command = name_endpoint(command, self.target_settings)
        if self._has_lasting_keys:
            become(command, environ)
        return end_as(run_beside(command, environ))

    def open_tool_environment(self) -> dict[str, str]:
        """All variables by which a tool finds the target; credentials that have to be renewed are
        served to it until ``close``.
        """
        from plldb.dev.command_runner import find_ipv4_address
        from plldb.dev.tool_environment import make_tool_environment, name_emulator_keys

        settings = self.target_settings
        if self._has_lasting_keys:
            keys, region = name_emulator_keys(settings), settings.region or DEFAULT_EMULATOR_REGION
            return make_tool_environment(os.environ, settings, region, keys, find_ipv4_address)
        served = self.serve_credentials(self._warn_of_credentials)
        return make_tool_environment(
            self.target.certificate_environment() | os.environ,
            settings,
            self.target.region,
            served,
            find_ipv4_address,
        )

    @property
    def _has_lasting_keys(self) -> bool:
        settings = self.target_settings
        return settings.profile is None and settings.emulator is not None

    def _warn_of_credentials(self, problem: PlldbError | None) -> None:
        if problem is not None:
            self.console.warn(problem.explanation)

    def find_endpoints(self, profile: str | None) -> ProfileEndpoints:
        """What AWS's own configuration says of endpoints; what is not followed is told."""
        from plldb.aws_profile import find_profile_endpoints

        endpoints = find_profile_endpoints(profile, os.environ)
        for name in endpoints.ignored:
            self.console.warn(f"{name} is not followed, neither by plldb nor by your code here.")
        if endpoints.emulator is not None:
            url = endpoints.emulator
            self.console.note(f"Calls go to {url.value}, the {url.source}; your code's as well.")
        return endpoints

    def _log_target(self, settings: TargetSettings) -> None:
        selected = self.resolver.target
        if settings.emulator is None:
            logger.info(
                "calls go to AWS; target: %s, profile: %s, region: %s",
                *(selected.kind, selected.profile, selected.region),
            )
            return
        logger.info(
            "calls go to the emulator at %s, which its functions reach at %s; "
            "target: %s, profile: %s, endpoint URL: %s, region: %s",
            *(settings.emulator.endpoint_url, settings.emulator.inside_url),
            *(selected.kind, selected.profile, selected.endpoint_url, selected.region),
        )

    def open_api(self) -> ApiClient:
        """A client of the helper stack's management API. Raises StackError if there is none."""
        from plldb.debugger.api_client import ApiClient
        from plldb.stacks import find_helper_stack

        helper = find_helper_stack(self.target, self.settings.helper_stack)
        return self._to_close.enter_context(ApiClient.of_helper_stack(helper, self.target))

    # --- Emulators ------------------------------------------------------------

    @cached_property
    def lifecycle(self) -> Lifecycle:
        return self.make_lifecycle(image=None)

    def make_lifecycle(self, image: str | None) -> Lifecycle:
        """``image`` is the container image to start, instead of plldb's own."""
        from plldb.emulators.lifecycle import Lifecycle

        return Lifecycle(self.home.value, partial(self.make_emulator, image=image))

    def find_running_emulator(self) -> EmulatorAddress | None:
        """The address of the emulator that ``plldb local up`` started."""
        from plldb.emulators.state import StateFile

        if StateFile(self.home.value).read() is None:
            logger.debug("no emulator was started: none is known in %s", self.home)
            return None
        running = self.lifecycle.status()
        logger.debug("the emulator that was started: %s", running or "it does not run any more")
        return running.address if running else None

    def make_emulator(self, name: str, image: str | None = None) -> Emulator:
        from plldb.emulators.engines import make_emulator

        return make_emulator(name, self.home.value, image, self._note)

    def _note(self, text: str) -> None:
        self.console.note(text)


def make_factory() -> Factory:
    """The factory for the command that is running, always the same. It is closed when that has
    ended.
    """
    root = click.get_current_context().find_root()
    made: Factory | None = root.meta.get(_META)
    if made is None:
        made = root.meta[_META] = Factory(collect_options(), find_config_name())
        # Not earlier: whoever shows an unexpected error names the log that is still open then.
        root.call_on_close(made.close)
    return made


def find_output_of_file() -> str | None:
    """The output that a settings file asks for, where the command line makes no sense."""
    from plldb.errors import PlldbError

    try:
        return Factory(Options()).resolver.output.value
    except PlldbError:
        return None
