"""The endpoints that AWS's own configuration names, read as the SDKs read it.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html

An SDK asks for the endpoint of one service at a time, and plldb and the code that it runs use
different services. What would send these to different places is refused, so that both always have
the same target.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import botocore.exceptions as botocore_errors
import botocore.session

from plldb.config import ProfileEndpoints, Setting
from plldb.errors import CredentialsError, TargetError

_VARIABLE = "AWS_ENDPOINT_URL_"
# plldb can't do without it, so one endpoint that serves this too is a whole emulator.
_INDISPENSABLE = "cloudformation"
_IGNORE = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true"


def find_profile_endpoints(profile: str | None, environ: Mapping[str, str]) -> ProfileEndpoints:
    """Where a profile, or without one AWS's own choice of it, sends calls.

    The variables for single services are taken if they name endpoints of AWS; for others, whoever
    selected the profile has decided otherwise: neither plldb nor its children follow them. Raises
    TargetError if the profile sends services to different places, or if it can't be understood.
    """
    return _Reader(profile, environ).read()


class _Reader:
    def __init__(self, profile: str | None, environ: Mapping[str, str]) -> None:
        self._session = botocore.session.Session(profile=profile)
        self._environ = environ
        self._name = profile or self._session.profile or "default"

    def read(self) -> ProfileEndpoints:
        try:
            scoped = self._session.get_scoped_config()
            is_ignored = self._session.get_config_variable("ignore_configured_endpoint_urls")
            of_services = self._read_services(scoped)
        except botocore_errors.ProfileNotFound:
            # Whoever needs its credentials says so.
            return ProfileEndpoints()
        except botocore_errors.BotoCoreError as error:
            raise CredentialsError(
                f"AWS's configuration can't be read: {error}", "Correct the file that it names."
            ) from error
        if is_ignored:
            return ProfileEndpoints()
        general = scoped.get("endpoint_url")
        if general is None and _are_one_emulator(of_services):
            general = next(iter(of_services.values()))
        if general is not None:
            return self._settle_emulator(general, of_services)
        return self._settle_aws(of_services)

    def _read_services(self, scoped: Mapping[str, Any]) -> dict[str, str]:
        name = scoped.get("services")
        if name is None:
            return {}
        sections = self._session.full_config.get("services", {})
        if name not in sections:
            raise TargetError(
                f"The profile {self._name} has services = {name}, but no [services {name}].",
                "Add that section to AWS's configuration, or take the line out.",
            )
        return {
            service: settings["endpoint_url"]
            for service, settings in sections[name].items()
            if isinstance(settings, dict) and settings.get("endpoint_url")
        }

    def _settle_emulator(self, url: str, of_services: Mapping[str, str]) -> ProfileEndpoints:
        if self._is_of_aws(url):
            raise TargetError(
                f"The profile {self._name} sends all calls to {url}, which serves one service.",
                "Name it for that service alone, in a [services …] section of the configuration.",
            )
        for service, other in of_services.items():
            if self._is_of_aws(other) or _place(other) != _place(url):
                raise self._make_refusal(service, other, f"the others to {url}")
        # An emulator serves them all at one address, whatever further names it has.
        return ProfileEndpoints(Setting(url, f"endpoint_url of the profile {self._name}"))

    def _settle_aws(self, of_services: Mapping[str, str]) -> ProfileEndpoints:
        for service, url in of_services.items():
            if not self._is_of_aws(url):
                raise self._make_refusal(service, url, "the others to AWS")
        services = {**of_services, **self._read_variables()}
        return ProfileEndpoints(None, services, self._list_ignored())

    def _read_variables(self) -> dict[str, str]:
        followed = {}
        for name, url in self._environ.items():
            if name.startswith(_VARIABLE) and self._is_of_aws(url):
                followed[name.removeprefix(_VARIABLE).lower()] = url
        return followed

    def _list_ignored(self) -> tuple[str, ...]:
        return tuple(
            name
            for name, url in sorted(self._environ.items())
            if name.startswith(_VARIABLE) and url and not self._is_of_aws(url)
        )

    def _make_refusal(self, service: str, url: str, others: str) -> TargetError:
        return TargetError(
            f"The profile {self._name} sends the calls of {service} to {url}, and {others}: plldb "
            "and the code that it runs would not have one target.",
            "Give the profile one endpoint_url for all services, or none; "
            f"or set {_IGNORE}, which takes none of them.",
        )

    def _is_of_aws(self, url: str) -> bool:
        """Whether it is below a domain of AWS, as the endpoints of VPCs and of FIPS are."""
        host = _host(url)
        partitions = self._session.get_component("data_loader").load_data("partitions")
        return any(
            host == suffix or host.endswith(f".{suffix}")
            for partition in partitions["partitions"]
            for suffix in (
                partition["outputs"]["dnsSuffix"],
                partition["outputs"]["dualStackDnsSuffix"],
            )
        )


def _are_one_emulator(of_services: Mapping[str, str]) -> bool:
    return _INDISPENSABLE in of_services and len({*of_services.values()}) == 1


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _place(url: str) -> tuple[str, int | None] | None:
    """By what one emulator is told from another: its port, or else its host."""
    try:
        parts = urlsplit(url)
        return ("", parts.port) if parts.port else (parts.hostname or "", None)
    except ValueError:
        return None
