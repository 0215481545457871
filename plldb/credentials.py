"""Credentials of a profile, for plldb's own calls and for those of the code that it runs.

Botocore finds and renews them, in this process alone. Two things it does not do for a process that
runs for hours, and they are done here: it asks for an MFA code once only, and it reads a file that
other tools write anew once only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.config
import botocore.credentials
import botocore.exceptions as botocore_errors
import botocore.session

# Where tools such as saml2aws write temporary ones, again and again, without their end.
_OF_FILES = ("shared-credentials-file", "config-file")
_FILE_INTERVAL = timedelta(minutes=1)
# From here to their end, botocore renews credentials.
_AHEAD = timedelta(minutes=15)


@dataclass(frozen=True)
class Credentials:
    """``expires_at`` is in seconds since the epoch; None: that is not known, or it is never.

    Those of an IAM user are valid until somebody ends them, and have no ``session_token``.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    expires_at: float | None = None

    @property
    def are_lasting(self) -> bool:
        return not self.session_token and self.expires_at is None


class NobodyToAskError(botocore_errors.BotoCoreError):
    """An MFA code is needed, and ``reason`` there is nobody to be asked for it."""

    fmt = "an MFA code is needed, and {reason}"


def ask_nobody(_: str) -> str:
    raise EOFError


class _SingleTargetSession(botocore.session.Session):
    """A session all of whose clients call one target, whatever environment and profile say.

    That goes also for clients that botocore makes to find credentials, as for sts:AssumeRole.
    ``endpoint_url`` is None for AWS, where ``service_endpoints`` has those of single services; see
    ``ProfileEndpoints``. ``ask`` is given a question, and returns an MFA code.
    """

    def __init__(
        self,
        profile: str | None,
        endpoint_url: str | None,
        service_endpoints: Mapping[str, str],
        ask: Callable[[str], str],
    ) -> None:
        super().__init__(profile=profile)
        self._given = (profile, endpoint_url, service_endpoints, ask)
        self._endpoint_url = endpoint_url
        self._service_endpoints = service_endpoints
        self._ask = ask
        ignoring = botocore.config.Config(
            ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]  # the stubs lack it
        )
        self.set_default_client_config(ignoring)
        # As the AWS CLI reaches into the same provider, for its cache.
        provider = self.get_component("credential_provider").get_provider("assume-role")
        provider._prompter = self._ask_for_code

    def create_client(self, service_name: str, *arguments: Any, **options: Any) -> Any:
        if options.get("endpoint_url") is None:
            options["endpoint_url"] = self._find_endpoint(service_name)
        return super().create_client(service_name, *arguments, **options)

    def _find_endpoint(self, service_name: str) -> str | None:
        if self._endpoint_url is not None or not self._service_endpoints:
            return self._endpoint_url
        service_id = self.get_service_model(service_name).service_id.hyphenize()
        return self._service_endpoints.get(service_id.replace("-", "_"))

    def _ask_for_code(self, question: str) -> str:
        try:
            return self._ask(question)
        except EOFError as error:
            reason = str(error) or "nobody can be asked for it here."
            raise NobodyToAskError(reason=reason) from error


class ProfileSession(_SingleTargetSession):
    """The session of a target. All its clients share one object of credentials."""

    _sharing = threading.Lock()
    _shared: botocore.credentials.Credentials | None = None

    def get_credentials(self) -> botocore.credentials.Credentials | None:
        with self._sharing:
            if self._shared is None:
                self._shared = self._share(self._find())
            return self._shared

    def _share(
        self, found: botocore.credentials.Credentials | None
    ) -> botocore.credentials.Credentials | None:
        is_refreshable = isinstance(found, botocore.credentials.RefreshableCredentials)
        if found is not None and (is_refreshable or _is_written_anew(found)):
            return _RenewedCredentials(found, self._find)
        return found

    def _find(self) -> botocore.credentials.Credentials | None:
        """Looks for them from the start, in files as they are now."""
        session = _SingleTargetSession(*self._given)
        for name in ("region", "ca_bundle"):
            if value := self.instance_variables().get(name):
                session.set_config_variable(name, value)
        with _botocore_errors():
            return session.get_credentials()


class _RenewedCredentials(botocore.credentials.DeferredRefreshableCredentials):
    """Asks botocore's own for new ones, and finds them from the start where that is of no use.

    Botocore insists on others for each signature once theirs end within 10 minutes, and a code
    would be asked for each time. So it is told of the same ones until half of their time is over.
    """

    def __init__(
        self,
        found: botocore.credentials.Credentials,
        find: Callable[[], botocore.credentials.Credentials | None],
    ) -> None:
        super().__init__(self._renew, found.method)
        self._found = found
        self._find = find
        self._kept: dict[str, Any] = {}
        self._due = datetime.min.replace(tzinfo=UTC)

    @property
    def expiry(self) -> datetime | None:
        """None for those whose end nobody knows."""
        return _read_expiry(self._found)

    def _renew(self) -> dict[str, Any]:
        if datetime.now(UTC) >= self._due:
            self._kept = self._look_again()
        return self._kept

    def _look_again(self) -> dict[str, Any]:
        if self._kept and _is_written_anew(self._found):
            self._find_again()
        with _botocore_errors():
            frozen = self._freeze()
        now = datetime.now(UTC)
        expiry = self.expiry
        if expiry is None:
            self._due = now + _FILE_INTERVAL
            expiry = self._due + _AHEAD
        else:
            self._due = expiry - min(_AHEAD, (expiry - now) / 2)
        return {
            "access_key": frozen.access_key,
            "secret_key": frozen.secret_key,
            "token": frozen.token,
            "expiry_time": expiry.isoformat(),
            "account_id": getattr(frozen, "account_id", None),
        }

    def _freeze(self) -> botocore.credentials.ReadOnlyCredentials:
        try:
            return self._found.get_frozen_credentials()
        except botocore_errors.RefreshWithMFAUnsupportedError:
            self._find_again()
            return self._found.get_frozen_credentials()

    def _find_again(self) -> None:
        found = self._find()
        if found is None:
            raise botocore_errors.NoCredentialsError
        self._found = found


def freeze(credentials: botocore.credentials.Credentials) -> Credentials:
    """What they are now, or after they were renewed if they had to be."""
    frozen = credentials.get_frozen_credentials()
    known = credentials if isinstance(credentials, _RenewedCredentials) else None
    expiry = known.expiry if known else _read_expiry(credentials)
    return Credentials(
        frozen.access_key or "",
        frozen.secret_key or "",
        frozen.token or "",
        expiry.timestamp() if expiry else None,
    )


@contextmanager
def _botocore_errors() -> Iterator[None]:
    """A credential_process may be missing or answer nonsense: that becomes botocore's error."""
    try:
        yield
    except botocore_errors.BotoCoreError:
        # Some of them are of the kinds below as well.
        raise
    except (AttributeError, OSError, TypeError, ValueError) as error:
        raise botocore_errors.CredentialRetrievalError(
            provider="the profile", error_msg=str(error)
        ) from error


def _is_written_anew(credentials: botocore.credentials.Credentials) -> bool:
    return credentials.method in _OF_FILES and bool(credentials.token)


def _read_expiry(credentials: botocore.credentials.Credentials) -> datetime | None:
    """As the AWS CLI reads it for ``configure export-credentials``: there is no other way."""
    expiry: datetime | None = getattr(credentials, "_expiry_time", None)
    return expiry
