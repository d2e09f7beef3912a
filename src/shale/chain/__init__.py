"""Chain: the port (chain.py), the FVM adapter over JSON-RPC, the desk's own node, and an in-memory adapter."""
