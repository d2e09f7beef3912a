"""DockerEngine: leases' containers on one Docker Engine, through its HTTP API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from weakref import WeakValueDictionary

from aiodocker import Docker
from aiodocker.containers import DockerContainer
from aiodocker.exceptions import DockerError

from shale.containers.docker_config import (
    PROVIDER_LABEL,
    container_name,
    create_body,
    keys_archive,
)
from shale.containers.docker_connection import Connection, engine_errors, one_line
from shale.containers.docker_network import LeaseNetwork
from shale.containers.docker_ready import guest_listens, ssh_answers
from shale.containers.docker_views import container_from, is_half_made, usage_from, volumes_of
from shale.containers.docker_volumes import forget_volumes
from shale.containers.engine import Container, ContainerSpec, ContainerState, Usage
from shale.containers.spec import check_image
from shale.errors import Closed, ConfigError, Refused, ShaleError, Unavailable
from shale.units import LeaseId

_STOP_SECONDS = 3
"""How long a tenant's processes have between SIGTERM and SIGKILL when the lease is over."""
_NAMED_IMAGES = 8


class DockerEngine:
    """The port of engine.py on Docker. `provider` labels everything; `start_seconds` bounds a whole start."""

    def __init__(self, provider: str, *, url: str | None = None, start_seconds: float = 60.0) -> None:
        self._provider = provider
        self._start_seconds = start_seconds
        self._connection = Connection(url)
        self._network = LeaseNetwork(provider, self._connection)
        self._locks: WeakValueDictionary[LeaseId, asyncio.Lock] = WeakValueDictionary()
        self._limits_disk = True
        """Until the storage driver says that it cannot."""

    def __repr__(self) -> str:
        return f"DockerEngine({self._provider!r})"

    async def check(self) -> str:
        docker = await self._connection.docker()
        try:
            with engine_errors("tell its version"):
                info = await docker.system.info()
        except Unavailable as error:
            raise ConfigError(error.message, error.hint) from None
        filesystem = dict(info.get("DriverStatus") or []).get("Backing Filesystem", "")
        storage = f"{info['Driver']} on {filesystem}" if filesystem else str(info["Driver"])
        disk = "" if _may_limit_disk(info["Driver"], filesystem) else ", disk not limited"
        remapped = any("userns" in option for option in info.get("SecurityOptions") or [])
        users = "own user namespace" if remapped else "host's users"
        return f"Docker Engine {info['ServerVersion']} ({storage}{disk}; {users})"

    async def image_digest(self, image: str) -> str:
        docker = await self._connection.docker()
        check_image(image)
        with engine_errors("look for the image"):
            try:
                return str((await docker.images.inspect(image))["Id"])
            except DockerError as error:
                if error.status != 404:
                    raise
            names = sorted({tag for entry in await docker.images.list() for tag in entry["RepoTags"] or []})
        names = [name for name in names if "<none>" not in name]
        at_hand = ", ".join(names[:_NAMED_IMAGES]) + (", …" if len(names) > _NAMED_IMAGES else "")
        raise Refused(f"there is no image {image}", f"the provider has {at_hand or 'none'}")

    async def start(self, spec: ContainerSpec) -> Container:
        docker = await self._connection.docker()
        body = create_body(self._provider, spec, limit_disk=self._limits_disk)
        async with self._lock(spec.lease):
            existing = await self._existing(docker, spec.lease)
            if existing is not None:
                return existing
            await self.image_digest(spec.image)
            keys = await asyncio.to_thread(keys_archive, spec.keys)
            creating: asyncio.Task[DockerContainer] | None = None
            try:
                async with self._network.held():
                    creating = asyncio.create_task(self._create(docker, spec, body))
                    return await self._bring_up(docker, spec.lease, creating, keys)
            except BaseException:
                await asyncio.shield(self._undo(docker, spec.lease, creating))
                raise

    async def find(self, lease: LeaseId) -> Container:
        docker = await self._connection.docker()
        return container_from(await self._inspect(docker, lease))

    async def all(self) -> list[Container]:
        docker = await self._connection.docker()
        found = []
        with engine_errors("list containers"):
            filters = {"label": [f"{PROVIDER_LABEL}={self._provider}"]}
            for container in await docker.containers.list(all=1, filters=filters):
                with suppress(Closed), engine_errors("look at a container"):
                    found.append(container_from(await container.show()))
        return found

    async def freeze(self, lease: LeaseId) -> None:
        async with self._acting(lease, ContainerState.PAUSED, "freeze it") as container:
            await container.pause()

    async def thaw(self, lease: LeaseId) -> None:
        async with self._acting(lease, ContainerState.RUNNING, "thaw it") as container:
            await container.unpause()

    async def usage(self, lease: LeaseId) -> Usage:
        docker = await self._connection.docker()
        with engine_errors("measure the container"):
            # aiodocker's stats() has no one-shot, and without it Docker takes two samples a second apart.
            raw = await docker._query_json(
                f"containers/{container_name(self._provider, lease)}/stats",
                params={"stream": "0", "one-shot": "1"},
            )
        usage = usage_from(raw)
        if usage is None:
            raise Closed("the container has exited")
        return usage

    async def remove(self, lease: LeaseId, volumes: Sequence[str] = ()) -> None:
        docker = await self._connection.docker()
        async with self._lock(lease):
            forgotten = await self._discard(docker, lease, grace=_STOP_SECONDS)
            await forget_volumes(docker, [name for name in volumes if name not in forgotten])

    async def volumes_in_use(self, driver: str) -> frozenset[str]:
        docker = await self._connection.docker()
        with engine_errors("list containers"):
            filters = {"status": ["created", "running", "paused", "restarting", "removing"]}
            containers = await docker.containers.list(all=1, filters=filters)
            return frozenset(name for container in containers for name in volumes_of(container._container, driver))

    async def wait_exit(self, lease: LeaseId) -> int:
        docker = await self._connection.docker()
        with engine_errors("wait for the container"):
            ended = await self._handle(docker, lease).wait()
        return int(ended["StatusCode"])

    async def close(self) -> None:
        await self._connection.close()

    def _lock(self, lease: LeaseId) -> asyncio.Lock:
        return self._locks.setdefault(lease, asyncio.Lock())

    def _handle(self, docker: Docker, lease: LeaseId) -> DockerContainer:
        return docker.containers.container(container_name(self._provider, lease))

    async def _inspect(self, docker: Docker, lease: LeaseId) -> dict[str, Any]:
        with engine_errors("look at the container"):
            raw = await self._handle(docker, lease).show()
        if (raw["Config"]["Labels"] or {}).get(PROVIDER_LABEL) != self._provider:
            raise Closed("the container is gone")
        return raw

    async def _existing(self, docker: Docker, lease: LeaseId) -> Container | None:
        """The lease's container from before, answering if it runs; one never started is cleared away."""
        try:
            raw = await self._inspect(docker, lease)
        except Closed:
            return None
        if is_half_made(raw):
            await self._discard(docker, lease, grace=0)
            return None
        container = container_from(raw)
        if container.state is ContainerState.RUNNING:
            await self._until_ready(docker, container)
        return container

    async def _bring_up(
        self, docker: Docker, lease: LeaseId, creating: asyncio.Task[DockerContainer], keys: bytes
    ) -> Container:
        try:
            async with asyncio.timeout(self._start_seconds):
                with engine_errors("start the container", missing="the image or a part of the container is gone"):
                    created = await asyncio.shield(creating)
                    await _put(created, keys)
                    # Attached before the start: no line is missed.
                    async with created.attach(stdout=True, stderr=True) as output:
                        await created.start()
                        await guest_listens(output)
                    container = container_from(await created.show())
                await ssh_answers(container.address, container.port)
                return container
        except TimeoutError:
            last = await self._last_line(docker, lease)
            raise Refused(f"the container was not ready within {self._start_seconds:g} s", last) from None
        except OSError as error:
            raise Refused("the container's SSH server does not answer", one_line(error)) from None

    async def _undo(self, docker: Docker, lease: LeaseId, creating: asyncio.Task[DockerContainer] | None) -> None:
        """Leave nothing of a start that failed. Docker finishes a create whose caller has gone: it is awaited first."""
        if creating is not None:
            await asyncio.wait({creating})
            if not creating.cancelled():
                creating.exception()  # told already
        with suppress(ShaleError):
            await self._discard(docker, lease, grace=0)

    async def _create(self, docker: Docker, spec: ContainerSpec, body: dict[str, Any]) -> DockerContainer:
        try:
            return await docker.containers.create(body, name=container_name(self._provider, spec.lease))
        except DockerError as error:
            if "storage-opt" not in error.message or "StorageOpt" not in body["HostConfig"]:
                raise
        self._limits_disk = False
        body = create_body(self._provider, spec, limit_disk=False)
        return await docker.containers.create(body, name=container_name(self._provider, spec.lease))

    async def _until_ready(self, docker: Docker, container: Container) -> None:
        """For a container that runs already: mostly it answers, else its guest is just about to."""
        with suppress(OSError, Refused):
            return await ssh_answers(container.address, container.port)
        handle = self._handle(docker, container.lease)
        try:
            async with asyncio.timeout(self._start_seconds):
                with engine_errors("show the container's output"):
                    async with handle.attach(stdout=True, stderr=True, logs=True) as stream:
                        await guest_listens(stream)
                await ssh_answers(container.address, container.port)
        except (TimeoutError, OSError) as error:
            reason = one_line(error) or f"over {self._start_seconds:g} s"
            raise Refused("the container runs, but its SSH server does not answer", reason) from None

    async def _last_line(self, docker: Docker, lease: LeaseId) -> str:
        with suppress(ShaleError), engine_errors("show the container's output"):
            lines = await self._handle(docker, lease).log(stdout=True, stderr=True, tail=5)
            return one_line("".join(lines)) or "it said nothing"
        return "its output could not be read"

    async def _discard(self, docker: Docker, lease: LeaseId, *, grace: int) -> Sequence[str]:
        """Remove the container, whatever it does, and what was made for it; the volumes that the engine forgot."""
        try:
            raw = await self._inspect(docker, lease)
        except Closed:
            await self._network.tidy()
            return ()
        container = docker.containers.container(raw["Id"])
        with suppress(Closed), engine_errors("remove the container"):
            # A frozen one gets no grace: it would run unpaid.
            if grace and raw["State"]["Status"] == "running":
                await container.stop(t=grace)
            try:
                await container.delete(force=True, v=True)
            except DockerError as error:
                if error.status != 409:
                    raise
                await container.wait(condition="removed")  # somebody else is removing it
        volumes = volumes_of(raw)
        await forget_volumes(docker, volumes)
        await self._network.tidy()
        return volumes

    @asynccontextmanager
    async def _acting(self, lease: LeaseId, wanted: ContainerState, doing: str) -> AsyncIterator[DockerContainer]:
        """Do what brings the container to a state; Docker's refusal is fine if it is there already."""
        docker = await self._connection.docker()
        with engine_errors(doing):
            try:
                yield self._handle(docker, lease)
            except DockerError as error:
                if error.status not in (409, 500):
                    raise
                state = container_from(await self._inspect(docker, lease)).state
                if state is ContainerState.EXITED:
                    raise Closed("the container has exited") from None
                if state is not wanted:
                    raise


async def _put(container: DockerContainer, archive: bytes) -> None:
    untyped: Any = container  # aiodocker has no types for this one
    await untyped.put_archive("/", archive)


def _may_limit_disk(driver: str, filesystem: str) -> bool:
    """Whether the storage driver can: overlay2 needs XFS (with project quotas), btrfs and zfs always do."""
    return driver in ("btrfs", "zfs") or (driver == "overlay2" and filesystem == "xfs")
