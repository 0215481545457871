"""What a resource is set to, and this emulator does not do: told when it is set."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from .kinds import INTEGRATION, STAGE, Record

LOG = logging.getLogger(__name__)


def tell_what_is_ignored(kind: str, record: Record, _api: object) -> None:
    """A warning for each such setting of a record that is about to be kept."""
    find_ignored = IGNORED.get(kind)
    name = record.get("StageName") or record.get("IntegrationId")
    for ignored in find_ignored(record) if find_ignored else ():
        LOG.warning("%s %s: %s", kind, name, ignored)


def _of_stage(record: Record) -> list[str]:
    routes = [
        record.get("DefaultRouteSettings") or {},
        *(record.get("RouteSettings") or {}).values(),
    ]
    return [
        *_told(
            any(_is_logged(route) for route in routes),
            "execution logs (LoggingLevel, DataTraceEnabled) are not written",
        ),
        *_told(
            any(route.get("DetailedMetricsEnabled") for route in routes),
            "metrics (DetailedMetricsEnabled) are not published",
        ),
        *_told(record.get("ClientCertificateId"), "the ClientCertificateId is not used"),
    ]


def _is_logged(route: Mapping[str, Any]) -> bool:
    return bool(route.get("DataTraceEnabled")) or route.get("LoggingLevel", "OFF") != "OFF"


def _of_integration(record: Record) -> list[str]:
    link = record.get("ConnectionType") == "VPC_LINK"
    uri = str(record.get("IntegrationUri") or "")
    return [
        *_told(
            link and uri.startswith("arn:"),
            f"there is no load balancer here behind {uri}, calls fail",
        ),
        *_told(
            link and not uri.startswith("arn:"),
            f"there is no VPC here, {uri} is called as this machine finds it",
        ),
        *_told(record.get("TlsConfig"), "the TlsConfig is not used"),
    ]


def _told(holds: object, text: str) -> list[str]:
    return [text] if holds else []


IGNORED: Mapping[str, Callable[[Record], list[str]]] = {
    STAGE.name: _of_stage,
    INTEGRATION.name: _of_integration,
}
