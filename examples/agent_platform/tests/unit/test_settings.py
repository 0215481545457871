"""What the environment's variables say."""

from __future__ import annotations

import pytest
from agent_platform.settings import Settings, read_service_key, read_settings


def test_without_variables_it_runs_in_memory() -> None:
    assert read_settings({}) == Settings()


def test_variables_are_read() -> None:
    environ = {
        "SESSION_STORE": "dynamodb",
        "SESSION_SECONDS": "60",
        "ALLOWED_ORIGINS": "https://a.example.com https://b.example.com",
    }
    assert read_settings(environ) == Settings(
        session_store="dynamodb",
        session_seconds=60,
        allowed_origins=("https://a.example.com", "https://b.example.com"),
    )


@pytest.mark.parametrize(
    "environ",
    [{"SESSION_STORE": "redis"}, {"SESSION_SECONDS": "0"}, {"MAX_JOBS": "-1"}, {"MAX_JOBS": ""}],
    ids=str,
)
def test_what_makes_no_sense_is_named(environ: dict[str, str]) -> None:
    (name,) = environ
    with pytest.raises(ValueError, match=name):
        read_settings(environ)


def test_the_service_key_is_a_variable_or_a_secret() -> None:
    secrets = {"arn": "kept", "empty": ""}.__getitem__
    assert read_service_key({"SERVICE_KEY": "given", "SERVICE_KEY_ARN": "arn"}, secrets) == "given"
    assert read_service_key({"SERVICE_KEY_ARN": "arn"}, secrets) == "kept"
    for none in ({}, {"SERVICE_KEY": ""}, {"SERVICE_KEY_ARN": "empty"}):
        with pytest.raises(ValueError, match="SERVICE_KEY"):
            read_service_key(none, secrets)
