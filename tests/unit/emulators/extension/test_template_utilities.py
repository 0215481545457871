"""``$util`` of mapping templates.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
api-gateway-mapping-template-reference.html#util-template-reference
"""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_tokenfree.websocket.template_utilities import (
    decoded_base64,
    is_of_many,
    with_single_quotes_escaped,
)


@pytest.mark.parametrize(
    ("encoded", "text"),
    [("aGk=", "hi"), ("aGk", "hi"), ("w6k=", "é"), ("Pz8/", "???"), ("Pz8_", "???"), ("", "")],
)
def test_decoding(encoded: str, text: str) -> None:
    assert decoded_base64(encoded) == text


@given(st.text())
def test_decoding_what_was_encoded(text: str) -> None:
    assert decoded_base64(base64.b64encode(text.encode()).decode()) == text


def test_single_quotes() -> None:
    assert with_single_quotes_escaped("""it's "it".""") == r"""it\'s "it"."""


@pytest.mark.parametrize(
    ("path", "many"),
    [
        ("$", False),
        ("$.a.b", False),
        ("$.a[0]", False),
        ("$.a[-1].b", False),
        ("$['a.*']['b..c']", False),
        ("$.a[*]", True),
        ("$.*", True),
        ("$..a", True),
        ("$.a[1:2]", True),
        ("$.a[?(@.b == 'c')]", True),
    ],
)
def test_paths_that_come_to_lists(path: str, many: bool) -> None:
    assert is_of_many(path) is many
