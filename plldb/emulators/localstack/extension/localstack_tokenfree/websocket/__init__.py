"""The data plane of WebSocket APIs: sockets on one side, function calls on the other."""


def install() -> None:
    """Handshakes get threads of their own. What is served where is ``execute_api``'s."""
    from . import transport

    transport.install()
