"""A request as HTTP APIs see it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from ..websocket.events import values_by_name


def joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers with the lines of one name made one: https://www.rfc-editor.org/rfc/rfc9110#section-5.3
    and, of cookies, https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3
    """
    return {
        name: ("; " if name == "cookie" else ",").join(values)
        for name, values in values_by_name(headers).items()
    }


@dataclass(frozen=True)
class HttpRequest:
    """``path`` is percent-encoded as the client wrote it, and includes a named stage; ``query`` is
    the raw query string; header names are in lower case, one entry for each header line."""

    method: str
    path: str
    query: str = ""
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    source_ip: str = "127.0.0.1"
    protocol: str = "HTTP/1.1"
    path_parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def decoded_path(self) -> str:
        return unquote(self.path)

    def header_values(self) -> dict[str, list[str]]:
        return values_by_name(self.headers)

    def query_values(self) -> dict[str, list[str]]:
        return values_by_name(parse_qsl(self.query, keep_blank_values=True))

    def header(self, name: str) -> str | None:
        """All lines of one header joined, as API Gateway reads them; None without any."""
        return joined(self.headers).get(name.lower())

    def query_parameter(self, name: str) -> str | None:
        values = self.query_values().get(name)
        return ",".join(values) if values else None

    @property
    def cookies(self) -> list[str]:
        """``name=value`` of every cookie."""
        lines = self.header_values().get("cookie", [])
        return [cookie for line in lines for part in line.split(";") if (cookie := part.strip())]
