"""The log of the developer's side: what is cut out of it, who can read it, and what is kept."""

from __future__ import annotations

import io
import logging
import string
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from plldb.diagnostic_log import (
    FORMAT,
    RedactingFilter,
    choose_screen_level,
    find_kept_log,
    keeping_log,
    logging_to,
    redact,
    shorten_ids,
)

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SESSION_ID = "0a1b2c3d-2222-4333-8444-5e6f708192a3"
TOKEN = "n3YV8mS1pJq0w_Hk-7xTzR5cLbD2fAeG9uXiKoQvWsM"
SIGNATURE = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
EVENT = "what somebody sent"
# Those that can be told by their shape.
SECRETS = [KEY_ID, SECRET, SESSION_ID]

logger = logging.getLogger("plldb.somewhere")


class TestRedaction:
    @pytest.mark.parametrize(
        ("text", "redacted"),
        [
            (f"session {SESSION_ID} is open", "session 0a1b2c3d is open"),
            (f"/sessions/{SESSION_ID}?stackName=app", "/sessions/0a1b2c3d?stackName=app"),
            (f"?sessionId={SESSION_ID}&x=1", "?sessionId=0a1b2c3d&x=1"),
            ("?sessionId=0123456789abcdef&x=1", "?sessionId=01234567…&x=1"),
            (f"?sessionId={SESSION_ID.upper()}", "?sessionId=0A1B2C3D"),
            (f"?refreshToken={TOKEN}&x=1", "?refreshToken=…&x=1"),
            (f"?refreshToken%3D{TOKEN}", "?refreshToken%3D…"),
            (f'{{"refreshToken": "{TOKEN}", "a": 1}}', '{"refreshToken": "…", "a": 1}'),
            (f"{{'PLLDB_TOKEN': '{TOKEN}'}}", "{'PLLDB_TOKEN': '…'}"),
            (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer …"),
            (f"sent 'bearer {TOKEN}'", "sent 'bearer …'"),
            (f"u?X-Amz-Signature={SIGNATURE}&y=1", "u?X-Amz-Signature=…&y=1"),
            (f"u?X-Amz-Security-Token=IQo%2F{TOKEN}&y=1", "u?X-Amz-Security-Token=…&y=1"),
            (f"'x-amz-security-token': 'IQo/{TOKEN}='", "'x-amz-security-token': '…'"),
            (
                f"X-Amz-Credential={KEY_ID}%2F20260101%2Feu-west-1",
                "X-Amz-Credential=AKIA…%2F20260101%2Feu-west-1",
            ),
            (
                f"Authorization: AWS4-HMAC-SHA256 Credential={KEY_ID}/x, Signature={SIGNATURE}",
                "Authorization: … Credential=AKIA…/x, Signature=…",
            ),
            (f"AWS_SECRET_ACCESS_KEY={SECRET}", "AWS_SECRET_ACCESS_KEY=…"),
            (f"aws_secret_access_key = {SECRET}", "aws_secret_access_key = …"),
            (f"secret_access_key='{SECRET}')", "secret_access_key='…')"),
            (f"it is {SECRET}, as it seems", "it is …, as it seems"),
            (f"token of STS {'IQoJb3JpZ2luX2VjE' * 20}==", "token of STS …"),
            ("http://user:hunter2@proxy:8080/x", "http://…@proxy:8080/x"),
        ],
    )
    def test_what_is_cut(self, text: str, redacted: str) -> None:
        assert redact(text) == redacted

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "calls go to http://127.0.0.1:4566 (us-east-1); profile: work (--profile)",
            "settings: /home/me/Projects/a-rather-long-name-of-a-folder/plldb.toml",
            "code of Greeter: sha256 " + SIGNATURE,
            "stack arn:aws:cloudformation:eu-west-1:123456789012:stack/app/0a1b2c3d",
            "commit 792bf07aa0a4bf7b3b4be1f3cbaf6ee3e5b3a1c9",
            "plldb-core-infrastructure-us-east-1-123456789012/plldb/layer-76d0c7ef1d368cd7.zip",
            "the token is renewed, and the signature is made again",
            "session 0a1b2c3d of stack app: ACTIVE → CLOSED",
        ],
    )
    def test_what_stays(self, text: str) -> None:
        assert redact(text) == text

    @given(before=st.text(), session_id=st.uuids(version=4), after=st.text())
    def test_no_session_id_is_whole_wherever_it_stands(
        self, before: str, session_id: uuid.UUID, after: str
    ) -> None:
        for one in (str(session_id), str(session_id).upper()):
            assert one not in redact(f"{before}{one}{after}")
            assert one not in shorten_ids(f"{before}{one}{after}")
            assert redact(f" {one} ") == f" {one[:8]} "

    @given(
        name=st.sampled_from(["token", "refreshToken", "X-Amz-Signature", "AWS_SESSION_TOKEN"]),
        between=st.sampled_from(["=", ": ", "': '", '": "', "%3D"]),
        value=st.text(string.ascii_letters + string.digits + "-_+/%.~", min_size=4),
        before=st.text(),
    )
    def test_no_value_of_a_secret_name(
        self, name: str, between: str, value: str, before: str
    ) -> None:
        assert redact(f"{before} {name}{between}{value}").endswith(f"{name}{between}…")

    @given(
        value=st.text(string.ascii_letters + string.digits + "/+", min_size=40, max_size=40).filter(
            lambda text: any(c.islower() for c in text) and any(c.isupper() for c in text)
        )
    )
    def test_no_secret_access_key(self, value: str) -> None:
        assert redact(f"key {value}.") == "key …."

    @given(
        parts=st.lists(
            st.sampled_from([*SECRETS, "token=", "sessionId=", "://", "@", "&", "'", "=", "a b"])
        )
    )
    def test_a_second_time_brings_nothing_back(self, parts: list[str]) -> None:
        """Each handler redacts the one record that they share."""
        once = redact(" ".join(parts))
        assert not [one for one in SECRETS if one in redact(once)]


@contextmanager
def log(level: int = logging.DEBUG) -> Iterator[io.StringIO]:
    """What a handler gets meanwhile."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    with logging_to(handler, level):
        yield stream


class TestRecords:
    @pytest.mark.parametrize(
        "arguments",
        [
            (f"opened {SESSION_ID}",),
            ("opened %s", SESSION_ID),
            ("opened %s", uuid.UUID(SESSION_ID)),
            ("opened %(id)s", {"id": SESSION_ID}),
            ("opened %s with %r", "it", {"id": SESSION_ID}),
        ],
    )
    def test_message_and_arguments_are_redacted(self, arguments: tuple[Any, ...]) -> None:
        with log() as stream:
            logger.info(*arguments)
        assert SESSION_ID not in stream.getvalue()
        assert SESSION_ID[:8] in stream.getvalue()

    def test_of_an_exception_there_is_where_it_was_raised_and_not_what_it_says(self) -> None:
        with log() as stream:
            try:
                _fail({"name": EVENT})
            except RuntimeError:
                logger.exception("it failed")
        text = stream.getvalue()
        assert "in _fail" in text
        assert "KeyError, raised here:" in text
        assert "RuntimeError, raised here:" in text
        assert EVENT not in text

    def test_of_a_group_there_is_each(self) -> None:
        with log() as stream:
            logger.info("they failed", exc_info=ExceptionGroup("x", [ValueError(), TypeError()]))
        assert "ValueError, raised here:" in stream.getvalue()
        assert "TypeError, raised here:" in stream.getvalue()

    def test_exceptions_that_led_to_each_other_are_told_once(self) -> None:
        one, other = ValueError(), TypeError()
        one.__cause__, other.__cause__ = other, one
        with log() as stream:
            logger.info("they failed", exc_info=one)
        assert stream.getvalue().count("ValueError, raised here:") == 1

    def test_a_call_whose_arguments_do_not_fit_harms_nobody(self) -> None:
        record = logging.LogRecord("plldb.x", logging.INFO, "", 0, f"{SESSION_ID} %d", ("x",), None)
        assert RedactingFilter().filter(record)
        assert record.getMessage() == "0a1b2c3d %d"

    def test_one_record_is_one_line_and_no_command_to_a_terminal(self) -> None:
        with log() as stream:
            logger.info("%s", "a\nINFO plldb: forged\x1b[2J")
        assert stream.getvalue() == ("INFO plldb.somewhere: a\\nINFO plldb: forged\\x1b[2J\n")

    @pytest.mark.parametrize("name", ["botocore.auth", "urllib3", "websockets.client", "plldbx"])
    def test_others_are_heard_if_something_is_wrong(self, name: str) -> None:
        """Whatever level they are set to: botocore's debug log holds headers and credentials."""
        other = logging.getLogger(name)
        other.setLevel(logging.DEBUG)
        try:
            with log() as stream:
                other.debug("headers")
                other.info("credentials")
                other.warning("retrying /sessions/%s", SESSION_ID)
        finally:
            other.setLevel(logging.NOTSET)
        assert stream.getvalue() == f"WARNING {name}: retrying /sessions/0a1b2c3d\n"

    def test_nothing_is_formatted_for_nobody(self) -> None:
        class Costly:
            def __str__(self) -> str:
                raise AssertionError("nobody wants to know")

        logger.debug("%s", Costly())
        with log(logging.INFO):
            logger.debug("%s", Costly())
        logger.debug("%s", Costly())

    def test_several_handlers_get_what_each_wants(self) -> None:
        with log(logging.DEBUG) as all_of_it, log(logging.INFO) as some:
            logger.debug("one")
            logger.info("%s", SESSION_ID)
        assert len(all_of_it.getvalue().splitlines()) == 2
        assert some.getvalue() == "INFO plldb.somewhere: 0a1b2c3d\n"


def _fail(event: dict[str, str]) -> None:
    try:
        event[event["name"]]
    except KeyError as error:
        raise RuntimeError(f"{event}") from error


@pytest.mark.parametrize(
    ("verbosity", "level"),
    [(0, logging.ERROR), (1, logging.INFO), (2, logging.DEBUG), (9, logging.DEBUG)],
)
def test_levels_by_verbosity(verbosity: int, level: int) -> None:
    assert choose_screen_level(verbosity) == level


class TestKeptLog:
    def test_nobody_else_can_read_it(self, tmp_path: Path) -> None:
        folder = tmp_path / "home" / "logs"
        with keeping_log(folder, "attach") as path:
            logger.debug("hello %s", SESSION_ID)
        assert path.parent == folder
        assert path.stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
        text = path.read_text("utf-8")
        assert "plldb.somewhere: hello 0a1b2c3d" in text
        assert SESSION_ID not in text

    def test_a_folder_that_others_could_read_is_closed_to_them(self, tmp_path: Path) -> None:
        folder = tmp_path / "logs"
        folder.mkdir(mode=0o755)
        with keeping_log(folder, "attach"):
            assert folder.stat().st_mode & 0o777 == 0o700

    def test_it_can_be_found_as_long_as_it_is_written(self, tmp_path: Path) -> None:
        assert find_kept_log() is None
        with keeping_log(tmp_path, "attach") as path:
            assert find_kept_log() == path
        assert find_kept_log() is None

    def test_those_of_the_last_runs_are_kept(self, tmp_path: Path) -> None:
        old = [f"attach-20260101-00000{number}-1.log" for number in range(8)]
        for name in [*old, f"{old[0]}.1", f"{old[7]}.1", "other-20250101-000000-1.log"]:
            (tmp_path / name).touch()
        with keeping_log(tmp_path, "attach") as path:
            pass
        expected = {*old[4:], f"{old[7]}.1", path.name, "other-20250101-000000-1.log"}
        assert {path.name for path in tmp_path.iterdir()} == expected

    def test_a_long_run_keeps_its_end(self, tmp_path: Path) -> None:
        with keeping_log(tmp_path, "attach", max_bytes=1000) as path:
            for number in range(100):
                logger.debug("message %d", number)
        files = sorted(tmp_path.iterdir())
        assert [one.name for one in files] == [path.name, f"{path.name}.1"]
        assert all(one.stat().st_mode & 0o777 == 0o600 for one in files)
        assert all(one.stat().st_size <= 1000 for one in files)
        assert "message 99\n" in path.read_text("utf-8")

    def test_it_is_never_written_through_a_link(self, tmp_path: Path) -> None:
        """Its name can be guessed: the time and the process are in it."""
        elsewhere = tmp_path / "elsewhere"
        with time_machine.travel(0, tick=False):
            with keeping_log(tmp_path / "logs", "attach") as path:
                pass
            path.unlink()
            path.symlink_to(elsewhere)
            with pytest.raises(OSError), keeping_log(tmp_path / "logs", "attach"):
                pass
        assert not elsewhere.exists()

    def test_text_that_is_none_does_no_harm(self, tmp_path: Path) -> None:
        with keeping_log(tmp_path, "attach") as path:
            logger.debug("half a character: %s", "\ud800")
        assert "half a character: \\ud800" in path.read_text("utf-8")


def test_a_line_begins_with_the_time() -> None:
    record = logging.LogRecord("plldb.x", logging.INFO, "", 0, "hello", None, None)
    line = logging.Formatter(FORMAT, "%H:%M:%S").format(record)
    assert line[2] == line[5] == ":"
    assert line.endswith("INFO    plldb.x: hello")
