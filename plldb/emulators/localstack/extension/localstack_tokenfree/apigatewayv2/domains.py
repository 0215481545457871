"""What lies beside the APIs of a region: custom domain names with their mappings, VPC links.

https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/domainnames.html
"""

import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from .kinds import DEFAULT_STAGE, Record
from .refusals import BadRequestError, ConflictError, NotFoundError, UnsupportedError
from .store import STORE, ApiStore, new_id

NO_DOMAIN = "The domain name resource specified in the request was not found."
NO_MAPPING = "The api mapping resource specified in the request was not found."
MAPPINGS_ONLY = "API_MAPPING_ONLY"
DOMAIN_CONFIGURATION_DEFAULTS: Record = {
    "DomainNameStatus": "AVAILABLE",
    "EndpointType": "REGIONAL",
    "SecurityPolicy": "TLS_1_2",
}


class Region(NamedTuple):
    account_id: str
    name: str


class Served(NamedTuple):
    """What a custom domain's address leads to: a stage, and the rest of the path."""

    api_id: str
    stage: str
    path: str


@dataclass
class Domain:
    record: Record
    mappings: dict[str, Record] = field(default_factory=dict)

    def all(self) -> list[Record]:
        return list(self.mappings.values())


class DomainStore:
    """Domain names by region, as AWS keeps regional ones. Safe to call from any thread."""

    def __init__(self, apis: ApiStore) -> None:
        self._apis = apis
        self._domains: dict[tuple[Region, str], Domain] = {}
        self._lock = threading.RLock()

    def create(self, region: Region, request: Record) -> Record:
        name = request["DomainName"]
        _check_domain_name(name)
        _check_supported(request)
        with self._lock:
            if (region, name) in self._domains:
                raise ConflictError("The domain name you provided already exists.")
            record = {
                "MutualTlsAuthentication": {},
                "RoutingMode": MAPPINGS_ONLY,
                "Tags": {},
                **request,
                "ApiMappingSelectionExpression": "$request.basepath",
                "DomainNameArn": f"arn:aws:apigateway:{region.name}::/domainnames/{name}",
                "DomainNameConfigurations": _configurations(region, name, request),
            }
            self._domains[region, name] = Domain(record)
            return record

    def get(self, region: Region, request: Record) -> Record:
        return self._domain(region, request["DomainName"]).record

    def all(self, region: Region) -> list[Record]:
        with self._lock:
            return [
                domain.record for (there, _), domain in self._domains.items() if there == region
            ]

    def update(self, region: Region, request: Record) -> Record:
        _check_supported(request)
        with self._lock:
            domain = self._domain(region, request["DomainName"])
            changed = domain.record | request
            if "DomainNameConfigurations" in request:
                name = request["DomainName"]
                changed["DomainNameConfigurations"] = _configurations(region, name, request)
            domain.record = changed
            return changed

    def delete(self, region: Region, request: Record) -> None:
        with self._lock:
            self._domain(region, request["DomainName"])
            del self._domains[region, request["DomainName"]]

    def set_tags(self, region: Region, name: str, tags: dict[str, str]) -> None:
        with self._lock:
            domain = self._domain(region, name)
            domain.record = domain.record | {"Tags": tags}

    # mappings

    def create_mapping(self, region: Region, request: Record) -> Record:
        with self._lock:
            domain = self._domain(region, request["DomainName"])
            record = self._checked_mapping(domain, {"ApiMappingKey": "", **request}, None)
            record["ApiMappingId"] = new_id(6)
            domain.mappings[record["ApiMappingId"]] = record
            return record

    def get_mapping(self, region: Region, request: Record) -> Record:
        mapping = self._domain(region, request["DomainName"]).mappings.get(request["ApiMappingId"])
        if mapping is None:
            raise NotFoundError(NO_MAPPING)
        return mapping

    def list_mappings(self, region: Region, request: Record) -> list[Record]:
        with self._lock:
            return self._domain(region, request["DomainName"]).all()

    def update_mapping(self, region: Region, request: Record) -> Record:
        with self._lock:
            domain = self._domain(region, request["DomainName"])
            known = self.get_mapping(region, request)
            record = self._checked_mapping(domain, known | request, known["ApiMappingId"])
            domain.mappings[record["ApiMappingId"]] = record
            return record

    def delete_mapping(self, region: Region, request: Record) -> None:
        with self._lock:
            self.get_mapping(region, request)
            del self._domain(region, request["DomainName"]).mappings[request["ApiMappingId"]]

    def check_unmapped(self, api_id: str) -> None:
        """An API with mappings is not deleted.

        The message is in https://github.com/gruntwork-io/cloud-nuke/issues/370
        """
        with self._lock:
            mapped = [one["ApiId"] for each in self._domains.values() for one in each.all()]
        if api_id in mapped:
            raise BadRequestError(
                f"Deleting API {api_id} failed. Please remove all API mappings for the API from "
                "your custom domain names."
            )

    # for the data plane

    def has(self, host: str) -> bool:
        """Whether ``host`` is a domain name, or one that a wildcard stands for."""
        return bool(self._domains) and self._of_host(host) is not None

    def find(self, host: str, path: str) -> Served | None:
        """What ``https://HOST/path`` is mapped to: the longest key that the path begins with.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/
        rest-api-mappings-evaluation.html
        """
        with self._lock:
            domain = self._of_host(host)
            mappings = domain.all() if domain else []
        below = path.strip("/") + "/"
        for mapping in sorted(mappings, key=lambda one: -len(one["ApiMappingKey"])):
            key = mapping["ApiMappingKey"]
            if not key or below.startswith(f"{key}/"):
                return Served(mapping["ApiId"], mapping["Stage"], _without(path, key))
        return None

    def _of_host(self, host: str) -> Domain | None:
        """The domain of this very name; else of the wildcard ``*.`` before the rest of it, which
        stands for one label.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-custom-domains.html
        """
        name = host.lower()
        with self._lock:
            named = {key[1].lower(): domain for key, domain in self._domains.items()}
        return named.get(name) or named.get(f"*.{name.partition('.')[2]}")

    # internals

    def _domain(self, region: Region, name: str) -> Domain:
        domain = self._domains.get((region, name))
        if domain is None:
            raise NotFoundError(NO_DOMAIN)
        return domain

    def _checked_mapping(self, domain: Domain, record: Record, own_id: str | None) -> Record:
        key = record["ApiMappingKey"]
        _check_mapping_key(key)
        for other in domain.mappings.values():
            if other["ApiMappingKey"] == key and other["ApiMappingId"] != own_id:
                raise ConflictError(f"Api mapping with key {key or '(none)'} already exists")
        self._check_stage(record["ApiId"], record["Stage"])
        self._check_protocol(domain, record, own_id)
        return {name: value for name, value in record.items() if name != "DomainName"}

    def _check_protocol(self, domain: Domain, record: Record, own_id: str | None) -> None:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/
        websocket-api-mappings.html
        """
        apis = [record["ApiId"]]
        apis += [one["ApiId"] for key, one in domain.mappings.items() if key != own_id]
        found = [api for api in map(self._apis.find_api, apis) if api]
        if len({api["ProtocolType"] for api in found}) > 1:
            raise BadRequestError(
                "WebSocket APIs can't be mapped to the same domain name as other APIs"
            )

    def _check_stage(self, api_id: str, stage: str) -> None:
        if self._apis.find_api(api_id) is None:
            raise NotFoundError(
                "Invalid API identifier specified "
                "The resource specified in the request was not found."
            )
        if stage != DEFAULT_STAGE and not self._apis.has_stage(api_id, stage):
            raise BadRequestError(f"Invalid stage identifier specified {stage}")


class VpcLinkStore:
    """VPC links: kept and told, though no VPC lies behind them here."""

    def __init__(self) -> None:
        self._links: dict[tuple[Region, str], Record] = {}
        self._lock = threading.RLock()

    def create(self, region: Region, request: Record) -> Record:
        record = {
            "SecurityGroupIds": [],
            "Tags": {},
            **request,
            "CreatedDate": datetime.now(UTC),
            "VpcLinkId": new_id(6),
            "VpcLinkStatus": "AVAILABLE",
            "VpcLinkStatusMessage": "VPC link is ready to route traffic",
            "VpcLinkVersion": "V2",
        }
        with self._lock:
            self._links[region, record["VpcLinkId"]] = record
        return record

    def get(self, region: Region, request: Record) -> Record:
        link = self._links.get((region, request["VpcLinkId"]))
        if link is None:
            raise NotFoundError(f"Invalid VpcLink identifier specified {request['VpcLinkId']}")
        return link

    def all(self, region: Region) -> list[Record]:
        with self._lock:
            return [link for (there, _), link in self._links.items() if there == region]

    def update(self, region: Region, request: Record) -> Record:
        with self._lock:
            link = self.get(region, request) | request
            self._links[region, link["VpcLinkId"]] = link
            return link

    def delete(self, region: Region, request: Record) -> None:
        with self._lock:
            self.get(region, request)
            del self._links[region, request["VpcLinkId"]]

    def set_tags(self, region: Region, link_id: str, tags: dict[str, str]) -> None:
        self.update(region, {"VpcLinkId": link_id, "Tags": tags})


def _configurations(region: Region, name: str, request: Record) -> list[Record]:
    """As the request has them, with what the service adds: where the domain's alias points."""
    given = request.get("DomainNameConfigurations") or []
    return [
        {
            **DOMAIN_CONFIGURATION_DEFAULTS,
            "ApiGatewayDomainName": f"d-{name}.execute-api.{region.name}.amazonaws.com",
            "HostedZoneId": "Z1UJRXOUMOOFQ8",
            **configuration,
        }
        for configuration in given
    ]


def _check_supported(request: Record) -> None:
    """What can't be kept here is refused by name, not left open."""
    if (request.get("MutualTlsAuthentication") or {}).get("TruststoreUri"):
        raise UnsupportedError("MutualTlsAuthentication: this emulator asks no client who it is")
    if request.get("RoutingMode", MAPPINGS_ONLY) != MAPPINGS_ONLY:
        raise UnsupportedError("RoutingMode: this emulator has API mappings, but no routing rules")


def _check_domain_name(name: str) -> None:
    if not name.strip() or any(character.isspace() or character == "/" for character in name):
        raise BadRequestError(f"Invalid domain name specified: {name}")


def _check_mapping_key(key: str) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-mappings.html"""
    if key.startswith("/") or "//" in key:
        raise BadRequestError(
            "API mapping key should not start with a '/' or have consecutive '/'s."
        )
    if key.endswith("/"):
        raise BadRequestError("API mapping key should not end with a '/'.")
    if not re.fullmatch(r"[A-Za-z0-9$\-_.+!*'()/]{0,300}", key):
        raise BadRequestError(
            "API mapping key may have up to 300 characters: letters, numbers and $-_.+!*'()/"
        )


def _without(path: str, key: str) -> str:
    rest = "/" + path.lstrip("/")
    return (rest.removeprefix(f"/{key}") or "/") if key else rest


DOMAINS = DomainStore(STORE)
VPC_LINKS = VpcLinkStore()
