"""``plldb demo``: the whole thing on the embedded emulator, in seconds."""

from __future__ import annotations

import click

from plldb.cli.command_base import Command
from plldb.cli.options import global_options


@click.command(cls=Command)
@global_options
def demo() -> None:
    """Show it all on an emulator of its own: deploy, attach, debug, detach, clean up.

    \b
      plldb demo
    """
    import tempfile
    import time
    from pathlib import Path

    from plldb.cli.factory import make_factory
    from plldb.demo import story

    console = make_factory().console
    started = time.perf_counter()

    def tell(what: str, text: str) -> None:
        console.answer({"event": what, "text": text}, f"   {text}")

    with tempfile.TemporaryDirectory(prefix="plldb-demo-") as folder:
        project = story.SampleProject.copy_to(Path(folder) / "project")
        console.title("1. Start the embedded emulator: IAM is enforced, no AWS account is needed")
        with story.embedded_emulator(Path(folder) / "home") as target:
            tell("emulator", f"it is ready at {target.description}")
            console.title("2. plldb bootstrap: deploy the helper stack")
            helper = story.deploy_helper_stack(target, tell)
            console.title("3. A stack to debug, as you would have one")
            caller = story.Caller(target, story.deploy_sample(target, project))
            tell("answer", f"its function answers {caller.invoke(story.SAMPLE_EVENT).payload}")
            console.title(f"4. plldb attach --stack-name {story.SAMPLE_STACK}")
            story.attach_and_debug(target, helper, project, caller, tell)
            console.title("5. Detached: the deployed code again")
            tell("answer", f"the same call: {caller.invoke(story.SAMPLE_EVENT).payload}")
        console.title("6. Clean up")
        tell("emulator", "the emulator is stopped, and nothing is left")
    tell("done", f"{time.perf_counter() - started:.1f} s in all. Next: plldb local up")
