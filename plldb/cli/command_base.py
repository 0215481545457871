"""What all commands have in common: how help is laid out, near names, and settings of their own."""

from __future__ import annotations

from typing import Any

import click

from plldb.cli.options import name_global_options


class Command(click.Command):
    """A command that says the global options in one line: ``plldb --help`` explains them.

    With ``has_settings``, its options may stand in plldb.toml, in the table of its name.
    """

    def __init__(self, *arguments: Any, has_settings: bool = False, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.has_settings = has_settings

    def invoke(self, ctx: click.Context) -> Any:
        if self.has_settings:
            from plldb.cli.command_settings import take_settings

            take_settings(ctx)
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _format_options(self, ctx, formatter)


class Group(click.Group):
    """A group whose commands are found by names that are near, too: by the hint."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            from plldb.config import suggest

            hint = suggest(args[0], self.list_commands(ctx))
            raise click.UsageError(f"There is no command {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if ctx.parent is None:
            super().format_options(ctx, formatter)
            return
        _format_options(self, ctx, formatter)
        self.format_commands(ctx, formatter)


def _format_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    everywhere = name_global_options()
    rows = [
        row
        for option in command.get_params(ctx)
        if option.name not in everywhere and (row := option.get_help_record(ctx)) is not None
    ]
    with formatter.section("Options"):
        formatter.write_dl(rows)
    with formatter.section("Global options, which 'plldb --help' explains"):
        formatter.write_text(", ".join(everywhere.values()))
