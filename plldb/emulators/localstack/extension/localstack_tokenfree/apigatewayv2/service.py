"""The apigatewayv2 API of AWS over the store: one handler for each operation it covers."""

from collections.abc import Callable

from localstack.aws.api import CommonServiceException, RequestContext
from localstack.aws.skeleton import Skeleton
from localstack.aws.spec import load_service
from localstack.services.plugins import Service

from .kinds import KINDS, Kind, Record
from .refusals import ControlPlaneError
from .store import STORE, ApiStore

Handler = Callable[[RequestContext, Record], Record | None]


def create_service() -> Service:
    """Operations that the table lacks are answered with 501 by LocalStack."""
    skeleton = Skeleton(load_service("apigatewayv2"), dispatch_table(STORE))
    return Service("apigatewayv2", skeleton=skeleton)


def dispatch_table(store: ApiStore) -> dict[str, Handler]:
    table = _api_operations(store) | _tag_operations(store)
    for kind in KINDS:
        table |= _operations(store, kind)
    return {name: _with_aws_errors(handler) for name, handler in table.items()}


def _with_aws_errors(handler: Handler) -> Handler:
    def handle(context: RequestContext, request: Record | None) -> Record | None:
        try:
            return handler(context, dict(request or {}))
        except ControlPlaneError as error:
            raise CommonServiceException(error.code, str(error), error.status) from error

    return handle


def _operations(store: ApiStore, kind: Kind) -> dict[str, Handler]:
    return {
        f"Create{kind.name}": lambda _, request: store.create(kind, request),
        f"Get{kind.name}": lambda _, request: store.get(kind, request),
        f"Get{kind.collection}": lambda _, request: {"Items": store.list(kind, request)},
        f"Update{kind.name}": lambda _, request: store.update(kind, request),
        f"Delete{kind.name}": lambda _, request: store.delete(kind, request),
    }


def _api_operations(store: ApiStore) -> dict[str, Handler]:
    def update(_: RequestContext, request: Record) -> Record:
        return store.update_api(request.pop("ApiId"), request)

    return {
        "CreateApi": lambda context, request: store.create_api(
            context.account_id, context.region, request
        ),
        "GetApi": lambda _, request: store.get_api(request["ApiId"]),
        "GetApis": lambda context, _: {
            "Items": store.list_apis(context.account_id, context.region)
        },
        "UpdateApi": update,
        "DeleteApi": lambda _, request: store.delete_api(request["ApiId"]),
    }


def _tag_operations(store: ApiStore) -> dict[str, Handler]:
    def tag(_: RequestContext, request: Record) -> None:
        arn = request["ResourceArn"]
        store.set_tags(arn, store.tags(arn) | (request.get("Tags") or {}))

    def untag(_: RequestContext, request: Record) -> None:
        arn, gone = request["ResourceArn"], request["TagKeys"]
        store.set_tags(arn, {k: v for k, v in store.tags(arn).items() if k not in gone})

    return {
        "GetTags": lambda _, request: {"Tags": store.tags(request["ResourceArn"])},
        "TagResource": tag,
        "UntagResource": untag,
    }
