"""The event of an invocation: what counts as one, and samples that are as AWS makes them."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser import models
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from plldb.dev.event_input import read_event
from plldb.dev.sample_kinds import SAMPLE_KINDS
from plldb.errors import UsageError

HERE = Path()
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def no_stdin(_: int) -> bytes:
    raise AssertionError("nobody asked for it")


def read(given_: str | None, folder: Path = HERE, stdin: bytes = b"") -> bytes:
    return read_event(given_, None, folder, lambda limit: stdin[:limit])


class TestWhatIsGiven:
    def test_nothing_is_an_empty_object(self) -> None:
        assert read_event(None, None, HERE, no_stdin) == b"{}"

    @given(ANY_JSON.map(json.dumps))
    def test_json_is_passed_on_as_it_is(self, text: str) -> None:
        assert read(text) == text.encode()

    @pytest.mark.parametrize("text", ["1.50", "1e400", "12345678901234567890123", ' {"a": 1.0}\n'])
    def test_with_all_its_digits_and_spaces(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "event").write_text(text)
        assert read("event", tmp_path) == read("-", stdin=text.encode()) == text.encode()

    def test_a_file_is_in_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "event.json").write_bytes(b'\xef\xbb\xbf{"n\xc3\xa4me": 1}')
        assert read("event.json", tmp_path) == b'{"n\xc3\xa4me": 1}'

    def test_a_file_wins_over_what_could_be_json(self, tmp_path: Path) -> None:
        (tmp_path / "1").write_text('"from the file"')
        assert read("1", tmp_path) == b'"from the file"'
        assert read("2", tmp_path) == b"2"

    def test_6_mb_are_taken_and_not_more(self) -> None:
        text = b'"' + b"x" * (6 * 1024 * 1024 - 2) + b'"'
        assert read("-", stdin=text) == text
        with pytest.raises(UsageError, match="more than 6,291,456 bytes"):
            read("-", stdin=text + b" ")

    @pytest.mark.parametrize("device", ["/dev/zero", "/dev/full"])
    def test_what_has_no_end_is_not_read_to_its_end(self, device: str) -> None:
        with pytest.raises(UsageError, match="more than"):
            read(device)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ('{"a": }', "line 1, column 7"),
            ('{"a": NaN}', "NaN"),
            ("[1, 2", "column"),
            ("", "column 1"),
            ("[" * 200_000, "recursion|nested"),
        ],
    )
    def test_what_is_no_json_is_refused_and_where(self, text: str, reason: str) -> None:
        with pytest.raises(UsageError, match=f"stdin is no JSON: .*({reason})"):
            read("-", stdin=text.encode())

    def test_nor_is_what_is_no_utf8(self) -> None:
        with pytest.raises(UsageError, match="UTF-8"):
            read("-", stdin=b'"\xff"')

    def test_a_file_that_is_not_there_has_near_names(self, tmp_path: Path) -> None:
        (tmp_path / "order.json").touch()
        with pytest.raises(UsageError) as raised:
            read("ordr.json", tmp_path)
        assert str(tmp_path / "order.json") in (raised.value.hint or "")

    @pytest.mark.parametrize("name", [".", "x\0y", "a" * 5000])
    def test_nor_can_what_is_no_file_be_read(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError):
            read(name, tmp_path)


# --- Samples --------------------------------------------------------------------------------------

# What Powertools, which is AWS's own, takes such an event for.
MODELS: dict[str, type[BaseModel]] = {
    "apigw": models.APIGatewayProxyEventModel,
    "http": models.APIGatewayProxyEventV2Model,
    "sqs": models.SqsModel,
    "sns": models.SnsModel,
    "s3": models.S3Model,
    "dynamodb": models.DynamoDBStreamModel,
    "kinesis": models.KinesisDataStreamModel,
    "eventbridge": models.EventBridgeModel,
    "schedule": models.EventBridgeModel,
    "cognito": models.CognitoPreSignupTriggerModel,
    "websocket": models.APIGatewayWebSocketMessageEventModel,
    "alb": models.AlbModel,
}


def sample(kind: str) -> Any:
    return json.loads(read_event(None, kind, HERE, no_stdin))


class TestSamples:
    @pytest.mark.parametrize("kind", SAMPLE_KINDS)
    def test_each_is_what_its_service_sends(self, kind: str) -> None:
        MODELS[kind].model_validate(sample(kind))

    def test_digests_and_encoded_data_are_right(self) -> None:
        for record in sample("sqs")["Records"]:
            assert record["md5OfBody"] == hashlib.md5(record["body"].encode()).hexdigest()
        data = sample("kinesis")["Records"][0]["kinesis"]["data"]
        assert json.loads(base64.b64decode(data))["orderId"] == "4711"

    @pytest.mark.parametrize("kind", ["apigw", "http", "alb"])
    def test_requests_have_a_body_that_is_json(self, kind: str) -> None:
        assert json.loads(sample(kind)["body"])["orderId"] == "4711"
