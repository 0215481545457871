"""``plldb invoke``: one invocation, its answer, its error and its log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plldb.cli.command_base import Command
from plldb.cli.name_types import ANY_NAME, FUNCTION_NAME, STACK_NAME, PathName, complete_files
from plldb.cli.options import global_options
from plldb.dev.sample_kinds import SAMPLE_KINDS

if TYPE_CHECKING:
    from plldb.cli.console import Console
    from plldb.cli.factory import Factory
    from plldb.dev.lambda_call import Answer, Failure
    from plldb.dev.stack_functions import StackFunction


@click.command(cls=Command)
@click.argument("function", type=FUNCTION_NAME)
@click.option(
    "--stack-name",
    type=STACK_NAME,
    help="The function's stack; that of this folder's project by default.",
)
@click.option(
    "--event",
    metavar="FILE|JSON|-",
    shell_complete=complete_files,
    help="The event: a file, JSON itself, or - for stdin. {} by default.",
)
@click.option(
    "--sample",
    type=click.Choice(SAMPLE_KINDS),
    help="An event as that service sends it.",
)
@click.option("--last", is_flag=True, help="The last recorded event of that function.")
@click.option(
    "--recordings",
    metavar="DIR",
    default="recordings",
    show_default=True,
    type=PathName(path_type=Path),
    help="Where --last looks, as --record DIR named it.",
)
@click.option("--print-event", is_flag=True, help="Show the event, and invoke nothing.")
@click.option(
    "--qualifier",
    type=ANY_NAME,
    metavar="ALIAS|VERSION",
    help="Another version than $LATEST.",
)
@click.option("--async", "is_async", is_flag=True, help="Do not wait for the answer.")
@global_options
def invoke(
    function: str,
    stack_name: str | None,
    event: str | None,
    sample: str | None,
    last: bool,
    recordings: Path,
    print_event: bool,
    qualifier: str | None,
    is_async: bool,
) -> None:
    """Invoke a function once, and show its answer, its error and the end of its log.

    \b
      plldb invoke Greeter --event '{"name": "you"}'
      plldb invoke Orders --sample sqs
      plldb invoke Child/Worker --event event.json | jq .status
      plldb invoke Orders --last

    FUNCTION is a logical id of the stack (Child/Worker in a nested one), a function's name, or an
    ARN. It waits for as long as you are at a breakpoint, and never makes a call twice. The answer
    goes to stdout as it came, the rest to stderr; the exit code is 1 if the function failed.
    """
    if (event is not None) + (sample is not None) + last > 1:
        raise click.UsageError("Choose one of --event, --sample and --last.")
    from plldb.cli.console import read_stdin
    from plldb.cli.factory import make_factory
    from plldb.dev import lambda_call
    from plldb.dev.event_input import read_event
    from plldb.dev.stack_functions import find_function

    payload = read_event(event, sample, Path.cwd(), read_stdin)
    factory = make_factory()
    console = factory.console
    if print_event and not last:
        console.pass_on(payload)
        return
    target = factory.target
    with console.progress(f"Looking for {function}…"):
        found = find_function(target, stack_name or factory.find_stack_name(), function)
    if last:
        payload = _read_last_event(console, recordings, found)
    if print_event:
        console.pass_on(payload)
        return
    if is_async:
        request_id = lambda_call.invoke_without_waiting(
            target, found.physical_name, payload, qualifier
        )
        console.answer(
            {"function": found.name, "requestId": request_id}, f"{found.name} will be invoked."
        )
        return
    began = time.time()
    with console.progress(f"Waiting for {found.name}…"):
        answer = lambda_call.invoke(target, found.physical_name, payload, qualifier)
    invocation = None
    if console.is_json:
        invocation = _find_invoked(factory, found, payload, answer, began)
    _show(console, found.name, answer, invocation)


def _find_invoked(
    factory: Factory, function: StackFunction, payload: bytes, answer: Answer, began: float
) -> dict[str, Any] | None:
    """What became of it in a session of this folder; None if it did not run here."""
    from plldb.background.invoked import Call, find_invoked
    from plldb.cli.background import open_journals
    from plldb.cli.invocations import finalize
    from plldb.replay.invocation_document import parse_json

    event = factory.make_masks().apply(parse_json(payload.decode("utf-8", "replace")))
    call = Call(
        function.name,
        answer.request_id,
        event,
        began,
        time.time(),
        # https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html: an emulator makes one up.
        is_id_sure=factory.target.is_aws,
    )
    found = find_invoked(partial(open_journals, factory), call)
    return None if found is None else finalize(found)


def _read_last_event(console: Console, folder: Path, function: StackFunction) -> bytes:
    from plldb.dev.last_event import find_last_event

    found = find_last_event(
        Path.cwd() / folder, function.name, function.physical_name, console.warn
    )
    console.note(f"The event is that of {found.path.name}.")
    if found.is_masked:
        console.warn("Secrets in it were masked when it was recorded, and are not there any more.")
    return found.payload


def _show(
    console: Console, name: str, answer: Answer, invocation: Mapping[str, Any] | None
) -> None:
    from plldb.cli.terminal_text import make_line
    from plldb.dev.lambda_call import describe_payload
    from plldb.errors import FunctionFailedError

    failure = answer.failure
    milliseconds = round(answer.seconds * 1000)
    if console.is_json:
        outcome = (
            describe_payload(answer.payload) | {"error": None}
            if failure is None
            else {
                "answer": None,
                "error": {
                    "errorType": failure.kind,
                    "errorMessage": failure.message,
                    "stackTrace": [*failure.trace],
                },
            }
        )
        console.answer(
            {
                "function": name,
                "requestId": answer.request_id,
                "version": answer.version,
                "milliseconds": milliseconds,
                "log": answer.log,
            }
            | outcome
            | _describe_run_here(invocation),
            "",
        )
    else:
        for line in answer.log.splitlines():
            console.note(make_line(line))
        if failure is None:
            console.pass_on(answer.payload)
            console.note(f"✔ {name}  {milliseconds} ms")
        elif failure.trace:
            console.note("\n".join(failure.trace))
    if failure is not None:
        raise FunctionFailedError(f"{name} failed: {_tell_failure(failure, invocation)}")


def _tell_failure(failure: Failure, invocation: Mapping[str, Any] | None) -> str:
    """By the type that was raised here: an emulator may not tell it."""
    error = None if invocation is None else invocation.get("error")
    return str(failure) if error is None else f"{error['errorType']}: {error['errorMessage']}"


def _describe_run_here(invocation: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is better known here than by Lambda: an error with its type and all of its trace."""
    described = {
        "recording": None if invocation is None else invocation["recording"],
        "invocation": invocation,
    }
    error = None if invocation is None else invocation.get("error")
    return described | ({} if error is None else {"error": error})
