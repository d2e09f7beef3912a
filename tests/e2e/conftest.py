"""The world of the end-to-end tests, built once; at its end nothing of it may be left on the machine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.world import World, build, free_ports, is_free, processes


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    with ExitStack() as stack:
        # Short: a Unix socket's path has at most 107 bytes.
        folder = Path(tempfile.mkdtemp(prefix="shale-e2e-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        rpc, api, gateway = free_ports(3)
        built = build(stack, folder, (rpc, api, gateway))
        yield built
        built.client.call("agent", "stop")
        built.provider.call("provider", "down", "--end")
        assert built.daemon.gone() == 0, built.daemon.seen[-8:]
        built.provider.call("chain", "down")
        assert left(built) == {}


@pytest.fixture(scope="module")
def alone(world: World) -> World:
    """The world, where nothing of another module's leases is left to be settled with this one's."""
    for rental in world.client.json("ps"):
        world.client.json("end", rental["name"])
    world.provider.json("provider", "settle", "--now")
    return world


def left(world: World) -> dict[str, object]:
    """What is still there of a world that was ended."""
    found = {
        "containers": world.containers(),
        "networks": world.networks(),
        "mounts": world.mounts(),
        "gateway": [str(world.gateway)] if world.gateway.exists() else [],
        "processes": [Path(f"/proc/{pid}/cmdline").read_text() for pid in processes(world.folder)],
        "sockets": [str(path) for path in world.folder.rglob("*") if path.is_socket()],
        "ports": [port for port in world.ports if not is_free(port)],
    }
    return {name: value for name, value in found.items() if value}
