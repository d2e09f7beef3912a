"""MemoryEngine: containers that are only values, with the rules of the port; it ships, and tests use it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace

from shale.containers.engine import Container, ContainerSpec, ContainerState, Usage
from shale.containers.spec import check_image, check_spec, port_of
from shale.errors import Closed, Refused
from shale.units import LeaseId

_KILLED = 137


class MemoryHost:
    """The machine that engines attach to: its images, and containers that outlive any engine."""

    def __init__(self, images: Iterable[str] = ("shale/base:latest",)) -> None:
        self.images = tuple(images)
        self.containers: dict[LeaseId, Container] = {}
        self.specs: dict[LeaseId, ContainerSpec] = {}
        self.owners: dict[LeaseId, str] = {}
        self._exits: dict[LeaseId, asyncio.Event] = {}

    def exit(self, lease: LeaseId, code: int) -> None:
        """Let the lease's container end by itself."""
        container = self.containers[lease]
        self.containers[lease] = replace(container, state=ContainerState.EXITED, address="", exit_code=code)
        self._exits[lease].set()

    def add(self, owner: str, spec: ContainerSpec) -> None:
        address = f"192.0.2.{len(self.containers) % 250 + 1}"  # RFC 5737: an address that nobody has
        self.containers[spec.lease] = Container(spec.lease, ContainerState.RUNNING, address, port_of(spec.lease))
        self.specs[spec.lease], self.owners[spec.lease] = spec, owner
        self._exits[spec.lease] = asyncio.Event()

    def drop(self, lease: LeaseId) -> None:
        if self.containers[lease].state is not ContainerState.EXITED:
            self.exit(lease, _KILLED)
        for table in (self.containers, self.specs, self.owners, self._exits):
            table.pop(lease)

    async def exited(self, lease: LeaseId) -> int:
        event, code = self._exits[lease], self.containers[lease].exit_code
        await event.wait()
        ended = self.containers.get(lease)
        final = ended.exit_code if ended is not None else code
        return _KILLED if final is None else final


class MemoryEngine:
    """The port of engine.py on a MemoryHost; `usage_of` is what `usage` tells for a lease, if set."""

    def __init__(self, provider: str = "memory", host: MemoryHost | None = None) -> None:
        self.host = host or MemoryHost()
        self.usage_of: dict[LeaseId, Usage] = {}
        self._provider = provider

    def __repr__(self) -> str:
        return f"MemoryEngine({self._provider!r}, {len(self.host.containers)} containers)"

    async def check(self) -> str:
        return "containers in memory"

    async def image_digest(self, image: str) -> str:
        check_image(image)
        if image not in self.host.images:
            at_hand = ", ".join(self.host.images) or "none"
            raise Refused(f"there is no image {image}", f"the provider has {at_hand}")
        return f"memory:{image}"

    async def start(self, spec: ContainerSpec) -> Container:
        check_spec(spec)
        if self.host.owners.get(spec.lease) == self._provider:
            return self.host.containers[spec.lease]
        await self.image_digest(spec.image)
        self.host.add(self._provider, spec)
        return self.host.containers[spec.lease]

    async def find(self, lease: LeaseId) -> Container:
        if self.host.owners.get(lease) != self._provider:
            raise Closed("the container is gone")
        return self.host.containers[lease]

    async def all(self) -> list[Container]:
        return [
            container for lease, container in self.host.containers.items() if self.host.owners[lease] == self._provider
        ]

    async def freeze(self, lease: LeaseId) -> None:
        await self._become(lease, ContainerState.PAUSED)

    async def thaw(self, lease: LeaseId) -> None:
        await self._become(lease, ContainerState.RUNNING)

    async def usage(self, lease: LeaseId) -> Usage:
        await self._living(lease)
        return self.usage_of.get(lease, Usage(0, 0, self.host.specs[lease].resources.memory_bytes))

    async def remove(self, lease: LeaseId, volumes: Sequence[str] = ()) -> None:
        if self.host.owners.get(lease) == self._provider:
            self.host.drop(lease)

    async def volumes_in_use(self, driver: str) -> frozenset[str]:
        living = [lease for lease, c in self.host.containers.items() if c.state is not ContainerState.EXITED]
        volumes = [volume for lease in living for volume in self.host.specs[lease].volumes]
        return frozenset(volume.name for volume in volumes if volume.driver == driver)

    async def wait_exit(self, lease: LeaseId) -> int:
        await self.find(lease)
        return await self.host.exited(lease)

    async def close(self) -> None:
        return

    async def _living(self, lease: LeaseId) -> Container:
        container = await self.find(lease)
        if container.state is ContainerState.EXITED:
            raise Closed("the container has exited")
        return container

    async def _become(self, lease: LeaseId, state: ContainerState) -> None:
        self.host.containers[lease] = replace(await self._living(lease), state=state)
