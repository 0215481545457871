"""Proxies, as programs know them by their variables: loopback is never behind one.

There is no standard for these variables. Most programs know each in small and in capital letters;
where both are set, most take the small one: https://about.gitlab.com/blog/we-need-to-talk-no-proxy/
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

# https://docs.python.org/3/library/urllib.request.html#urllib.request.getproxies
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "WS_PROXY", "WSS_PROXY")
EXCEPTIONS = "NO_PROXY"
_ANY_ADDRESS = "0.0.0.0"  # nosec B104  # noqa: S104 (nobody listens: some call an emulator by it)
# The last one is a name of 127.0.0.1, which LocalStack and others like it go by. Some programs
# would want [::1] as well, others refuse to work with it.
_LOOPBACK = ("localhost", "127.0.0.1", "::1", _ANY_ADDRESS, "localhost.localstack.cloud")


def exempt_loopback(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables to set beside ``environ``, so that no proxy is asked for this machine.

    None, if no proxy is named, or if everything is exempt already.
    """
    if not any(environ.get(name) for proxy in PROXIES for name in (proxy, proxy.lower())):
        return {}
    exempt = environ.get(EXCEPTIONS.lower()) or environ.get(EXCEPTIONS) or ""
    hosts = [host.strip() for host in exempt.split(",") if host.strip()]
    if "*" not in hosts:
        hosts += [host for host in _LOOPBACK if host not in hosts]
    return dict.fromkeys((EXCEPTIONS, EXCEPTIONS.lower()), ",".join(hosts))


def find_websocket_proxy(url: str) -> str | None:
    """The proxy for a ``wss:`` URL, by this machine's settings, in the order that websockets has:

    https://websockets.readthedocs.io/en/stable/topics/proxies.html
    """
    parts = urlsplit(url)
    if proxy_bypass(f"{parts.hostname}:{parts.port or 443}"):
        return None
    proxies = getproxies()
    found = next((proxies[one] for one in ("wss", "socks", "https") if proxies.get(one)), None)
    if found is not None and found == proxies.get("socks") and found.startswith("http://"):
        # As macOS names one.
        return "socks5h" + found.removeprefix("http")
    return found
