"""The kernel's dataset commands as typed calls: pack, commp, index, ls, outline, cat, mount, materialise."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from shale.datasets.mountinfo import clear_dead
from shale.datasets.run import Progress, Source, answer, events, lines, run, source_text
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
    """A file, symlink or empty directory of a dataset; `path` is relative to its root, `target` is a symlink's."""

    path: str
    type: str
    size: int
    cid: Cid
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Top:
    """A top entry of a dataset: a file or symlink, or a directory, with a slash, and what is below it."""

    path: str
    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Outline:
    """A dataset in short: `size` bytes in `files`, its largest top entries, and path and size of its first files."""

    files: int
    size: int
    top: tuple[Top, ...]
    first: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class IndexedPiece:
    """One piece of a dataset: its commitments, its sizes in bytes and padded, and what its CAR is."""

    source: str
    v1: Cid
    v2: Cid
    raw_size: int
    padded_size: int
    format: str
    blocks: int


@dataclass(frozen=True, slots=True)
class Indexed:
    """A dataset whose index was made: `size` bytes in `files`; the root's block lies in `pieces[root_piece]`."""

    root: Cid
    size: int
    files: int
    pieces: tuple[IndexedPiece, ...]
    root_piece: int


@dataclass(frozen=True, slots=True)
class Materialised:
    """A dataset as a plain directory: `size` bytes in `files`, which symlinks are of too."""

    root: Cid
    files: int
    size: int


async def pack(folder: Path, out: Path, progress: Progress | None = None, *, force: bool = False) -> Packed:
    """Write `folder` as a CAR, in one step, the same bytes each time. Raises Refused with the kernel's reason.

    A file at `out` is replaced by `force` only.
    """
    total = await _size_below(folder) if progress else 0
    raw = await answer(["pack", _path(folder), _path(out), "--json", *(["--force"] if force else [])], progress, total)
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


async def index(
    sources: Sequence[Source], out: Path, root: Cid | None = None, progress: Progress | None = None
) -> Indexed:
    """Read the pieces of a dataset once, whole, hash every block, and write its index to `out`, in one step.

    Raises Refused, naming source, offset and CID, for a broken CAR, a block that isn't what its CID says, an unreadable
    range, or a root that is in no piece; what was at `out` is then as before.
    """
    arguments = ["index", *_pieces(sources[0], sources[1:], root), "--out", _path(out), "--verify-blocks", "--json"]
    raw = await answer(arguments, progress)
    pieces = tuple(
        IndexedPiece(
            source=str(p["source"]),
            v1=Cid(p["v1"]),
            v2=Cid(p["v2"]),
            raw_size=int(p["raw_size"]),
            padded_size=int(p["padded_size"]),
            format=str(p["format"]),
            blocks=int(p["blocks"]),
        )
        for p in raw["pieces"]
    )
    return Indexed(Cid(raw["root"]), int(raw["size"]), int(raw["files"]), pieces, int(raw["root_piece"]))


async def ls(
    source: Source,
    take: Callable[[list[Listed]], None],
    root: Cid | None = None,
    *,
    also: Sequence[Source] = (),
    index: Path | None = None,
    timeout: float = 600.0,
) -> None:
    """Hand every file, symlink and empty directory of a dataset to `take`, by path, some at a time.

    Raises Refused, naming the offset, for a CAR that is broken.

    `also` are the dataset's further pieces, in their order; `index` is taken if it is of them as they are now.
    """
    arguments = ["ls", *_pieces(source, also, root, index), "--lines"]
    await _within(timeout, source, lines(arguments, _listed, take))


async def outline(
    source: Source,
    root: Cid | None = None,
    *,
    also: Sequence[Source] = (),
    index: Path | None = None,
    top: int,
    first: int,
    timeout: float = 600.0,
) -> Outline:
    """A dataset in short, with at most `top` of its top entries and `first` of its files. Raises as `ls` does."""
    read: list[dict[str, Any]] = []
    arguments = ["outline", *_pieces(source, also, root, index), "--top", str(top), "--first", str(first)]
    await _within(timeout, source, lines(arguments, dict, read.extend))
    sums, *rest = read
    tops = tuple(Top(str(e["path"]), int(e["files"]), int(e["size"])) for e in rest if "files" in e)
    paths = tuple((str(e["path"]), int(e["size"])) for e in rest[len(tops) :])
    return Outline(int(sums["files"]), int(sums["size"]), tops, paths)


async def cat(
    source: Source,
    path: str,
    root: Cid | None = None,
    *,
    also: Sequence[Source] = (),
    index: Path | None = None,
    out: int = 1,
) -> None:
    """Write a file of the dataset to the descriptor `out`, each block verified before any of it is written."""
    arguments = ["cat", *_pieces(source, also, root, index), "--", path]
    await run(arguments, out=out, fine=(0, -signal.SIGPIPE))  # a reader such as head may have enough


async def mount(
    source: Source,
    folder: Path,
    root: Cid | None = None,
    *,
    also: Sequence[Source] = (),
    index: Path | None = None,
    proofs: bool = False,
    verify: str = "first-touch",
    report: Callable[[Mapping[str, Any]], None],
) -> None:
    """Mount a dataset read-only at an existing folder until it is unmounted or this call is cancelled.

    All users can read it; where this one may not let them, nobody but he can, unless it is with `proofs`.

    `report` is told ``{"event": "waiting"}`` for a server, ``{"event": "rebuilt"}`` if there was an index that
    could not be used, ``{"event": "alone"}``, ``{"event": "ready"}``, and then of each fault: a block that is
    missing, corrupt or unreadable, a source that has changed. However this process ends, killed too, the mount
    ends with it; and if the kernel's is killed, what it leaves mounted is detached. With `proofs` the dataset is at
    ``data`` in the folder, beside ``proofs``.
    """
    arguments = ["mount", *_pieces(source, also, root, index, first="--source"), "--dir", _path(folder)]
    try:
        await events(
            [*arguments, "--verify", verify, *(["--proofs"] if proofs else ["--alone"]), "--while-stdin"], report
        )
    finally:
        await asyncio.shield(clear_dead(folder))


async def materialise(
    source: Source,
    folder: Path,
    root: Cid | None = None,
    *,
    also: Sequence[Source] = (),
    index: Path | None = None,
    progress: Progress | None = None,
) -> Materialised:
    """Write a dataset as a new plain directory, verified, with the modes and times that it stores, in one step.

    Raises Refused, with nothing left behind, for a folder that exists, too little room, and a block that is missing,
    corrupt or unreadable.
    """
    arguments = ["materialise", *_pieces(source, also, root, index), "--json", "--", _path(folder)]
    raw = await answer(arguments, progress)
    return Materialised(Cid(raw["root"]), int(raw["files"]), int(raw["size"]))


async def _within(timeout: float, source: Source, work: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(timeout):
            await work
    except TimeoutError:
        raise Unavailable(f"listing {source} took over {timeout:g} s", "try again") from None


def _listed(raw: Any) -> Listed:
    return Listed(str(raw["path"]), str(raw["type"]), int(raw["size"]), Cid(raw["cid"]), raw.get("target"))


def _pieces(
    source: Source, also: Sequence[Source], root: Cid | None, index: Path | None = None, first: str | None = None
) -> list[str]:
    """What names a dataset, as arguments."""
    arguments = [*([first] if first else []), source_text(source)]
    for piece in also:
        arguments += ["--with", source_text(piece)]
    if root:
        arguments += ["--root", root]
    if index:
        arguments += ["--index", _path(index)]
    return arguments


def _path(path: Path) -> str:
    return str(path.absolute())


async def _size_below(folder: Path) -> int:
    """The bytes of the plain files below a folder, as far as they can be seen."""
    stop = Event()
    try:
        return await asyncio.to_thread(_summed, folder, stop)
    finally:
        stop.set()  # a thread can't be cancelled, and the program would wait for it


def _summed(folder: Path, stop: Event) -> int:
    total, folders = 0, [str(folder)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if stop.is_set():
                    return total
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    with suppress(OSError):
                        total += entry.stat(follow_symlinks=False).st_size
    return total
