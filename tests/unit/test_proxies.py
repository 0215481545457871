"""No proxy is asked for what is on this machine."""

from __future__ import annotations

import os
from urllib.request import getproxies, proxy_bypass

import pytest

from plldb.proxies import exempt_loopback

PROXY = {"HTTPS_PROXY": "http://proxy.corp:3128"}


def test_without_a_proxy_nothing_is_set() -> None:
    assert exempt_loopback({}) == {}
    assert exempt_loopback({"HTTP_PROXY": "", "NO_PROXY": "a"}) == {}


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_what_is_exempt_stays_so(name: str) -> None:
    made = exempt_loopback(PROXY | {name: ".corp, 10.0.0.1,localhost"})
    assert made["NO_PROXY"] == made["no_proxy"]
    assert made["NO_PROXY"].startswith(".corp,10.0.0.1,localhost,127.0.0.1,")
    assert exempt_loopback(PROXY | made) == made


def test_if_everything_is_nothing_is_added() -> None:
    assert exempt_loopback(PROXY | {"NO_PROXY": "*"}) == {"NO_PROXY": "*", "no_proxy": "*"}


def test_pythons_own_programs_understand_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.corp:3128")
    for name, value in exempt_loopback(os.environ).items():
        monkeypatch.setenv(name, value)
    assert getproxies()["https"] == "http://proxy.corp:3128"
    for host in ("localhost", "127.0.0.1", "::1", "abc.execute-api.localhost.localstack.cloud"):
        assert proxy_bypass(host), host
    assert not proxy_bypass("example.com")
