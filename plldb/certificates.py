"""Whose certificates are trusted: the same by all libraries that talk to the target.

By itself, boto3 takes AWS_CA_BUNDLE and the profile's ``ca_bundle``, requests takes
REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE, and OpenSSL, so that of the WebSocket as well, takes
SSL_CERT_FILE and SSL_CERT_DIR. A company names its certificates by one of them: it counts for all.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from plldb.errors import TargetError

_FILES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_FOLDERS = "SSL_CERT_DIR"
_CERTIFICATE = re.compile(
    rb"-----BEGIN (TRUSTED )?CERTIFICATE-----.+?-----END (TRUSTED )?CERTIFICATE-----", re.DOTALL
)


def collect_certificates(environ: Mapping[str, str], profile_bundle: str | None) -> bytes:
    """The certificates to trust, in PEM: those that are named; else certifi's and the system's.

    ``profile_bundle`` is the profile's ``ca_bundle``. Raises TargetError for what is named and
    can't be read, or has no certificate.
    """
    named = [(name, [environ[name]]) for name in _FILES if environ.get(name)]
    if folders := [path for path in environ.get(_FOLDERS, "").split(os.pathsep) if path]:
        named.append((_FOLDERS, folders))
    if profile_bundle:
        named.append(("the profile's ca_bundle", [profile_bundle]))
    found = [one for name, paths in named for one in _read_named(name, paths)]
    return b"\n".join(dict.fromkeys(found or _read_defaults())) + b"\n"


@lru_cache(maxsize=1)
def make_tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """For all but boto3, which makes the like of it from the same file; Python's own without one.

    One serves them all: reading hundreds of certificates takes tens of milliseconds.

    Python 3.13 refuses certificates that are not by the letter of RFC 5280, as those of companies
    may be; boto3 does not.
    """
    if ca_bundle is None:
        return ssl.create_default_context()
    context = ssl.create_default_context(cafile=ca_bundle)
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    return context


def _read_named(name: str, paths: list[str]) -> list[bytes]:
    """Of several folders, one at least has to have certificates."""
    found: list[bytes] = []
    problem = "has no certificate in PEM"
    for path in paths:
        try:
            found += _read_certificates(Path(path).expanduser())
        except OSError as error:
            problem = f"can't be read: {error.strerror}"
    if not found:
        raise TargetError(
            f"{name} is {os.pathsep.join(paths)}, which {problem}.",
            "Name a file, or a folder, with the certificates to trust, or unset it.",
        )
    return found


def _read_defaults() -> Iterator[bytes]:
    # With boto3: too slow to import for what has no use for it.
    import certifi

    yield from _read_certificates(Path(certifi.where()))
    paths = ssl.get_default_verify_paths()
    for path in filter(None, (paths.openssl_cafile, paths.openssl_capath)):
        with contextlib.suppress(OSError):
            yield from _read_certificates(Path(path))


def _read_certificates(path: Path) -> Iterator[bytes]:
    """Raises OSError for the path. In a folder, what can't be read is passed over: OpenSSL does so.

    Links whose files are gone are common there.
    """
    if not path.is_dir():
        yield from _find_certificates(path.read_bytes())
        return
    for file in sorted(path.iterdir()):
        with contextlib.suppress(OSError):
            yield from _find_certificates(file.read_bytes())


def _find_certificates(content: bytes) -> Iterator[bytes]:
    return (match[0] for match in _CERTIFICATE.finditer(content))
