"""The WebSocket sidecar: live samples to any number of viewers, each frame encoded once.

Belongs here: the protocol (without I/O), channels and their history, sessions, the hub, the server, a client.
Does not: where samples come from (a BatchSource is handed in) and what was stored (reads).
"""
