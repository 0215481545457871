"""docker-compose.yml: emulators for whoever starts them with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from plldb.emulators.container import CONTEXT

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(
    (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
)["services"]
# The vendor's image brings its own.
BUILT_WITH_A_HEALTHCHECK = {"localstack-vendor"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_port_is_published_on_this_machine_only(name: str) -> None:
    """Whoever reaches an emulator runs code in it."""
    ports = SERVICES[name]["ports"]
    assert ports
    for port in ports:
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)
    assert SERVICES[name].get("network_mode") != "host"


def test_no_two_of_them_want_the_same_port() -> None:
    ports = [port.split(":")[1] for service in SERVICES.values() for port in service["ports"]]
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - BUILT_WITH_A_HEALTHCHECK))
def test_each_tells_whether_it_is_healthy_at_its_own_port(name: str) -> None:
    healthcheck = SERVICES[name]["healthcheck"]
    inside = SERVICES[name]["ports"][0].rpartition(":")[2]
    assert f"http://127.0.0.1:{inside}/_" in healthcheck["test"][-1]
    assert healthcheck["retries"]


def test_by_default_only_the_one_starts_that_needs_no_token() -> None:
    assert [name for name, one in SERVICES.items() if not one.get("profiles")] == ["localstack"]
    assert "LOCALSTACK_AUTH_TOKEN" not in SERVICES["localstack"]["environment"]


def test_it_is_built_from_what_plldb_builds_it_from() -> None:
    assert ROOT / SERVICES["localstack"]["build"]["context"] == CONTEXT
    dockerfile = (CONTEXT / "Dockerfile").read_text(encoding="utf-8")
    (default,) = re.findall(r"^ARG BASE_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
    argument = SERVICES["localstack"]["build"]["args"]["BASE_IMAGE"]
    assert argument == f"${{BASE_IMAGE:-{default}}}"
