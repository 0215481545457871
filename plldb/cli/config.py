"""``plldb config``: every setting, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from plldb.cli.options import global_options, remembered_helper_stack

if TYPE_CHECKING:
    from plldb.cli.factory import Factory
    from plldb.config import Setting, TargetChoice


_NO_VALUE = "-"


@click.command()
@remembered_helper_stack("--helper-stack")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="As of 'plldb bootstrap'. Repeatable.",
)
@global_options
def config(parameters: tuple[str, ...]) -> None:
    """Show each setting and where it comes from.

    With the same options as another command, what that one would do. It calls neither AWS nor an
    emulator.
    """
    from plldb.cli.factory import make_factory

    factory = make_factory()
    settings, settled = _settings(factory), factory.parameters(parameters)
    calls_go_to = _destination(factory.configuration.target, factory)
    factory.console.answer(
        {
            "callsGoTo": calls_go_to,
            "settings": _as_data(settings),
            "parameters": _as_data(settled),
        },
        f"Calls go to {calls_go_to}.\n\n"
        f"{_table('setting', settings)}\n\n{_table('parameter', settled)}",
    )


def _settings(factory: Factory) -> dict[str, Setting[str | bool | None]]:
    """By the names that they have in plldb.toml, where they may stand there."""
    from plldb.config import DEFAULT, Setting

    configuration = factory.configuration
    file, target = configuration.file, configuration.target
    home = configuration.home(factory.default_home)
    return {
        "config": Setting(str(file.path), file.found_by) if file else Setting(None, DEFAULT),
        "environment": configuration.environment,
        "target": target.kind,
        "profile": target.profile,
        "region": target.region,
        "endpoint-url": target.endpoint_url,
        "helper-stack": configuration.helper_stack,
        "output": configuration.output,
        "verbose": configuration.verbose,
        "home": Setting(str(home.value), home.source),
    }


def _destination(target: TargetChoice, factory: Factory) -> str:
    if target.kind.value == "aws":
        profile = target.profile.value
        whose = f"the profile {profile}" if profile else "the credentials of the environment"
        return f"AWS, with {whose}"
    if target.endpoint_url.value is not None:
        return f"the emulator at {target.endpoint_url.value}"
    running = factory.running_emulator()
    if running is None:
        return "the emulator of 'plldb local up', which does not run"
    return f"the emulator of 'plldb local up', at {running.endpoint_url}"


def _as_data(settings: Mapping[str, Setting[str | bool | None]]) -> dict[str, object]:
    return {
        name: {"value": setting.value, "source": setting.source}
        for name, setting in settings.items()
    }


def _table(title: str, settings: Mapping[str, Setting[str | bool | None]]) -> str:
    """Columns as wide as what stands in them."""
    rows = [(title, "value", "source")]
    rows += [(name, _shown(one.value), one.source) for name, one in settings.items()]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{a:<{first}}  {b:<{second}}  {c}" for a, b, c in rows)


def _shown(value: str | bool | None) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value or _NO_VALUE
