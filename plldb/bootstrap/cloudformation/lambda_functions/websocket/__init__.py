"""The WebSocket API: who may connect, what is sent, and by which words."""
