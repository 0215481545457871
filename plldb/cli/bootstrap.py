"""``plldb bootstrap``: deploy the helper stack, or remove it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from plldb.cli.command_base import Group
from plldb.cli.options import (
    cloudformation_role_option,
    global_options,
    helper_stack_option,
)

if TYPE_CHECKING:
    from plldb.aws import Target
    from plldb.bootstrap.executor import Executor
    from plldb.bootstrap.planner import Plan, Step
    from plldb.bootstrap.stack_operation import ResourceEvent
    from plldb.cli.console import Console
    from plldb.cli.factory import Factory

_stack_name = helper_stack_option("--stack-name")
_cloudformation_role = cloudformation_role_option()
_dry_run = click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
_parameter = click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a parameter of the helper stack's template; 'plldb config' lists them. Repeatable.",
)


@click.group(cls=Group, invoke_without_command=True)
@_stack_name
@_cloudformation_role
@_parameter
@_dry_run
@global_options
@click.pass_context
def bootstrap(ctx: click.Context, parameters: tuple[str, ...], dry_run: bool) -> None:
    """Deploy the helper stack that 'plldb attach' needs.

    \b
      plldb bootstrap
      plldb bootstrap --dry-run --profile dev
      plldb bootstrap destroy

    'plldb bootstrap' alone is 'plldb bootstrap setup'. With -v, each resource is named.
    """
    ctx.obj = {"parameters": parameters, "dry_run": dry_run}
    if ctx.invoked_subcommand is None:
        _setup(parameters, dry_run)


@bootstrap.command()
@_stack_name
@_cloudformation_role
@_parameter
@_dry_run
@global_options
@click.pass_context
def setup(ctx: click.Context, parameters: tuple[str, ...], dry_run: bool) -> None:
    """Deploy or update the helper stack; repeat it as often as you like.

    \b
      plldb bootstrap setup --dry-run
      plldb bootstrap setup --profile dev --parameter LogRetentionDays=7
    """
    parameters = (*ctx.obj["parameters"], *parameters)
    _setup(parameters, dry_run or ctx.obj["dry_run"])


@bootstrap.command()
@_stack_name
@_cloudformation_role
@_dry_run
@click.option("--yes", is_flag=True, help="Do not ask.")
@global_options
@click.pass_context
def destroy(ctx: click.Context, dry_run: bool, yes: bool) -> None:
    """Remove the helper stack and its artifacts.

    \b
      plldb bootstrap destroy --dry-run
      plldb bootstrap destroy --yes
    """
    if ctx.obj["parameters"]:
        raise click.UsageError("--parameter goes with setup.")
    _destroy(dry_run or ctx.obj["dry_run"], yes)


def _setup(parameters: tuple[str, ...], dry_run: bool) -> None:
    from plldb.bootstrap.operations import BootstrapOperation
    from plldb.cli.factory import make_factory
    from plldb.stacks import find_helper_stack

    factory = make_factory()
    settled = {name: found.value for name, found in factory.settle_parameters(parameters).items()}
    stack_name = factory.settings.helper_stack
    console, target = factory.console, factory.target
    operation = BootstrapOperation.for_setup(target, stack_name, settled, factory.tags)
    if dry_run:
        _show_plan(console, stack_name, operation.plan())
        return
    with console.progress(f"Deploying stack {stack_name}…") as say:
        changed = operation.run(_reporting_executor(factory, say))
        helper = find_helper_stack(target, stack_name)
    status = helper.status
    what = f"is ready ({status})" if changed else f"is up to date ({status})"
    console.answer(
        {
            "stackName": stack_name,
            "status": status,
            "changed": changed,
            "managementApiUrl": helper.management_api_url,
            "webSocketUrl": helper.websocket_url,
            "sessionsTable": helper.sessions_table,
            "debuggerTable": helper.debugger_table,
            "region": target.region,
            "environment": factory.settings.environment,
        },
        f"Stack {stack_name} {what} at {target.description}\n"
        f"  management API  {helper.management_api_url}\n"
        f"  WebSocket API   {helper.websocket_url}",
    )


def _destroy(dry_run: bool, yes: bool) -> None:
    from plldb.bootstrap.operations import BootstrapOperation
    from plldb.cli.factory import make_factory
    from plldb.errors import UsageError

    factory = make_factory()
    stack_name = factory.settings.helper_stack
    console, target = factory.console, factory.target
    operation = BootstrapOperation.for_destroy(target, stack_name)
    if dry_run:
        _show_plan(console, stack_name, operation.plan())
        return
    question = f"Remove stack {stack_name} and its artifacts from {target.description}?"
    if not yes and not console.confirm(question):
        raise UsageError("Nothing was removed.", "Agree when asked, or give --yes.")
    with console.progress(f"Removing stack {stack_name}…") as say:
        changed = operation.run(_reporting_executor(factory, say))
    text = f"Stack {stack_name} is removed." if changed else f"There is no stack {stack_name}."
    console.answer({"stackName": stack_name, "status": "DELETED", "changed": changed}, text)


def _show_plan(console: Console, stack_name: str, plan: Plan) -> None:
    steps = [str(step) for step in plan]
    text = "\n".join(f"would {step}" for step in steps) or "Nothing to do."
    console.answer({"stackName": stack_name, "plan": steps}, text)


def _reporting_executor(
    factory: Factory, say: Callable[[str], None]
) -> Callable[[Target], Executor]:
    """Makes executors that tell the console what goes on: each step, and of resources what fails.

    The others are counted, unless the user wants to see more, and ``say`` shows that as it grows.
    """
    from plldb.bootstrap.executor import Executor

    console, role = factory.console, factory.resolver.cloudformation_role.value
    is_verbose = factory.settings.verbosity > 0
    done: set[str] = set()

    def show_step(step: Step) -> None:
        console.note(f"→ {step}")

    def show_resource(event: ResourceEvent) -> None:
        if event.status.endswith("_COMPLETE"):
            done.add(event.logical_id)
            say(f"{len(done)} resources, the last one {event.logical_id}")
        if is_verbose or event.is_failure:
            reason = f"  {event.reason}" if event.reason else ""
            console.note(
                f"  {event.status:<20} {event.resource_type:<36} {event.logical_id}{reason}"
            )

    return lambda target: Executor(target, show_step, show_resource, role=role)
