"""MemoryMounts: datasets that are only names, with the rules of the port; it ships, and tests use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from shale.errors import Refused
from shale.units import Cid, LeaseId


class MemoryMounts:
    """The port of mount.py. `sources` says which root each file holds; None: any file holds any root."""

    def __init__(self, sources: Mapping[Path, Cid] | None = None, mounted: dict[LeaseId, Cid] | None = None) -> None:
        self.mounted = mounted if mounted is not None else {}
        """What outlives the daemon: give it to the next MemoryMounts."""
        self._sources = sources

    async def mount(self, lease: LeaseId, source: Path, root: Cid) -> Path:
        known = self.mounted.get(lease, root)
        if known != root:
            raise Refused(f"the lease has {known} mounted", "unmount it first")
        if self._sources is not None and self._sources.get(source) != root:
            raise Refused(f"{source} does not hold {root}", "add the dataset again")
        self.mounted[lease] = root
        return Path("/mounts") / lease[2:]

    async def unmount(self, lease: LeaseId) -> None:
        self.mounted.pop(lease, None)

    async def all(self) -> Sequence[LeaseId]:
        return list(self.mounted)
