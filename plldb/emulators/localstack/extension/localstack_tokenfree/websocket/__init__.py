"""The data plane of WebSocket APIs: sockets on one side, function calls on the other."""
