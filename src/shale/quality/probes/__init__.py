"""Built-in probes, each a plugin module of its own."""
