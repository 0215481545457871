"""The CloudFormation type ``AWS::Route53::RecordSetGroup``, which LocalStack 4.14 lacks.

SAM makes one for a domain with ``Route53``.
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/
aws-resource-route53-recordsetgroup.html
"""

import uuid
from typing import Any

from localstack.services.cloudformation.resource_provider import (
    OperationStatus,
    ProgressEvent,
    ResourceProvider,
    ResourceRequest,
)

Record = dict[str, Any]


class RecordSetGroupProvider(ResourceProvider):
    TYPE = "AWS::Route53::RecordSetGroup"
    SCHEMA: dict[str, Any] = {
        "typeName": TYPE,
        "primaryIdentifier": ["/properties/Id"],
        "createOnlyProperties": ["/properties/HostedZoneId", "/properties/HostedZoneName"],
        "readOnlyProperties": ["/properties/Id"],
    }

    def create(self, request: ResourceRequest) -> ProgressEvent:
        group = f"{request.stack_name}-{request.logical_resource_id}-{uuid.uuid4().hex[:12]}"
        model = {**request.desired_state, "Id": group}
        _change(request, "UPSERT", model, _records(model))
        return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)

    def update(self, request: ResourceRequest) -> ProgressEvent:
        before = request.previous_state or {}
        model = {**request.desired_state, "Id": before["Id"]}
        kept = [_key(record) for record in _records(model)]
        gone = [record for record in _records(before) if _key(record) not in kept]
        _change(request, "DELETE", before, gone)
        _change(request, "UPSERT", model, _records(model))
        return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)

    def delete(self, request: ResourceRequest) -> ProgressEvent:
        if request.desired_state.get("Id"):
            _change(request, "DELETE", request.desired_state, _records(request.desired_state))
        return ProgressEvent(OperationStatus.SUCCESS, resource_model={})


def _records(model: Record) -> list[Record]:
    return list(model.get("RecordSets") or [])


def _key(record: Record) -> tuple[Any, ...]:
    return record["Name"], record["Type"], record.get("SetIdentifier")


def _change(request: ResourceRequest, action: str, model: Record, records: list[Record]) -> None:
    """Each record may say its hosted zone, else the group does."""
    route53 = request.aws_client_factory.route53
    for record in records:
        zone = _zone(route53, record) or _zone(route53, model)
        change = {"Action": action, "ResourceRecordSet": _as_route53_has_it(record)}
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [change]})


def _zone(route53: Any, named: Record) -> str | None:
    if zone := named.get("HostedZoneId"):
        return str(zone)
    if name := named.get("HostedZoneName"):
        zones = route53.list_hosted_zones_by_name(DNSName=name, MaxItems="1")["HostedZones"]
        return next((zone["Id"] for zone in zones if zone["Name"] == name), None)
    return None


def _as_route53_has_it(record: Record) -> Record:
    """Templates list values, and may have numbers as texts."""
    ours = ("HostedZoneId", "HostedZoneName", "Comment", "ResourceRecords", "AliasTarget")
    shown = {name: value for name, value in record.items() if name not in ours}
    for number in ("TTL", "Weight"):
        if number in shown:
            shown[number] = int(shown[number])
    if values := record.get("ResourceRecords"):
        shown["ResourceRecords"] = [{"Value": str(value)} for value in values]
    if alias := record.get("AliasTarget"):
        evaluated = str(alias.get("EvaluateTargetHealth", False)).lower() == "true"
        shown["AliasTarget"] = {**alias, "EvaluateTargetHealth": evaluated}
    return shown
