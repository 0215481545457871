"""``plldb dev`` as somebody sees it who has just installed plldb, in a clock's time.

``python -m bench.one_command`` measures it alone.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from pathlib import Path

import pexpect

from plldb.demo.story import SampleProject
from tests.e2e.support import Attached, Plldb, clean_environment

from .report import Report

_ROUNDS = 3
_EVENT = '{"name": "you"}'
_PATIENCE_SECONDS = 60


def measure_one_command(report: Report) -> None:
    """From an empty state folder each time; the median of some rounds."""
    rounds = [_measure_a_session() for _ in range(_ROUNDS)]
    for name, goal in (
        ("plldb dev: ready", ""),
        ("plldb dev: first answer", "≤ 5000 ms"),
        ("plldb dev: edited template deployed", "≤ 3000 ms"),
        ("plldb dev: Ctrl-C, until all is gone", "≤ 3000 ms"),
    ):
        report.add_series(name, [one[name] for one in rounds], goal)
    breakpoints = [_measure_a_breakpoint() for _ in range(_ROUNDS)]
    report.add_series("plldb dev --pdb: first breakpoint", breakpoints, "≤ 5000 ms")


def _measure_a_session() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="plldb-bench-") as folder:
        project = SampleProject.copy_to(Path(folder) / "sample")
        plldb = _make_plldb(folder, project)
        figures = {}
        started = time.perf_counter()
        command = plldb.start("dev", "--output", "json", "--python", sys.executable)
        with Attached(command, plldb.said) as dev:
            dev.wait_for("ready")
            figures["plldb dev: ready"] = _since(started)
            answer = plldb("invoke", "Greeter", "--event", _EVENT).succeeded()
            figures["plldb dev: first answer"] = _since(started)
            assert str(project.folder) in json.loads(answer.stdout)["file"]

            template = project.folder / "template.yaml"
            saved = time.perf_counter()
            template.write_text(template.read_text().replace("Hello", "Good day"))
            dev.wait_for("deployed")
            figures["plldb dev: edited template deployed"] = _since(saved)
            dev.wait_for("redeployed")

            pressed = time.perf_counter()
            dev.signal(signal.SIGINT)
            dev.exit_code()
            figures["plldb dev: Ctrl-C, until all is gone"] = _since(pressed)
        return figures


def _measure_a_breakpoint() -> float:
    with tempfile.TemporaryDirectory(prefix="plldb-bench-") as folder:
        project = SampleProject.copy_to(Path(folder) / "sample")
        project.edit("    print(", "    breakpoint()\n    print(")
        plldb = _make_plldb(folder, project)
        started = time.perf_counter()
        arguments = ["-m", "plldb", "dev", "--pdb", "--python", sys.executable]
        dev = pexpect.spawn(
            sys.executable,
            arguments,
            env=plldb.environment,
            cwd=project.folder,
            timeout=_PATIENCE_SECONDS,
        )
        try:
            dev.expect("Ready: ")
            caller = plldb.start("invoke", "Greeter", "--event", _EVENT)
            dev.expect(r"\(Pdb")
            figure = _since(started)
            dev.sendline("c")
            caller.communicate(timeout=_PATIENCE_SECONDS)
            dev.sendintr()
            dev.expect(pexpect.EOF)
        finally:
            dev.close(force=True)
            plldb("local", "down")
        return figure


def _make_plldb(folder: str, project: SampleProject) -> Plldb:
    home = str(Path(folder) / "home")
    return Plldb(clean_environment() | {"PLLDB_HOME": home}).within(project.folder)


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    shown = Report("one command")
    measure_one_command(shown)
    shown.show()
