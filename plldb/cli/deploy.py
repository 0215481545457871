"""``plldb deploy``: the project's own template, as a stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

from plldb.cli.command_base import Command
from plldb.cli.name_types import STACK_NAME, PathName
from plldb.cli.options import global_options, parse_assignments

if TYPE_CHECKING:
    from plldb.aws import Target
    from plldb.bootstrap.stack_operation import ResourceEvent
    from plldb.cli.console import Console
    from plldb.cli.factory import Factory
    from plldb.dev.project_packages import StackSource
    from plldb.dev.sam_settings import SamSettings
    from plldb.dev.stack_deployment import Change, Deployment, Reporter


template_option = click.option(
    "--template",
    type=PathName(path_type=Path),
    help="A SAM or CloudFormation template, or cdk.out; the one of this folder by default.",
)
parameter_option = click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the template. Repeatable.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask before changing a stack on AWS.")


@click.command(cls=Command)
@template_option
@click.option(
    "--stack-name",
    type=STACK_NAME,
    help="How to call the stack; or of a CDK app, which one to deploy.",
)
@parameter_option
@click.option("--build", is_flag=True, help="Run 'sam build' first.")
@yes_option
@global_options
def deploy(
    template: Path | None,
    stack_name: str | None,
    parameters: tuple[str, ...],
    build: bool,
    yes: bool,
) -> None:
    """Package the project's template and code, and deploy them.

    \b
      plldb deploy
      plldb deploy --stack-name shop --parameter Stage=dev
      plldb deploy --profile dev

    It takes SAM and CloudFormation templates with what is nested in them, what 'cdk synth' and
    'serverless package' made, and samconfig.toml's stack name, parameters and tags. Only code that
    changed is uploaded. Nothing is built without --build: packages of a requirements.txt are found
    while the code is debugged here. On AWS (--profile) it shows the changes and asks.
    """
    from plldb.cli.factory import make_factory

    assigned = parse_assignments("--parameter", parameters)
    options = DeployOptions(template, stack_name, assigned, build, yes)
    factory = make_factory()
    deploy_project(factory, factory.target, Path.cwd(), options)


@dataclass(frozen=True)
class DeployOptions:
    """The options by the names that click has for them; ``parameters`` by name."""

    template: Path | None
    stack_name: str | None
    parameters: Mapping[str, str]
    build: bool = False
    yes: bool = False


def name_stacks(factory: Factory, folder: Path, options: DeployOptions) -> list[str]:
    """The stacks of a project as ``deploy_project`` calls them. Raises SourceError if there is no
    project, UsageError if it says not which of several.
    """
    stacks, settings = _read_project(folder, options, options.template)
    return [
        _choose_name(factory, stack, options.stack_name, settings.stack_name) for stack in stacks
    ]


def deploy_project(
    factory: Factory,
    target: Target,
    folder: Path,
    options: DeployOptions,
    marks: Mapping[str, str] = MappingProxyType({}),
) -> tuple[list[Deployment], list[Path]]:
    """Deploys the stacks of a project, and shows what comes of it; returns also the files of their
    templates and settings. ``marks`` are members that each object of JSON output has beside its
    own.
    """
    from plldb.dev.sam_build import build as build_sam
    from plldb.dev.stack_deployment import (
        Deployer,
        StackParameters,
        check_parameters,
        make_storage,
    )

    template, console = options.template, factory.console
    if options.build:
        template = build_sam(folder, template)
    stacks, settings = _read_project(folder, options, template)
    storage, adaptation = make_storage(target), factory.find_adaptation()
    given = {**settings.parameters, **options.parameters}
    names = [
        _choose_name(factory, stack, options.stack_name, settings.stack_name) for stack in stacks
    ]
    packages = [
        stack.package(storage, adaptation, StackParameters(target, name, given))
        for stack, name in zip(stacks, names, strict=True)
    ]
    for remark in dict.fromkeys(one for package in packages for one in package.remarks):
        console.warn(remark)
    check_parameters(packages, options.parameters)

    def agree(name: str, changes: Sequence[Change]) -> bool:
        is_free = options.yes or not target.is_aws
        return is_free or _ask(console, target.description, name, changes)

    deployer = Deployer(target, storage, _make_reporter(console), agree)
    done = []
    for name, package in zip(names, packages, strict=True):
        with console.progress(f"Deploying stack {name}…"):
            deployment = deployer.deploy(name, package, given, settings.tags)
        _show(console, deployment, marks)
        done.append(deployment)
    return done, [*settings.files, *(file for package in packages for file in package.files)]


def _read_project(
    folder: Path, options: DeployOptions, template: Path | None
) -> tuple[list[StackSource], SamSettings]:
    """The stacks that the options choose, and what SAM's settings say of them; ``template`` may be
    one that a build has made.
    """
    from plldb.dev.project_packages import choose_stacks, find_stack_sources
    from plldb.dev.sam_settings import read_sam_settings

    at = folder if options.template is None else (folder / options.template).parent
    stacks = choose_stacks(find_stack_sources(folder, template), options.stack_name)
    return stacks, read_sam_settings(at)


def _choose_name(
    factory: Factory, stack: StackSource, given: str | None, of_settings: str | None
) -> str:
    # Of a CDK app, the name that was given has chosen the stack.
    return given or stack.name or of_settings or factory.find_stack_name(is_deployed=False)


def _make_reporter(console: Console) -> Reporter:
    from plldb.dev.stack_deployment import Reporter

    def show_resource(event: ResourceEvent) -> None:
        if not event.status.endswith("_IN_PROGRESS"):
            reason = f"  {event.reason}" if event.reason else ""
            console.note(
                f"  {event.status:<20} {event.resource_type:<36} {event.logical_id}{reason}"
            )

    return Reporter(lambda step: console.note(f"→ {step}"), show_resource)


def _ask(console: Console, where: str, stack_name: str, changes: Sequence[Change]) -> bool:
    rows = [
        (f"{one.action} (replaced)" if one.is_replaced else one.action, one.kind, one.logical_id)
        for one in changes
    ]
    console.table(("change", "type", "resource"), rows)
    return console.confirm(f"Make these {len(rows)} changes to stack {stack_name} at {where}?")


def _show(console: Console, deployment: Deployment, marks: Mapping[str, str]) -> None:
    what = "is deployed" if deployment.has_changed else "is up to date"
    outputs = [f"  {name}  {value}" for name, value in sorted(deployment.outputs.items())]
    console.answer(
        {
            **marks,
            "stackName": deployment.stack_name,
            "status": deployment.status,
            "changed": deployment.has_changed,
            "outputs": dict(deployment.outputs),
        },
        "\n".join([f"Stack {deployment.stack_name} {what} ({deployment.status}).", *outputs]),
    )
