"""The kernel's dataset commands as typed calls: pack, commp, ls, cat, mount."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shale.datasets.run import Progress, Source, answer, events, run, source_text
from shale.errors import Unavailable
from shale.units import Cid


@dataclass(frozen=True, slots=True)
class Packed:
    """A directory as a CAR: its root, and the commitments to the piece (FRC-0058 v1, FRC-0069 v2)."""

    root: Cid
    piece: Cid
    piece_v2: Cid
    raw_size: int
    padded_size: int
    files: int


@dataclass(frozen=True, slots=True)
class Commitment:
    """The commitments to a file as a piece, its size in bytes, and padded."""

    v1: Cid
    v2: Cid
    raw_size: int
    padded_size: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A file (or symlink) of a dataset; `path` is relative to its root."""

    path: str
    type: str
    size: int
    cid: Cid


async def pack(folder: Path, out: Path, progress: Progress | None = None) -> Packed:
    """Write `folder` as a CAR, in one step, the same bytes each time. Raises Refused with the kernel's reason."""
    total = await asyncio.to_thread(_size_below, folder) if progress else 0
    raw = await answer(["pack", str(folder.absolute()), str(out.absolute()), "--json"], progress, total)
    return Packed(
        Cid(raw["root"]),
        Cid(raw["piece_cid"]),
        Cid(raw["piece_cid_v2"]),
        int(raw["raw_size"]),
        int(raw["padded_size"]),
        int(raw["files"]),
    )


async def commp(source: Source, progress: Progress | None = None) -> Commitment:
    """Commit to a source as a piece. Raises Refused with the kernel's reason."""
    raw = await answer(["commp", source_text(source), "--json"], progress)
    return Commitment(Cid(raw["v1"]), Cid(raw["v2"]), int(raw["raw_size"]), int(raw["padded_size"]))


async def ls(source: Source, root: Cid | None = None, *, timeout: float = 600.0) -> tuple[Listed, ...]:
    """Every file of a dataset, by path. Raises Refused, naming the offset, for a CAR that is broken."""
    arguments = ["ls", source_text(source), "--json"] + (["--root", root] if root else [])
    try:
        async with asyncio.timeout(timeout):
            raw = await answer(arguments)
    except TimeoutError:
        raise Unavailable(f"listing {source} took over {timeout:g} s", "try again") from None
    return tuple(Listed(str(e["path"]), str(e["type"]), int(e["size"]), Cid(e["cid"])) for e in raw)


async def cat(source: Source, path: str, root: Cid | None = None, *, out: int = 1) -> None:
    """Write a file of the dataset to the descriptor `out`, each block verified before any of it is written."""
    arguments = ["cat", source_text(source), *(["--root", root] if root else []), "--", path]
    await run(arguments, out=out, fine=(0, -signal.SIGPIPE))  # a reader such as head may have enough


async def mount(
    source: Source,
    folder: Path,
    root: Cid | None = None,
    *,
    verify: str = "first-touch",
    report: Callable[[Mapping[str, Any]], None],
) -> None:
    """Mount a dataset read-only at an existing folder until it is unmounted or this call is cancelled.

    `report` is told ``{"event": "ready"}`` and then of each fault: a block that is missing, corrupt or unreadable.
    """
    arguments = ["mount", "--source", source_text(source), "--dir", str(folder.absolute()), "--verify", verify]
    await events([*arguments, *(["--root", root] if root else [])], report)


def _size_below(folder: Path) -> int:
    """The bytes of the plain files below a folder, as far as they can be seen."""
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(base) / name).lstat().st_size
    return total
