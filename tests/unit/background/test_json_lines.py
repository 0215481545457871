"""A file of JSON lines: whatever ends its writer, what was written can be read."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plldb.background.json_lines import JsonLinesWriter, name_older, read_json_lines
from plldb.replay.masks import Masks

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def as_it_is(value: Any) -> Any:
    return value


def write(path: Path, *objects: dict[str, Any], prepare: Any = as_it_is, **limits: int) -> None:
    with JsonLinesWriter(path, prepare, **limits) as writer:
        for one in objects:
            writer.put(one)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=4))
def test_what_was_written_is_read(tmp_path: Path, objects: list[dict[str, Any]]) -> None:
    path = tmp_path / "lines"
    path.unlink(missing_ok=True)
    write(path, *objects)
    assert list(read_json_lines(path)) == objects


def test_it_is_its_users_alone_and_follows_no_link(tmp_path: Path) -> None:
    write(tmp_path / "lines", {"n": 1})
    assert stat.S_IMODE((tmp_path / "lines").stat().st_mode) == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="link"):
        JsonLinesWriter(tmp_path / "link", as_it_is)
    assert not (tmp_path / "elsewhere").exists()


def test_secrets_are_masked_before(tmp_path: Path) -> None:
    write(tmp_path / "lines", {"password": "correct-horse"}, prepare=Masks().apply)
    assert "horse" not in (tmp_path / "lines").read_text()


@pytest.mark.parametrize("torn", ["", '{"n": 1', "junk\n", "[1]\n", '{"n": 1}\n{"n"', "\x00\n"])
def test_after_half_a_line_it_goes_on_below(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "lines"
    path.write_text('{"n": 0}\n' + torn)
    write(path, {"n": 2})
    found = list(read_json_lines(path))
    assert found[0] == {"n": 0}
    assert found[-1] == {"n": 2}


def test_it_grows_to_its_limit_and_loses_the_oldest(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    write(path, *({"n": number} for number in range(1000)), max_bytes=200)
    assert path.stat().st_size <= 200
    assert name_older(path).stat().st_size <= 200
    numbers = [one["n"] for one in read_json_lines(path)]
    assert numbers == list(range(numbers[0], 1000))
    assert stat.S_IMODE(name_older(path).stat().st_mode) == 0o600


def test_a_line_that_is_longer_than_the_limit_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    write(path, {"n": "x" * 500}, {"n": 2}, max_bytes=100)
    assert [one["n"] for one in read_json_lines(path)] == ["x" * 500, 2]


def test_what_can_not_be_prepared_is_counted(tmp_path: Path) -> None:
    def refuse(value: dict[str, Any]) -> dict[str, Any]:
        if value["n"] == 1:
            raise RecursionError
        return value

    path = tmp_path / "lines"
    write(path, {"n": 0}, {"n": 1}, {"n": 2}, prepare=refuse)
    assert list(read_json_lines(path)) == [{"n": 0}, {"n": 2}, {"event": "lost", "lines": 1}]


_FULL_FOR_A_WHILE = """
import resource, sys
from pathlib import Path
from plldb.background.json_lines import JsonLinesWriter

_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, most))

def prepare(value):
    if value["n"] == 2:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    return value

with JsonLinesWriter(Path(sys.argv[1]), prepare) as writer:
    for one in ("x" * 500, 2, 3):
        writer.put({"n": one})
"""


def test_after_the_disk_was_full_no_line_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    code = [sys.executable, "-c", _FULL_FOR_A_WHILE, str(path)]
    subprocess.run(code, check=True, timeout=60)
    found = list(read_json_lines(path))
    assert [one["n"] for one in found if "n" in one] == [2, 3]
    assert [one["lines"] for one in found if "n" not in one] == [1]


def test_nobody_waits_for_the_disk(tmp_path: Path) -> None:
    going_on = threading.Event()

    def wait(value: Any) -> Any:
        going_on.wait(30)
        return value

    with JsonLinesWriter(tmp_path / "lines", wait, most_waiting=2) as writer:
        for number in range(100):
            writer.put({"n": number})
        going_on.set()
    found = list(read_json_lines(tmp_path / "lines"))
    lost = sum(one["lines"] for one in found if one.get("event") == "lost")
    assert lost > 0
    assert len([one for one in found if "n" in one]) + lost == 100


_ENDLESS = """
import itertools, sys
from pathlib import Path
from plldb.background.json_lines import JsonLinesWriter

path = Path(sys.argv[1])
writer = JsonLinesWriter(path, lambda value: value, most_waiting=100)
for number in itertools.count():
    writer.put({"n": number, "text": "x" * 1000})
    if number % 100 == 0 and path.stat().st_size > 50_000:
        print("well under way", flush=True)
"""


def test_one_that_is_killed_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with subprocess.Popen(
        [sys.executable, "-c", _ENDLESS, str(path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert process.returncode == -signal.SIGKILL
    found = list(read_json_lines(path))
    assert found
    assert all(one.get("text") == "x" * 1000 for one in found if "n" in one)
    write(path, {"n": -1})
    assert list(read_json_lines(path))[-1] == {"n": -1}
    with path.open("rb") as file:
        assert sum(1 for _ in file) == len(path.read_bytes().splitlines())


def test_a_reader_sees_nothing_of_a_line_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(json.dumps({"n": 1}).encode() + b"\n" + b'{"n": 2}')
    assert list(read_json_lines(path)) == [{"n": 1}]
    os.truncate(path, 0)
    assert list(read_json_lines(path)) == []
    assert list(read_json_lines(tmp_path / "none")) == []
