"""What is configured for each environment."""

from __future__ import annotations

import pytest
from infrastructure.environments import read_environment


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_connections_are_refreshed_before_api_gateway_ends_them(name: str) -> None:
    environment = read_environment(name)
    assert environment.name == name
    assert 3600 <= environment.refresh_after_seconds <= 7200 - 300


def test_only_production_is_durable() -> None:
    assert not read_environment("dev").is_durable
    assert read_environment("prod").is_durable


def test_an_environment_that_there_is_not_is_named() -> None:
    with pytest.raises(ValueError, match="'prodution', but dev, prod"):
        read_environment("prodution")
