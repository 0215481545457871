"""Where the inspector listens: on this machine, and nowhere else."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import ip_address

from plldb.errors import SourceError, UsageError

HTTP_PORT = 80
_MAX_PORT = 65535


@dataclass(frozen=True)
class Address:
    """``host`` is an address of this machine's own, without brackets; port 0 is any free one."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        """As a browser writes it in URLs and in the header ``Host``: without HTTP's own port."""
        return str(self).removesuffix(f":{HTTP_PORT}")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str) -> Address:
    """``[HOST:]PORT``. Raises UsageError if it is neither, or if others could reach it."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal()) or int(port) > _MAX_PORT:
        raise UsageError(
            f"--inspect {text}: that has no port.",
            "Say --inspect alone, or give HOST:PORT, or PORT.",
        )
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if host.lower() == "localhost":
        host = "127.0.0.1"
    if not _is_of_this_machine(host):
        raise UsageError(
            f"--inspect {text}: the page listens on this machine alone. It shows events and "
            "answers, and runs code: whoever reached it could do so, too, and without TLS read the "
            "token on the way.",
            f"Leave the host out, and from another machine go through SSH: "
            f"ssh -L {port}:127.0.0.1:{port} THIS-MACHINE",
        )
    # As a browser spells it.
    return Address(ip_address(host).compressed, int(port))


def listen(address: Address) -> tuple[socket.socket, Address]:
    """A socket there, and where that is. Raises SourceError if it can't be had."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # As servers do: what the last one has left is no obstacle, and one that runs is.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise SourceError(
            f"The inspector can't listen at {address}: {error.strerror}.",
            "Choose another port, or any that is free: --inspect",
        ) from None
    return listener, Address(address.host, listener.getsockname()[1])


def _is_of_this_machine(host: str) -> bool:
    try:
        # No URL has the name of an interface behind it.
        return "%" not in host and ip_address(host).is_loopback
    except ValueError:
        # A name may be anybody's.
        return False
