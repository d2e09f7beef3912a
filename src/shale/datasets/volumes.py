"""Volumes: the port through which containers see datasets as files: one mount for each copy, shared by its holders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol

from shale.datasets.holding import Holding
from shale.units import Cid

DATA, PROOFS = "data", "proofs"
"""The two folders of a mount: the dataset's files, and the blocks that prove them."""
MAX_HOLDER = 512
CHANGED = "a piece of the dataset has changed under its mount: each of its blocks is verified anew"
"""What a fault of the kind `changed` says to clients."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong in a mounted dataset; what it says of path, block and offset is printable and short.

    `kind` is `missing`, `corrupt` or `unreadable` for a block that could not be read truthfully (its reader got an
    error), `changed` for a piece that was written to, replaced or removed under its mount, `index` for an index
    that couldn't be used, so that the mount may show no proof of its piece, or `gone` for a mount that died: the
    files of its holders fail from then on. `sources` and `holders` are those of the mount.
    """

    root: Cid
    kind: str
    message: str
    path: str = ""
    cid: str = ""
    offset: int | None = None
    holders: frozenset[str] = frozenset()
    sources: tuple[str, ...] = ()

    @property
    def is_precise(self) -> bool:
        """Whether it is of a block that is known to be bad: one that changed, or can't be read now, may be whole."""
        return self.kind in ("corrupt", "missing")

    def __str__(self) -> str:
        if self.kind == "changed":  # the message names the provider's file, which concerns nobody else
            return CHANGED
        if self.offset is None:
            return self.message
        return f"dataset fault at {self.path or '/'}, offset {self.offset} of the piece: {self.kind} block"


OnFault = Callable[[Fault], None]


class Volumes(Protocol):
    """Mounted datasets by root. A holder is a text (a lease, a container); a dataset is mounted while it has one.

    A root may be mounted from several sources at once, each for the holders that asked for these: they are copies of
    one dataset, and one that has become unreadable under its holders is not what the next one wants.

    Holders are on the disk before a call returns; mounts outlive the daemon and are found again. No call waits for
    anything but the mount itself, so a container engine may ask while it serves a request of ours. Errors:
    `Refused` when the dataset can't be mounted (no such file, broken, another root), `Unavailable` when it takes too
    long, `ConfigError` when this machine can't mount at all.
    """

    on_fault: OnFault
    """Told of each fault, also of those that happened while no daemon ran; it must not block."""

    async def hold(self, holding: Holding, holder: str) -> Path:
        """Mount the dataset from its sources, if it isn't, for this holder too; the folder with `data` and `proofs`.

        All or nothing; holding again gives the same folder.
        """
        ...

    async def release(self, root: Cid, holder: str) -> None:
        """This holder needs the dataset no more; the last one's release unmounts it. Releasing nothing is fine."""
        ...

    def look_anew(self, root: Cid, sources: tuple[str, ...]) -> None:
        """The sources were checked and are sound: their mount, if there is one, takes up those that were replaced.

        It verifies each block again, and tells of its faults again.
        """
        ...

    async def holders(self) -> Mapping[Cid, frozenset[str]]:
        """The datasets that can be read now, and by whom. A dead mount is cleared away, and told of as a fault."""
        ...

    def place(self, root: Cid) -> Path:
        """The folder that `hold` gives for this root, mounted or not; of several copies, of one that is mounted."""
        ...

    async def close(self) -> None:
        """Listen no more; the mounts live on for the next daemon."""
        ...


def names_of(root: Cid) -> Iterator[str]:
    """The names of the places that mounts of a root get: of a second copy, and of each further one, with its number."""
    yield root
    for number in count(1):
        yield f"{root}.{number}"


async def release_everywhere(volumes: Volumes, holder: str) -> None:
    """Release what this holder has, whichever datasets these are: they may have left the catalogue since."""
    for root, holders in (await volumes.holders()).items():
        if holder in holders:
            await volumes.release(root, holder)
