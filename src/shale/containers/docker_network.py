"""The bridge network of one provider's leases: made for the first, removed after the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiodocker.exceptions import DockerError

from shale.containers.docker_config import PROVIDER_LABEL, network_name
from shale.containers.docker_connection import Connection, engine_errors


class LeaseNetwork:
    """Tenants on it reach the world, not each other."""

    def __init__(self, provider: str, connection: Connection) -> None:
        self._provider = provider
        self._connection = connection
        self._lock = asyncio.Lock()
        self._starting = 0

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """The network exists, and stays while a container is being put on it."""
        taking = asyncio.create_task(self._take())
        try:
            await asyncio.shield(taking)
            yield
        finally:
            # Docker finishes a create whose caller has gone: it is awaited, so that tidy finds the network.
            await asyncio.wait({taking})
            if not taking.cancelled() and taking.exception() is None:
                self._starting -= 1

    async def tidy(self) -> None:
        """Remove the network if no container of the provider is left and none is being started."""
        docker = await self._connection.docker()
        async with self._lock:
            if self._starting:
                return
            with engine_errors("list containers"):
                labels = [f"{PROVIDER_LABEL}={self._provider}"]
                if await docker.containers.list(all=1, filters={"label": labels}):
                    return
                for network in await docker.networks.list(filters={"label": labels[0]}):
                    try:
                        await (await docker.networks.get(network["Id"])).delete()
                    except DockerError as error:
                        if error.status not in (403, 404):  # somebody else's endpoint, or gone already
                            raise

    async def _take(self) -> None:
        async with self._lock:
            await self._ensure()
            self._starting += 1

    async def _ensure(self) -> None:
        docker = await self._connection.docker()
        name = network_name(self._provider)
        with engine_errors("make a network"):
            known = await docker.networks.list(filters={"label": f"{PROVIDER_LABEL}={self._provider}"})
            if any(network["Name"] == name for network in known):
                return
            await docker.networks.create(
                {
                    "Name": name,
                    "CheckDuplicate": True,
                    "Driver": "bridge",
                    "Labels": {PROVIDER_LABEL: self._provider},
                    "Options": {"com.docker.network.bridge.enable_icc": "false"},
                }
            )
