"""Chain: the port (chain.py), the FVM adapter over JSON-RPC, the desk's own node, an in-memory adapter."""
