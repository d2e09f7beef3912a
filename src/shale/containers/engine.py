"""Engine: the port through which leases get their containers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

from shale.market.resources import Resources
from shale.units import LeaseId


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path shown read-only at `target` in the container."""

    source: Path
    target: str


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of the engine's driver `driver`, shown read-only at `target` in the container."""

    name: str
    driver: str
    target: str


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What to start.

    `guest` is the folder with Shale's static SSH server, shown read-only as /.shale/bin. `keys` is the
    lease's folder with `host_key` and `authorized_keys` (and, if wanted, `environment` and `motd`), copied to
    /.shale/keys when the container is made. `gpus` are UUIDs to hand over. `name` becomes the host name.
    """

    lease: LeaseId
    name: str
    image: str
    resources: Resources
    guest: Path
    keys: Path
    mounts: tuple[Mount, ...] = ()
    volumes: tuple[Volume, ...] = ()
    gpus: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


class ContainerState(Enum):
    RUNNING = "running"
    PAUSED = "paused"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Container:
    """A container that exists; its SSH server listens at `address` and `port`, seen from the gateway."""

    lease: LeaseId
    state: ContainerState
    address: str
    port: int
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time used since the start in nanoseconds, memory in use and its limit in bytes."""

    cpu_nanos: int
    memory_bytes: int
    memory_limit: int


class Engine(Protocol):
    """Containers by lease: at most one each, found again by labels after a restart of anybody.

    Errors: `Refused` when the engine says no (unknown image, bad request), `Unavailable` when it doesn't
    answer, `ConfigError` when there is no engine; a container that isn't there is `Closed`.
    """

    async def check(self) -> str:
        """The engine's name and version, or ConfigError that says how to get one."""
        ...

    async def image_digest(self, image: str) -> str:
        """The image's id if it is present; Refused that names the images at hand if it isn't."""
        ...

    async def start(self, spec: ContainerSpec) -> Container:
        """Create and start it, and return when its SSH server accepts connections.

        All or nothing: a failure leaves no container behind. Starting a lease that already has one returns
        that one as it is, frozen or exited too. Refused carries the container's last line.
        """
        ...

    async def find(self, lease: LeaseId) -> Container:
        """The lease's container as it is now, or Closed."""
        ...

    async def all(self) -> list[Container]:
        """Every container that carries this provider's label."""
        ...

    async def freeze(self, lease: LeaseId) -> None:
        """Stop its processes where they are; freezing a frozen one does nothing."""
        ...

    async def thaw(self, lease: LeaseId) -> None:
        """Let them go on; thawing a running one does nothing."""
        ...

    async def usage(self, lease: LeaseId) -> Usage:
        """What it uses now, frozen or not; Closed when it has exited."""
        ...

    async def remove(self, lease: LeaseId, volumes: Sequence[str] = ()) -> None:
        """Stop and remove it with everything it made; removing none is fine.

        The engine also forgets the container's volumes, and those that are named (it may have been removed by hand),
        unless another container has them; what they show is their driver's and stays.
        """
        ...

    async def volumes_in_use(self, driver: str) -> frozenset[str]:
        """The names of a driver's volumes that any container has, whoever's it is, unless it has exited."""
        ...

    async def wait_exit(self, lease: LeaseId) -> int:
        """Return its exit code when it has exited (an event, not a poll); at once if it has already."""
        ...

    async def close(self) -> None:
        """Let go of the connection to the engine; containers live on."""
        ...
