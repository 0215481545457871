"""A child's output comes line by line, in the order of writing, with the request of each."""

from __future__ import annotations

import asyncio
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.invoker import Invoker
from plldb.debugger.children.runtime.output import (
    LOG,
    NOTE,
    RAW,
    REQUEST,
    STDERR,
    OutputParser,
    make_mark,
    make_pieces,
)
from tests.unit.debugger.local_code import (
    CONTEXT,
    Project,
    every_python,
    invoke,
    value,
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


class TestOrder:
    @every_python
    def test_of_all_that_writes(self, project: Project, python: Interpreter) -> None:
        project.write("""
            import logging, os, subprocess, sys
            def handler(event, context):
                for number in range(20):
                    print("out", number)
                    print("err", number, file=sys.stderr)
                    logging.warning("log %d", number)
                    os.write(1, b"raw out %d\\n" % number)
                    os.write(2, b"raw err %d\\n" % number)
                    context.log("context %d" % number)
                subprocess.run(["sh", "-c", "echo below; echo below err >&2"])
                print("last")
        """)
        project.invoke(python=python)
        texts = [text.rpartition("\t")[2] for _, _, text in project.lines]
        kinds = ("out", "err", "log", "raw out", "raw err", "context")
        expected = [f"{kind} {number}" for number in range(20) for kind in kinds]
        assert texts == [*expected, "below", "below err", "last"]

    def test_python_tells_its_streams_apart(self, project: Project) -> None:
        project.write("""
            import logging, sys, warnings
            def handler(event, context):
                print("out")
                sys.stderr.write("err\\n")
                logging.error("log")
                warnings.warn("warned")
        """)
        project.invoke()
        streams = [stream for _, stream, _ in project.lines]
        assert streams == ["stdout", "stderr", "stdout", "stderr", "stderr"]

    def test_what_is_redirected_is_not_marked(self, project: Project) -> None:
        """As tools do that catch what code in C writes."""
        project.write("""
            import os, sys, tempfile
            def handler(event, context):
                with tempfile.TemporaryFile() as file:
                    saved = os.dup(2)
                    os.dup2(file.fileno(), 2)
                    print("caught", file=sys.stderr)
                    os.dup2(saved, 2)
                    print("seen", file=sys.stderr)
                    file.seek(0)
                    return file.read().decode()
        """)
        assert value(project.invoke()) == "caught\n"
        assert project.output("stderr") == ["seen"]

    def test_a_log_record_does_not_end_a_line_that_is_not_finished(self, project: Project) -> None:
        project.write("""
            import logging
            def handler(event, context):
                print("one ", end="")
                logging.error("between")
                print("line")
        """)
        project.invoke()
        assert [line.rpartition("\t")[2] for line in project.output()] == ["between", "one line"]

    def test_long_lines_and_junk(self, project: Project) -> None:
        project.write("""
            import logging, os, sys
            def handler(event, context):
                print("x" * 3_000_000)
                print("e" * 100_000, file=sys.stderr)
                logging.error("l" * 100_000)
                os.write(1, bytes(range(256)) + b"\\n")
                os.write(1, b"\\xff" * 5000)
        """)
        project.invoke()
        cut = [text for text in project.output() if set(text) == {"x"}]
        assert len(cut) > 1
        assert "".join(cut) == "x" * 3_000_000
        assert project.output("stderr") == ["e" * 100_000]
        assert any(text.endswith("\t" + "l" * 100_000) for text in project.output())
        assert project.output()[-1] == "\ufffd" * 5000

    def test_processes_that_the_code_forks_write_as_it_does(self, project: Project) -> None:
        project.write("""
            import os, sys
            def handler(event, context):
                if os.fork() == 0:
                    print("forked", file=sys.stderr)
                    os._exit(0)
                os.wait()
        """)
        project.invoke()
        assert project.output("stderr") == ["forked"]


class TestRequest:
    CODE = textwrap.dedent("""
        import atexit, threading, time
        print("loading")
        atexit.register(print, "the end")
        written = threading.Event()
        def later():
            go.wait()
            print("between")
            written.set()
        go = threading.Event()
        def handler(event, context):
            print("in", context.aws_request_id, end="")
            if event == "late":
                threading.Thread(target=later).start()
                threading.Timer(0.2, go.set).start()
            if event == "fail":
                raise SystemExit(1)
    """)

    def test_lines_belong_to_their_invocation(self, project: Project) -> None:
        project.write(self.CODE)

        async def work(invoker: Invoker) -> None:
            for number, event in enumerate(["now", "late"]):
                context = CONTEXT | {"aws_request_id": f"request-{number}"}
                await invoke(invoker, project.function(), event, context=context)
            async with asyncio.timeout(10):
                while "between" not in project.output():
                    await asyncio.sleep(0.01)
            await invoke(invoker, project.function(), "now")

        project.run(work, patience=30)
        seen = [(text, request) for (_, _, text), request in self.pairs(project)]
        assert seen == [
            ("loading", None),
            ("in request-0", "request-0"),
            ("in request-1", "request-1"),
            ("between", None),
            ("in request-1", "request-1"),
            ("the end", None),
        ]

    def test_of_invocations_at_once(self, project: Project) -> None:
        project.write("""
            import time
            def handler(event, context):
                for number in range(20):
                    print(context.aws_request_id)
                    time.sleep(0.005)
        """)

        async def work(invoker: Invoker) -> None:
            ids = [CONTEXT | {"aws_request_id": f"request-{number}"} for number in range(4)]
            await asyncio.gather(*(invoke(invoker, project.function(), context=one) for one in ids))

        project.run(work)
        assert len(project.lines) == 80
        assert all(text == request for (_, _, text), request in self.pairs(project))

    def test_the_last_words_of_a_process_are_those_of_its_invocation(
        self, project: Project
    ) -> None:
        project.write(self.CODE)
        project.invoke("fail")
        seen = [(text, request) for (_, _, text), request in self.pairs(project)]
        assert seen[1:] == [("in request-1the end", "request-1")]

    def test_errors_in_loading_belong_to_none(self, project: Project) -> None:
        project.write("print('loading')\n1 / 0")
        project.invoke()
        assert set(project.requests) == {None}

    @staticmethod
    def pairs(project: Project) -> Any:
        return zip(project.lines, project.requests, strict=True)


class TestParser:
    @given(
        st.lists(
            st.tuples(st.sampled_from([RAW, STDERR, LOG, NOTE, REQUEST]), st.binary(max_size=9000)),
            max_size=8,
        ),
        st.integers(1, 5000),
    )
    def test_pieces_of_any_size_however_they_come(
        self, written: list[tuple[bytes, bytes]], size: int
    ) -> None:
        mark = make_mark()
        stream = b"".join(
            content if kind == RAW else b"".join(make_pieces(mark, kind, content))
            for kind, content in written
        )
        read: list[tuple[bytes, bytes]] = []
        parser = OutputParser(mark, lambda kind, content: read.append((kind, content)))
        for start in range(0, len(stream), size):
            parser.feed(stream[start : start + size])
        parser.flush()
        assert self.joined(read) == self.joined(written)

    @staticmethod
    def joined(pieces: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """With neighbours of one kind as one."""
        joined: list[tuple[bytes, bytes]] = []
        for kind, content in pieces:
            if joined and joined[-1][0] == kind:
                joined[-1] = (kind, joined[-1][1] + content)
            elif content or kind != RAW:
                joined.append((kind, content))
        return joined

    def test_a_line_is_not_held_back_for_what_may_come(self) -> None:
        read: list[bytes] = []
        parser = OutputParser(make_mark(), lambda _, content: read.append(content))
        parser.feed(b"line\n")
        assert read == [b"line\n"]
