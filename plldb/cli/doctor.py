"""``plldb doctor``: what is wrong, and what to do."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from plldb.cli.command_base import Command
from plldb.cli.name_types import STACK_NAME
from plldb.cli.options import find_output, global_options, helper_stack_option
from plldb.errors import PlldbError

if TYPE_CHECKING:
    from plldb.aws import Target
    from plldb.bootstrap.release import Release
    from plldb.cli.console import Console
    from plldb.cli.factory import Factory
    from plldb.doctor.facts import CheckupContext
    from plldb.doctor.findings import Finding

_MARKS = {"ok": "✓", "warning": "!", "problem": "✗", "skipped": "-"}


@click.command(cls=Command)
@click.option(
    "--stack-name",
    type=STACK_NAME,
    help="Also look at this stack, the one to debug.",
)
@click.option(
    "--deep",
    is_flag=True,
    help="Also open a session and close it, and look at limits, alarms and logs.",
)
@helper_stack_option()
@global_options
def doctor(stack_name: str | None, deep: bool) -> None:
    """Find out what is wrong, and say what to do.

    \b
      plldb doctor
      plldb doctor --profile dev --stack-name my-stack
      plldb doctor --profile dev --deep

    It looks at this machine, the emulator, credentials, clock, helper stack, permissions, and at
    what crashed sessions left. It changes nothing; with --deep it opens a session of its own, which
    touches no function, measures it, and closes it. The exit code is 1 if there is any problem.
    """
    from plldb.cli.factory import make_factory
    from plldb.doctor.checkup import CHECKS, DEEP_CHECKS, examine
    from plldb.doctor.facts import Facts
    from plldb.doctor.findings import CheckStatus

    factory = make_factory()
    console = _find_console(factory)
    problems = 0
    with (
        console.progress("Looking…"),
        closing(Facts(_make_context(factory, stack_name))) as facts,
    ):
        for finding in examine(facts, (*CHECKS, *DEEP_CHECKS) if deep else CHECKS):
            problems += finding.result.status is CheckStatus.PROBLEM
            console.answer(finding.to_json(), _describe(finding))
    if problems:
        count = f"{problems} problems were" if problems > 1 else "1 problem was"
        raise PlldbError(f"{count} found.", "What to do stands beside each.")


def _find_console(factory: Factory) -> Console:
    """Also where the settings can't be read: that is one of the things to tell."""
    from plldb.cli.console import Console

    try:
        return factory.console
    except PlldbError:
        return Console("json" if find_output() == "json" else "text")


def _make_context(factory: Factory, stack_name: str | None) -> CheckupContext:
    from plldb.config import DEFAULT_HELPER_STACK
    from plldb.doctor.facts import CheckupContext

    def make_release(target: Target) -> Release:
        from plldb.bootstrap.operations import BootstrapOperation

        parameters = {name: one.value for name, one in factory.settle_parameters().items()}
        operation = BootstrapOperation.for_setup(target, helper_stack, parameters, factory.tags)
        release = operation.release
        assert release is not None
        return release

    try:
        helper_stack = factory.settings.helper_stack
        role = factory.resolver.cloudformation_role.value
    except PlldbError:
        helper_stack, role = DEFAULT_HELPER_STACK, None
    return CheckupContext(
        helper_stack=helper_stack,
        cloudformation_role=role,
        stack_name=stack_name,
        home=factory.home.value,
        describe_settings=lambda: _describe_settings(factory),
        make_target=lambda: factory.target,
        make_release=make_release,
        make_emulator=factory.make_emulator,
    )


def _describe_settings(factory: Factory) -> str:
    """Raises UsageError for whatever is wrong in them."""
    factory.settle_parameters()
    environment, file = factory.settings.environment, factory.resolver.file
    where = f"from {file.path}" if file else "without a plldb.toml"
    return f"environment {environment}, {where}"


def _describe(finding: Finding) -> str:
    result = finding.result
    label = "" if result.status == "ok" else f" [{result.status}]"
    line = f"{_MARKS[result.status]} {finding.check}{label}: {result.found}"
    return f"{line}\n    → {result.hint}" if result.hint else line
