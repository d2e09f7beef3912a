"""MemoryVolumes: datasets that are only names, with the rules of the port; it ships, and tests use it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shale.datasets.holding import Holding
from shale.datasets.volumes import Fault, OnFault
from shale.errors import Refused
from shale.units import Cid


class MemoryVolumes:
    """The port of volumes.py. `sources` says which root each source holds; None: any source holds any root."""

    def __init__(
        self, sources: Mapping[str, Cid] | None = None, mounted: dict[Cid, frozenset[str]] | None = None
    ) -> None:
        self.mounted = mounted if mounted is not None else {}
        """What outlives the daemon: give it to the next MemoryVolumes."""
        self.on_fault: OnFault = lambda fault: None
        self._sources = sources

    async def hold(self, holding: Holding, holder: str) -> Path:
        root = holding.root
        if root not in self.mounted and self._sources is not None:
            for source in holding.sources:
                if self._sources.get(source) != root:
                    raise Refused(f"{source} does not hold {root}", "add the dataset again")
        self.mounted[root] = self.mounted.get(root, frozenset()) | {holder}
        return self.place(root)

    async def release(self, root: Cid, holder: str) -> None:
        left = self.mounted.get(root, frozenset()) - {holder}
        if left:
            self.mounted[root] = left
        else:
            self.mounted.pop(root, None)

    async def holders(self) -> Mapping[Cid, frozenset[str]]:
        return dict(self.mounted)

    def place(self, root: Cid) -> Path:
        return Path("/volumes") / root

    async def close(self) -> None:
        return

    def die(self, root: Cid) -> None:
        """Let a mount die under its holders."""
        holders = self.mounted.pop(root)
        self.on_fault(Fault(root, "gone", "the dataset's mount has died", holders=holders))
