"""Frames come out as they went in, however the pipe cuts them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.children.runtime.frames import FrameParser, encode_frame, make_error_report

Frame = tuple[dict[str, Any], str]

any_text = st.text(st.characters(exclude_categories=()))
any_frame = st.tuples(st.dictionaries(any_text, any_text | st.integers() | st.none()), any_text)


@given(st.lists(any_frame), st.integers(min_value=1, max_value=100))
def test_they_come_out_as_they_went_in(frames: list[Frame], step: int) -> None:
    data = b"".join(encode_frame(header, text) for header, text in frames)
    received: list[Frame] = []
    parser = FrameParser(lambda header, text: received.append((header, text)))
    for start in range(0, len(data), step):
        parser.feed(data[start : start + step])
    assert received == frames


def test_half_a_frame_is_none_yet() -> None:
    received: list[Frame] = []
    parser = FrameParser(lambda header, text: received.append((header, text)))
    data = encode_frame({"type": "end"})
    parser.feed(data[:-1])
    assert received == []
    parser.feed(data[-1:])
    assert received == [({"type": "end"}, "")]


def test_errors_have_the_shape_that_lambda_gives_them() -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html"""
    assert make_error_report("ValueError", "no", ["line"]) == {
        "errorType": "ValueError",
        "errorMessage": "no",
        "stackTrace": ["line"],
    }
