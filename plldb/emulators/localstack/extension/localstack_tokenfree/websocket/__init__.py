"""The data plane of WebSocket APIs: sockets on one side, function calls on the other."""


def install() -> None:
    """Serve connections and ``@connections`` on LocalStack's own port."""
    from localstack.services.edge import ROUTER

    from . import transport
    from .gateway import connect
    from .management import manage_connection

    transport.install()

    base = "/_aws/execute-api/<api_id>/<stage>"
    ROUTER.add(path=f"{base}/", endpoint=connect, methods=["WEBSOCKET"], strict_slashes=False)
    ROUTER.add(
        path=f"{base}/@connections/<connection_id>",
        endpoint=manage_connection,
        methods=["GET", "POST", "DELETE"],
    )
