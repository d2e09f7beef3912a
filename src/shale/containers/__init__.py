"""Containers: the port (engine.py) and its adapters: Docker, and an in-memory one that ships."""
