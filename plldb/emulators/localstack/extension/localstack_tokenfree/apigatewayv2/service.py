"""The apigatewayv2 API of AWS over the stores: one handler for each operation it covers."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from localstack.aws.api import CommonServiceException, RequestContext
from localstack.aws.skeleton import Skeleton
from localstack.aws.spec import load_service
from localstack.services.plugins import Service

from . import openapi
from .domains import DOMAINS, VPC_LINKS, DomainStore, Region, VpcLinkStore
from .kinds import KINDS, MODEL, ROUTE, STAGE, Kind, Record
from .model_sample import sample_template
from .pages import page
from .refusals import BadRequestError, ControlPlaneError, NotFoundError
from .shapes import check_request, from_query
from .store import STORE, ApiStore

Handler = Callable[[RequestContext, Record], Record | None]
Handlers = dict[str, Handler]


def create_service() -> Service:
    """Operations that the table lacks are answered with 501 and their name by LocalStack."""
    model = load_service("apigatewayv2")
    table = dispatch_table(STORE, DOMAINS, VPC_LINKS)
    served = {name: _at_the_edge(model, name, handler) for name, handler in table.items()}
    return Service("apigatewayv2", skeleton=Skeleton(model, served))


def dispatch_table(apis: ApiStore, domains: DomainStore, links: VpcLinkStore) -> Handlers:
    table = (
        _api_operations(apis, domains)
        | _import_operations(apis)
        | _setting_operations(apis)
        | _domain_operations(domains)
        | _link_operations(links)
        | _tag_operations(apis, domains, links)
    )
    for kind in KINDS:
        table |= _operations(apis, kind)
    return table


def _at_the_edge(model: Any, name: str, handler: Handler) -> Handler:
    """``handler`` for requests that the service's model allows; refusals in AWS's form."""
    shape = model.operation_model(name).input_shape
    clearing = name.startswith("Update")

    def handle(context: RequestContext, request: Record | None) -> Record | None:
        given = {k: v for k, v in (request or {}).items() if v is not None}
        given = from_query(shape, given)
        try:
            check_request(shape, given, clearing)
            return handler(context, given)
        except ControlPlaneError as error:
            raise CommonServiceException(error.code, str(error), error.status) from error

    return handle


def _region(context: RequestContext) -> Region:
    return Region(context.account_id, context.region)


def _in_region(operation: Callable[[Region, Record], Record | None]) -> Handler:
    return lambda context, request: operation(_region(context), request)


def _operations(store: ApiStore, kind: Kind) -> Handlers:
    return {
        f"Create{kind.name}": lambda _, request: store.create(kind, request),
        f"Get{kind.name}": lambda _, request: store.get(kind, request),
        f"Get{kind.collection}": lambda _, request: page(store.list(kind, request), request),
        f"Update{kind.name}": lambda _, request: store.update(kind, request),
        f"Delete{kind.name}": lambda _, request: store.delete(kind, request),
    }


def _api_operations(store: ApiStore, domains: DomainStore) -> Handlers:
    def create(context: RequestContext, request: Record) -> Record:
        return store.create_api(context.account_id, context.region, request)

    def update(_: RequestContext, request: Record) -> Record:
        return store.update_api(request.pop("ApiId"), request)

    def delete(_: RequestContext, request: Record) -> None:
        domains.check_unmapped(request["ApiId"])
        store.delete_api(request["ApiId"])

    def list_all(context: RequestContext, request: Record) -> Record:
        return page(store.list_apis(context.account_id, context.region), request)

    return {
        "CreateApi": create,
        "GetApi": lambda _, request: store.get_api(request["ApiId"]),
        "GetApis": list_all,
        "UpdateApi": update,
        "DeleteApi": delete,
        "DeleteCorsConfiguration": lambda _, request: store.without_field(
            request["ApiId"], "CorsConfiguration"
        ),
    }


def _import_operations(store: ApiStore) -> Handlers:
    def import_api(context: RequestContext, request: Record) -> Record:
        return store.import_api(context.account_id, context.region, _document(request))

    def reimport_api(_: RequestContext, request: Record) -> Record:
        return store.reimport_api(request["ApiId"], _document(request))

    return {
        "ExportApi": lambda _, request: {"body": export(store, request)},
        "ImportApi": import_api,
        "ReimportApi": reimport_api,
    }


def _document(request: Record) -> openapi.ImportedApi:
    base_path = request.get("Basepath", "ignore").lower()
    if base_path not in ("ignore", "prepend", "split"):
        raise BadRequestError("Invalid basepath specified. Must be one of [ignore, prepend, split]")
    imported = openapi.read(request["Body"], base_path)
    if request.get("FailOnWarnings") and imported.warnings:
        found = "".join(f"\n\t{warning}" for warning in imported.warnings)
        raise BadRequestError(f"Warnings found during import:{found}")
    return imported


def export(store: ApiStore, request: Record) -> bytes:
    """The OpenAPI document of an API, or of one of its stages."""
    if request["Specification"] != "OAS30":
        raise BadRequestError("Invalid specification specified. Must be one of [OAS30]")
    if request["OutputType"] not in ("JSON", "YAML"):
        raise BadRequestError("Invalid output type specified. Must be one of [JSON, YAML]")
    configuration = store.exported(request["ApiId"], request.get("StageName"))
    document = openapi.write(
        configuration.api,
        configuration.routes,
        configuration.integrations,
        configuration.authorizers,
        request.get("IncludeExtensions", True),
    )
    return openapi.as_text(document, request["OutputType"]).encode()


def _setting_operations(store: ApiStore) -> Handlers:
    """Operations on one part of a resource."""

    def delete_route_settings(_: RequestContext, request: Record) -> None:
        store.without_entry(STAGE, request, "RouteSettings", request["RouteKey"])

    def delete_request_parameter(_: RequestContext, request: Record) -> None:
        key = request["RequestParameterKey"]
        store.without_entry(ROUTE, request, "RequestParameters", key)

    def reset_cache(_: RequestContext, request: Record) -> None:
        store.reset_authorizers_cache(request["ApiId"], request["StageName"])

    def model_template(_: RequestContext, request: Record) -> Record:
        return {"Value": sample_template(store.get(MODEL, request)["Schema"])}

    return {
        "DeleteAccessLogSettings": lambda _, request: store.without(
            STAGE, request, "AccessLogSettings"
        ),
        "DeleteRouteRequestParameter": delete_request_parameter,
        "DeleteRouteSettings": delete_route_settings,
        "GetModelTemplate": model_template,
        "ResetAuthorizersCache": reset_cache,
    }


def _domain_operations(store: DomainStore) -> Handlers:
    def mappings(context: RequestContext, request: Record) -> Record:
        return page(store.list_mappings(_region(context), request), request)

    return {
        "CreateDomainName": _in_region(store.create),
        "GetDomainName": _in_region(store.get),
        "GetDomainNames": lambda context, request: page(store.all(_region(context)), request),
        "UpdateDomainName": _in_region(store.update),
        "DeleteDomainName": _in_region(store.delete),
        "CreateApiMapping": _in_region(store.create_mapping),
        "GetApiMapping": _in_region(store.get_mapping),
        "GetApiMappings": mappings,
        "UpdateApiMapping": _in_region(store.update_mapping),
        "DeleteApiMapping": _in_region(store.delete_mapping),
    }


def _link_operations(store: VpcLinkStore) -> Handlers:
    return {
        "CreateVpcLink": _in_region(store.create),
        "GetVpcLink": _in_region(store.get),
        "GetVpcLinks": lambda context, request: page(store.all(_region(context)), request),
        "UpdateVpcLink": _in_region(store.update),
        "DeleteVpcLink": _in_region(store.delete),
    }


class Tagged(NamedTuple):
    """The tags of a resource, and what keeps others in their place."""

    tags: Mapping[str, str]
    keep: Callable[[dict[str, str]], None]


def _tag_operations(apis: ApiStore, domains: DomainStore, links: VpcLinkStore) -> Handlers:
    """Tags of APIs, stages, domain names and VPC links, by ARN.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/arn-format-reference.html
    """

    def find(context: RequestContext, request: Record) -> Tagged:
        arn, region = request["ResourceArn"], _region(context)
        collection, _, name = arn.partition("::/")[2].partition("/")
        match collection:
            case "apis":
                return Tagged(apis.tags(arn), lambda tags: apis.set_tags(arn, tags))
            case "domainnames":
                found = domains.get(region, {"DomainName": name})
                return Tagged(found["Tags"], lambda tags: domains.set_tags(region, name, tags))
            case "vpclinks":
                found = links.get(region, {"VpcLinkId": name})
                return Tagged(found["Tags"], lambda tags: links.set_tags(region, name, tags))
        raise NotFoundError(f"Invalid resource ARN specified {arn}")

    def tag(context: RequestContext, request: Record) -> Record:
        found = find(context, request)
        found.keep({**found.tags, **(request.get("Tags") or {})})
        return {}

    def untag(context: RequestContext, request: Record) -> None:
        found, gone = find(context, request), request["TagKeys"]
        found.keep({k: v for k, v in found.tags.items() if k not in gone})

    return {
        "GetTags": lambda context, request: {"Tags": find(context, request).tags},
        "TagResource": tag,
        "UntagResource": untag,
    }
