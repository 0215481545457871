"""``plldb``: the group of all commands, and what becomes of errors."""

from __future__ import annotations

import errno
import gc
import os
import sys
from importlib import import_module
from itertools import pairwise
from typing import Any

import click

from plldb import __version__
from plldb.cli.closed_streams import open_closed_streams
from plldb.cli.command_base import Group
from plldb.cli.lost_interrupts import repeat_lost_interrupts
from plldb.cli.options import find_output, global_options
from plldb.errors import PlldbError
from plldb.proxies import exempt_loopback

# name → (module, attribute)
_COMMANDS = {
    "attach": ("plldb.cli.attach", "attach"),
    "bootstrap": ("plldb.cli.bootstrap", "bootstrap"),
    "completion": ("plldb.cli.completion", "completion"),
    "config": ("plldb.cli.config", "config"),
    "demo": ("plldb.cli.demo", "demo"),
    "deploy": ("plldb.cli.deploy", "deploy"),
    "dev": ("plldb.cli.dev", "dev"),
    "doctor": ("plldb.cli.doctor", "doctor"),
    "exec": ("plldb.cli.exec", "exec_"),
    "invocation": ("plldb.cli.invocations", "invocation"),
    "invocations": ("plldb.cli.invocations", "invocations"),
    "invoke": ("plldb.cli.invoke", "invoke"),
    "local": ("plldb.cli.local", "local"),
    "logs": ("plldb.cli.logs", "logs"),
    "recordings": ("plldb.cli.recordings", "recordings"),
    "replay": ("plldb.cli.replay", "replay"),
    "restore": ("plldb.cli.restore", "restore"),
    "sessions": ("plldb.cli.sessions", "sessions"),
    "status": ("plldb.cli.status", "status"),
    "stop": ("plldb.cli.status", "stop"),
}
# How each one's own help begins: 'plldb --help' needs none of the modules.
_SUMMARIES = {
    "attach": "Run the invocations of deployed stacks here, until Ctrl-C.",
    "bootstrap": "Deploy the helper stack that 'plldb attach' needs.",
    "completion": "Show the script by which a shell completes plldb's command line.",
    "config": "Show each setting and where it comes from.",
    "demo": "Show it all on an emulator of its own: deploy, attach, debug, detach, clean up.",
    "deploy": "Package the project's template and code, and deploy them.",
    "dev": "Deploy the project in this folder, and run its functions here until Ctrl-C.",
    "doctor": "Find out what is wrong, and say what to do.",
    "exec": "Run any tool against the emulator, or against AWS with --profile.",
    "invocation": "Show all of an invocation that ran here: event, answer or error, output, where "
    "time went.",
    "invocations": "List the invocations that ran here, the oldest first.",
    "invoke": "Invoke a function once, and show its answer, its error and the end of its log.",
    "local": "Start, stop and find an AWS emulator on this machine.",
    "logs": "Show what a function has logged in CloudWatch Logs.",
    "recordings": "List the recorded invocations in DIR, the oldest first.",
    "replay": "Run recorded invocations again, by the code that is here.",
    "restore": "Give a stack's functions back their own handlers.",
    "sessions": "See who is attached, and close sessions.",
    "status": "Tell which session runs in the background of this folder.",
    "stop": "End the session that runs in the background of this folder.",
}

# What the machine says no to, whatever the program.
_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


class _Commands(Group):
    """Loads a command's module when the command is asked for."""

    # Of the command that failed: outside of it, nobody knows any more.
    failed_in_json = False

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PlldbError as error:
            self.failed_in_json = find_output() == "json"
            _log_failure("an expected error: %s", error)
            raise
        except (KeyboardInterrupt, click.Abort) as stopped:
            self.failed_in_json = find_output() == "json"
            if self.failed_in_json:
                # Before click ends the line that Ctrl-C stands on.
                raise click.Abort from stopped
            raise
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as bug:
            self.failed_in_json = find_output() == "json"
            _log_failure("an unexpected error: %s", bug)
            if not _is_refusal(bug):
                _name_the_log(bug)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_SUMMARIES.items()))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command


def _log_failure(text: str, error: Exception) -> None:
    """Imported here, as all that 'plldb --help' does not need."""
    import logging

    logging.getLogger(__name__).debug(text, type(error).__name__, exc_info=error)


def _name_the_log(bug: Exception) -> None:
    """The traceback ends with where this run's log is, if one is kept."""
    from plldb.diagnostic_log import find_kept_log

    if (path := find_kept_log()) is not None:
        bug.add_note(f"This is a bug in plldb. What led to it is in its log: {path}")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="plldb")
@global_options
def plldb() -> None:
    """Debug the Lambda functions of a deployed CloudFormation stack on your own machine.

    Calls go to AWS with --profile NAME, to an emulator with --endpoint-url URL, and otherwise to
    the emulator that 'plldb local up' started. Every global option can also be given after the
    command, as an environment variable (PLLDB_PROFILE, PLLDB_REGION and so on) or in plldb.toml;
    'plldb config' shows what holds, and why.
    """
    # Before anything is asked for over HTTP: an emulator is on this machine, mostly.
    os.environ.update(exempt_loopback(os.environ))


def main() -> None:
    """The console script. Exit codes: 0 done, 1 an expected error, 2 wrong usage."""
    # Modules, which stay, are most of what is made. To look through them for what nobody needs any
    # more, again at every 700th object, takes a tenth of the time until the first call goes out.
    gc.set_threshold(20_000)
    open_closed_streams()
    repeat_lost_interrupts()
    try:
        code = plldb.main(prog_name="plldb", standalone_mode=False)
    except click.ClickException as error:
        _show_usage(error)
        code = error.exit_code
    except click.Abort:
        from plldb.cli.console import show_abort

        show_abort(plldb.failed_in_json)
        code = 1
    except PlldbError as error:
        from plldb.cli.console import show_error

        show_error(error, plldb.failed_in_json)
        code = error.exit_code
    except OSError as error:
        code = _end_by(error)
    # Commands return nothing; --help and --version what click has for them.
    sys.exit(code if isinstance(code, int) else 0)


def _show_usage(error: click.ClickException) -> None:
    context = getattr(error, "ctx", None)
    if not _wants_json(context):
        error.show()
        return
    from plldb.cli.console import show_error

    hint = f"Look at '{context.command_path} --help'." if context is not None else None
    show_error(PlldbError(error.format_message(), hint), as_json=True)


def _wants_json(context: click.Context | None) -> bool:
    """Also where options that came after the mistake were not read any more."""
    from plldb.cli.factory import find_output_of_file

    if context is not None:
        with context.scope(cleanup=False):
            if (known := find_output()) is not None:
                return known == "json"
    words = sys.argv[1 : sys.argv.index("--") if "--" in sys.argv else None]
    after = [word for before, word in pairwise(words) if before == "--output"]
    joined = [word.partition("=")[2] for word in words if word.startswith("--output=")]
    return "json" in (*after, *joined) or find_output_of_file() == "json"


def _end_by(error: OSError) -> int:
    """What the machine refuses is no bug: a full disk, a state folder that can't be made.

    Raises anything else again, which keeps its traceback.
    """
    if not _is_refusal(error):
        raise error
    from plldb.cli.console import give_up_stdout, show_error

    if _is_folder_gone(error):
        gone = PlldbError("This folder is not there any more.", "Change to another one.")
        show_error(gone, plldb.failed_in_json)
        return gone.exit_code
    if error.filename is None:
        give_up_stdout()
    where = f": {error.filename}" if error.filename else ""
    hint = "Make room or give the right to write there; PLLDB_HOME names another state folder."
    refusal = PlldbError(f"{error.strerror}{where}.", hint)
    show_error(refusal, plldb.failed_in_json)
    return refusal.exit_code


def _is_folder_gone(error: OSError) -> bool:
    """Whether it is the working folder that was asked for."""
    if error.errno != errno.ENOENT or error.filename is not None:
        return False
    try:
        os.getcwd()  # noqa: PTH109 - Path's is no other
    except FileNotFoundError:
        return True
    return False


def _is_refusal(error: Exception) -> bool:
    """Whether the machine says no, or anything at all keeps plldb from its state folder."""
    if not isinstance(error, OSError):
        return False
    if error.errno in _REFUSALS or _is_folder_gone(error):
        return True
    if not isinstance(error.filename, str):
        return False
    from pathlib import Path

    from plldb.config import find_state_folder

    path, home = Path(error.filename), find_state_folder(os.environ).value
    return path == home or path in home.parents or home in path.parents
