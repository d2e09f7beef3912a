"""Mounts: the port through which a lease sees its dataset as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from shale.units import Cid, LeaseId


class Mounts(Protocol):
    """At most one mounted dataset for each lease; mounts outlive the daemon and are found again.

    Errors: `Refused` when the dataset can't be mounted (no such file, broken, another root), `Unavailable` when it
    takes too long, `ConfigError` when this machine can't mount at all.
    """

    async def mount(self, lease: LeaseId, source: Path, root: Cid) -> Path:
        """Show the dataset `root` of the CAR `source`, and return the folder when it can be read.

        All or nothing. Mounting again what the lease has gives the same folder; another root is Refused.
        """
        ...

    async def unmount(self, lease: LeaseId) -> None:
        """Take it away with everything that was made for it; unmounting none is fine."""
        ...

    async def all(self) -> Sequence[LeaseId]:
        """The leases whose dataset can be read now. What a dead mount left behind is cleared away."""
        ...
