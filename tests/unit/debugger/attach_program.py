"""A program that attaches as ``plldb attach`` does, to a helper stack of its own: for terminals.

``python -m tests.unit.debugger.attach_program FOLDER DEBUGGER SECONDS`` debugs the function
Greeter, whose code is ``app.py`` in the folder, with ``pdb`` or with ``none``. Once it is attached,
invocations arrive, whose events are their numbers, and which have so many SECONDS: a number for
each, with commas between. It ends as ``plldb attach`` does; after that it has written what callers
got to ``answers.json``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.cli.attach_view import AttachView
from plldb.cli.console import Console
from plldb.debugger.attachment import AttachEvent, SessionOptions, attach
from plldb.debugger.children.invoker import Invoker
from plldb.debugger.children.local_function import NO_DEBUGGER, Pdb
from plldb.debugger.protocol import Ready
from plldb.debugger.sources.choice import ChosenSources
from plldb.debugger.sources.project import CodeSource
from plldb.errors import PlldbError
from tests.unit.debugger.helper_stack import TIMING, HelperStack, target_with
from tests.unit.debugger.local_code import HERE


def main(folder: Path, debugger: str, seconds: list[float]) -> None:
    stack = HelperStack()
    view = AttachView(Console("text"), is_live=debugger != "pdb")

    def report(event: AttachEvent) -> None:
        view.show(event)
        if isinstance(event, Ready):
            now = time.time()
            for number, left in enumerate(seconds, 1):
                message = wire.invocation(
                    f"{number:08d}-request",
                    "Greeter",
                    deadline=now + left,
                    sent_at=now,
                    context={},
                    event=str(number),
                )
                stack.push(1, message)

    def make_invoker() -> Invoker:
        return Invoker(
            python=HERE,
            debug=Pdb() if debugger == "pdb" else NO_DEBUGGER,
            on_output=view.show,
            on_progress=view.show,
        )

    with target_with(stack, "app") as target, view:
        sources = ChosenSources({"Greeter": CodeSource(folder)})
        try:
            attach(
                target,  # type: ignore[arg-type]
                SessionOptions("app", "plldb"),
                sources,
                make_invoker,
                report,
                TIMING,
            )
        except PlldbError as error:
            sys.stderr.write(f"Error: {error.message}\n")
    # As a whole: somebody waits for it.
    (folder / "answers.part").write_text(json.dumps(stack.answers))
    (folder / "answers.part").rename(folder / "answers.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], [float(one) for one in sys.argv[3].split(",")])
