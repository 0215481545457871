"""``plldb config``: every setting, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from plldb.cli.command_base import Command
from plldb.cli.options import (
    cloudformation_role_option,
    global_options,
    helper_stack_option,
)

if TYPE_CHECKING:
    from plldb.cli.factory import Factory
    from plldb.config import ConfigFile, Setting


_NO_VALUE = "-"


@click.command(cls=Command)
@helper_stack_option()
@cloudformation_role_option()
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

    \b
      plldb config
      plldb config --profile dev --environment production

    With the same options as another command, what that one would do. It calls neither AWS nor an
    emulator.
    """
    from plldb.cli.factory import make_factory

    factory = make_factory()
    settings, settled = _list_settings(factory), factory.settle_parameters(parameters)
    calls_go_to = _describe_destination(factory)
    factory.console.answer(
        {
            "callsGoTo": calls_go_to,
            "settings": _encode(settings),
            "parameters": _encode(settled),
        },
        f"Calls go to {calls_go_to}.\n\n"
        f"{_format_table('setting', settings)}\n\n{_format_table('parameter', settled)}",
    )


def _list_settings(factory: Factory) -> dict[str, Setting[str | int | None]]:
    """By the names that they have in plldb.toml, where they may stand there."""
    from plldb.config import DEFAULT, Setting

    resolver, home = factory.resolver, factory.home
    file, target = resolver.file, resolver.target
    return {
        "config": Setting(str(file.path), file.found_by) if file else Setting(None, DEFAULT),
        "environment": resolver.environment,
        "target": target.kind,
        "profile": target.profile,
        "region": target.region,
        "endpoint-url": target.endpoint_url,
        "helper-stack": resolver.helper_stack,
        "cloudformation-role": resolver.cloudformation_role,
        "output": resolver.output,
        "verbose": resolver.verbosity,
        "home": Setting(str(home.value), home.source),
        **_list_options_of_commands(file),
    }


def _list_options_of_commands(file: ConfigFile | None) -> dict[str, Setting[str | int | None]]:
    """What plldb.toml says of them; of variables, which may be secrets, only that it does."""
    from plldb.config import Setting

    if file is None:
        return {}
    return {
        f"{command}.{key}": Setting(
            "…" if key == "env" else str(value), f"{file.path.name} [{command}]"
        )
        for command, table in file.commands.items()
        for key, value in table.items()
    }


def _describe_destination(factory: Factory) -> str:
    target = factory.resolver.target
    if target.kind.value == "aws":
        profile = target.profile.value
        endpoints = factory.find_endpoints(profile)
        if endpoints.emulator is not None and profile is not None:
            url = endpoints.emulator
            return f"the emulator at {url.value}, the {url.source}, with its credentials"
        whose = f"the profile {profile}" if profile else "the credentials of the environment"
        return f"AWS, with {whose}"
    if target.endpoint_url.value is not None:
        return f"the emulator at {target.endpoint_url.value}"
    running = factory.find_running_emulator()
    if running is None:
        return "the emulator of 'plldb local up', which does not run"
    return f"the emulator of 'plldb local up', at {running.endpoint_url}"


def _encode(settings: Mapping[str, Setting[str | int | None]]) -> dict[str, object]:
    return {
        name: {"value": setting.value, "source": setting.source}
        for name, setting in settings.items()
    }


def _format_table(title: str, settings: Mapping[str, Setting[str | int | None]]) -> str:
    """Columns as wide as what stands in them."""
    rows = [(title, "value", "source")]
    rows += [(name, _format(one.value), one.source) for name, one in settings.items()]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{a:<{first}}  {b:<{second}}  {c}" for a, b, c in rows)


def _format(value: str | int | None) -> str:
    return str(value) if value not in (None, "") else _NO_VALUE
