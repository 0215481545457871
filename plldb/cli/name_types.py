"""Values of options that are names: of stacks, functions and profiles.

Shells are offered those that there are at this moment. Nobody reads a message while a shell
completes: what can't be found out is not offered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

# What click asks for values.
Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _make(find: Callable[[click.Context], Iterable[str]]) -> Completer:
    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from plldb.errors import PlldbError
        from plldb.proxies import exempt_loopback

        os.environ.update(exempt_loopback(os.environ))
        with ctx.scope(cleanup=False):
            try:
                found = find(ctx)
            except (PlldbError, OSError, click.ClickException):
                return []
        return [CompletionItem(one) for one in found if one.startswith(incomplete)]

    return complete


def _find_stacks(_: click.Context) -> Iterable[str]:
    from plldb.cli.factory import make_factory
    from plldb.stacks import list_stack_names

    return list_stack_names(make_factory().target)


def _find_functions(ctx: click.Context) -> Iterable[str]:
    """Of the stacks that the command line has named so far, or of the project's."""
    from plldb.cli.factory import make_factory
    from plldb.dev.stack_functions import list_functions

    factory = make_factory()
    names = ctx.params.get("stacks") or ctx.params.get("stack_names") or ()
    if one := ctx.params.get("stack_name"):
        names = (one,)
    found = names or (factory.find_stack_name(),)
    return [one.name for name in found for one in list_functions(factory.target, name)]


def _find_profiles(_: click.Context) -> Iterable[str]:
    from botocore.session import Session

    return Session().available_profiles


complete_profiles = _make(_find_profiles)


def is_unicode(text: str) -> bool:
    """Whether it can be sent anywhere: an argument that the locale can't read has bytes in it."""
    return not any("\ud800" <= one <= "\udfff" for one in text)


class _Name(click.types.StringParamType):
    """Text that is not empty: an empty name means all there are, to some services."""

    name = "name"

    def __init__(self, complete: Completer) -> None:
        self._complete = complete

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value:
            self.fail("it is empty.", param, ctx)
        if not is_unicode(value):
            self.fail("it is no text in this locale.", param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return self._complete(ctx, param, incomplete)


class PathName(click.Path):
    """A path that is not empty: an empty one would be this folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty.", param, ctx)
        return super().convert(value, param, ctx)


STACK_NAME = _Name(_make(_find_stacks))
FUNCTION_NAME = _Name(_make(_find_functions))
# Nobody lists what there is.
ANY_NAME = _Name(_make(lambda _: ()))


def complete_files(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shell's own affair."""
    return [CompletionItem(incomplete, type="file")]
