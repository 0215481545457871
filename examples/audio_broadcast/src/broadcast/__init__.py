"""WebSocket sessions of a broadcast: one speaker, many listeners."""
