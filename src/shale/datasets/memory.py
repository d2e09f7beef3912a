"""MemoryVolumes: datasets that are only names, with the rules of the port; it ships, and tests use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from shale.datasets.holding import Holding
from shale.datasets.volumes import Fault, OnFault, names_of
from shale.errors import Refused
from shale.units import Cid

_FOLDER = Path("/volumes")


@dataclass(frozen=True, slots=True)
class Mounted:
    """One mount: of these sources, for these holders."""

    root: Cid
    sources: tuple[str, ...]
    holders: frozenset[str]


class MemoryVolumes:
    """The port of volumes.py. `sources` says which root each source holds; None: any source holds any root."""

    def __init__(self, sources: Mapping[str, Cid] | None = None, mounted: dict[str, Mounted] | None = None) -> None:
        self.mounted = mounted if mounted is not None else {}
        """By place. What outlives the daemon: give it to the next MemoryVolumes."""
        self.on_fault: OnFault = lambda fault: None
        self._sources = sources

    async def hold(self, holding: Holding, holder: str) -> Path:
        root, sources = holding.root, holding.sources
        for name, mount in self.mounted.items():
            if (mount.root, mount.sources) == (root, sources):
                self.mounted[name] = replace(mount, holders=mount.holders | {holder})
                return _FOLDER / name
        if self._sources is not None:
            for source in sources:
                if self._sources.get(source) != root:
                    raise Refused(f"{source} does not hold {root}", "add the dataset again")
        name = next(name for name in names_of(root) if name not in self.mounted)
        self.mounted[name] = Mounted(root, sources, frozenset({holder}))
        return _FOLDER / name

    async def release(self, root: Cid, holder: str) -> None:
        for name, mount in list(self.mounted.items()):
            if mount.root == root and holder in mount.holders:
                self.mounted[name] = replace(mount, holders=mount.holders - {holder})
                if not self.mounted[name].holders:
                    del self.mounted[name]

    def look_anew(self, root: Cid, sources: tuple[str, ...]) -> None:
        return

    async def holders(self) -> Mapping[Cid, frozenset[str]]:
        found: dict[Cid, frozenset[str]] = {}
        for mount in self.mounted.values():
            found[mount.root] = found.get(mount.root, frozenset()) | mount.holders
        return found

    def place(self, root: Cid) -> Path:
        return _FOLDER / next((name for name, mount in self.mounted.items() if mount.root == root), root)

    async def close(self) -> None:
        return

    def die(self, root: Cid) -> None:
        """Let the mounts of a dataset die under their holders."""
        for name, mount in list(self.mounted.items()):
            if mount.root == root:
                del self.mounted[name]
                message = "the dataset's mount has died"
                self.on_fault(Fault(root, "gone", message, holders=mount.holders, sources=mount.sources))
