"""No secret gets into a recording, however deep it lies and whatever it is wrapped in."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.replay.masks import MASK, SECRET_KEYS, Masks

ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
SECRETS = st.text(ALPHABET, min_size=12, max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nabc=\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize("depth", [150, 500, 950, 3000])
def test_however_deep_it_is_it_is_masked(depth: int) -> None:
    value: Any = {"password": [{"a": "hunter22"}], "b": "is hunter22"}
    for _ in range(depth // 2):
        value = [{"a": value}]
    masked = Masks().apply(value)
    for _ in range(depth // 2):
        masked = masked[0]["a"]
    assert masked == {"password": [{"a": MASK}], "b": f"is {MASK}"}


@pytest.mark.parametrize("depth", range(940, 1010, 3))
def test_however_deep_the_json_in_a_text_is(depth: int) -> None:
    text = '{"a":' * depth + '{"password":"hunter22"}' + "}" * depth
    assert "hunter22" not in json.dumps(Masks().apply({"body": text}))


@st.composite
def secret_keys(draw: st.DrawFn) -> str:
    """Written in any of the ways in which keys are written."""
    word = draw(st.sampled_from([word for word in SECRET_KEYS if len(word) > 3]))
    before, after = (
        draw(st.sampled_from(["", "x-", "DB_", "my", "a."])),
        draw(st.sampled_from(["", "_1", "-v2", "Id"])),
    )
    style = draw(st.sampled_from([str.upper, str.lower, str.title]))
    return before + style(word) + after


@st.composite
def wrapped(draw: st.DrawFn, value: Any) -> Any:
    """In objects, lists, and JSON in strings."""
    for wrap in draw(st.lists(st.sampled_from(["dict", "list", "text", "base64"]), max_size=5)):
        match wrap:
            case "dict":
                value = {"other": draw(JSON), "inner": value}
            case "list":
                value = [draw(JSON), value]
            case "text":
                value = json.dumps(value)
            case "base64":
                value = base64.b64encode(json.dumps(value).encode()).decode()
    return value


@given(st.data(), secret_keys(), SECRETS)
def test_what_lies_under_a_secret_key_is_gone(data: st.DataObject, key: str, secret: str) -> None:
    inner = data.draw(wrapped(secret))
    value = data.draw(wrapped({key: inner, "said": f"got {secret}!"}))
    masked = json.dumps(Masks().apply(value))
    assert secret not in masked
    for word in masked.split('"'):
        assert secret.encode() not in _decoded(word)


def _decoded(text: str) -> bytes:
    """Through all its layers."""
    try:
        decoded = base64.b64decode(text, validate=True)
        inner = json.loads(decoded)
    except ValueError:
        return text.encode()
    pieces = json.dumps(inner).split('"')
    return decoded + b"".join(_decoded(piece) for piece in pieces if piece != text)


@given(st.data(), JSON)
def test_what_holds_no_secret_stays_as_it_is(data: st.DataObject, value: Any) -> None:
    value = data.draw(wrapped(value))
    assert repr(Masks().apply({"a": value})) == repr({"a": value})


@pytest.mark.parametrize("nothing", ["null", "true", '""', '{"a": null}', "[]"])
@pytest.mark.parametrize("key", ["TOKEN", "password"])
def test_json_in_a_text_has_nothing_masked_that_is_no_secret(key: str, nothing: str) -> None:
    text = f'{{"other": {{"{key}": {nothing}}}, "inputTokens": 5}}'
    assert Masks().apply({"body": text}) == {"body": text}


def test_json_in_a_text_stays_json() -> None:
    text = '{"password": ["hunter22", null], "token": null}'
    assert json.loads(Masks().apply(text)) == {"password": [MASK, None], "token": None}


def test_of_members_with_one_name_each_is_masked() -> None:
    text = '{"password": "hunter22", "a": "token=hunter33", "a": 1, "password": null}'
    masked = Masks().apply(text)
    assert "hunter" not in masked
    once = '{"a": "said", "a": "again", "b": 1}'
    assert Masks().apply(once) == once


@given(secret_keys(), SECRETS)
def test_in_forms_query_strings_and_logs(key: str, secret: str) -> None:
    texts = [
        urlencode({"a": 1, key: secret, "b": 2}),
        f"https://example.com/x?{key}={secret}&page=2",
        f"{key}: {secret}",
        f'connect({key}="{secret}")',
        str({"a": [{key: secret}]}),
        "truncated " + json.dumps({key: secret}),
        json.dumps({"a": 1, key: secret})[:-2],
        "truncated " + json.dumps(json.dumps({key: secret})),
    ]
    assert not [text for text in texts if secret in Masks().apply(text)]


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "key AKIAIOSFODNN7EXAMPLE is used",
        JWT,
        f"Bearer {JWT}",
        "Bearer abcdef012345",
        "Basic dXNlcjpodW50ZXIy",
        PEM,
        PEM[:60],
        "postgres://app:hunter2@db.internal/orders",
        "Authorization: Basic dXNlcjpodW50ZXIy",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    ],
)
def test_by_how_they_look(text: str) -> None:
    masked = Masks().apply({"deep": [{"text": text}]})["deep"][0]["text"]
    assert MASK in masked
    for part in ("AKIA", "eyJ", "abcdef0", "dXNlc", "MIIE", "hunter2", "ghp_"):
        assert part not in masked


@pytest.mark.parametrize(
    "text",
    ["x" * 300_000, "password" * 40_000, "-eyJaaaaa" * 30_000, 'token="' * 40_000, "://a" * 70_000],
    ids=lambda text: text[:9],
)
def test_long_texts_take_no_longer_than_they_are_long(text: str) -> None:
    began = time.monotonic()
    Masks().apply({"text": text})
    assert time.monotonic() - began < 20


def test_api_gateways_event() -> None:
    event = {
        "headers": {"Authorization": "Bearer abc.def", "accept": "*/*", "X-Api-Key": "k1"},
        "multiValueHeaders": {"Cookie": ["session=1", "b=2"]},
        "body": json.dumps({"user": "ada", "password": "p"}),
        "isBase64Encoded": False,
    }
    assert Masks().apply(event) == {
        "headers": {"Authorization": MASK, "accept": "*/*", "X-Api-Key": MASK},
        "multiValueHeaders": {"Cookie": [MASK, MASK]},
        "body": f'{{"user":"ada","password":"{MASK}"}}',
        "isBase64Encoded": False,
    }


def test_pairs_of_a_name_and_a_value() -> None:
    headers = [{"name": "Authorization", "value": "abc"}, {"name": "accept", "value": "*/*"}]
    masked = Masks().apply(headers)
    assert [header["value"] for header in masked] == [MASK, "*/*"]


def test_what_says_nothing_stays_and_numbers_that_count_do() -> None:
    value = {"token": None, "secret": False, "password": "", "maxTokens": 5, "token_id": 7}
    assert Masks().apply(value) == value | {"token_id": MASK}


def test_the_list_can_be_extended() -> None:
    masks = Masks(["card-number", r"/\b\d{3}-\d{2}-\d{4}\b/"])
    value = {"CardNumber": "4111", "note": "SSN 078-05-1120"}
    assert masks.apply(value) == {"CardNumber": MASK, "note": f"SSN {MASK}"}
