"""The status of a MOCK integration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_tokenfree.websocket.mock_status import NoStatusError, mock_status


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 200),
        ("\n", 200),
        ('{"statusCode": 404}', 404),
        ('{"statusCode": "404", "other": 1}', 404),
        ("{statusCode:200}", 200),
        ("{ statusCode: 200 }", 200),
        ("{'statusCode': 500, other: 1}", 500),
        ("{other: 1, statusCode: 201}", 201),
    ],
)
def test_status(text: str, status: int) -> None:
    assert mock_status(text) == status


@pytest.mark.parametrize("text", ["{}", "[]", "null", "x", "statusCode: 200", "{statusCode: x}"])
def test_no_status(text: str) -> None:
    with pytest.raises(NoStatusError):
        mock_status(text)


@given(st.text())
def test_any_text_has_a_status_or_none(text: str) -> None:
    try:
        assert mock_status(text) >= 0
    except NoStatusError:
        assert text.strip()
