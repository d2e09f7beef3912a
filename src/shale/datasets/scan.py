"""Scan: what pieces lie at a place that a person names: a source, a CAR, an unsealed sector, a folder of any of them.

Names on disk are Lotus' and Curio's: `unsealed/s-t0MINER-SECTOR` is an unsealed sector, `piece/s-t00-ID` a file of a
piece park. Nothing is hashed here: what is found is a candidate, which its commitment then confirms.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shale.datasets import kernel, sources
from shale.datasets.naming import named_by_file, named_by_url
from shale.datasets.run import Progress, is_source, source_text
from shale.datasets.sources import Extent, Inspection
from shale.datasets.stamp import local_file
from shale.errors import Refused, ShaleError
from shale.units import Cid

MAX_ENTRIES = 10_000
"""Of one folder."""
MAX_PLACES = 1 << 16
"""Where the start of a piece is looked for in a sector: one read of 32 bytes each."""
MAX_WRONG = 64
"""Places of a sector that begin as a CAR does and hold none."""
SECONDS = 600.0
_INDEXES_AT_ONCE = 4
_SECTOR = re.compile(r"s-[tf]0([0-9]{1,18})-([0-9]{1,18})")
_FOLDERS = ("unsealed", "piece")
_LEAST = 128
_HEAD = 31


@dataclass(frozen=True, slots=True)
class Sought:
    """What is looked for in a sector: pieces that are claimed, by their padded sizes; with `others` any CAR too."""

    pieces: Mapping[Cid, int] = field(default_factory=dict)
    others: bool = True


Seek = Callable[[int, int], Awaitable[Sought]]
"""What to look for, by the numbers of miner and sector. Raises Refused for a sector that isn't to be looked into."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a source must be, as `by` ("its URL says"): one of `pieces`, CIDs of version 1 or 2. None: it may be any."""

    pieces: frozenset[Cid] = frozenset()
    by: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source that may hold a piece of a dataset, and what piece it must be."""

    source: str
    name: str
    expected: Expected = Expected()


@dataclass(frozen=True, slots=True)
class Skipped:
    """What can't be a dataset, why, and what to do; the reason names the offset where there is one."""

    source: str
    why: str
    hint: str = ""


@dataclass(slots=True)
class Scanned:
    """What was found."""

    candidates: list[Candidate] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


async def _anything(miner: int, sector: int) -> Sought:
    return Sought()


async def scan(text: str, seek: Seek = _anything, progress: Progress | None = None) -> Scanned:
    """Look at one place that a person named. Raises Refused when it can't be anything.

    `progress` is told where a piece is read whole to see which of the claimed sizes it has.
    """
    found = Scanned()
    if is_source(text):
        rest = text.removeprefix("sector:")
        if rest != text and "?" not in rest:
            await _sector(Path(rest), seek, found, progress)
        else:
            found.candidates.append(Candidate(text, _name(text), _named(text)))
        return await _unfolded(found)
    path = Path(text)
    if not path.is_absolute():
        raise Refused(f"{text[:200]!r} is not an absolute path", "give the whole path")
    if path.is_dir():
        for entry in await asyncio.to_thread(_entries, path):
            await _file(entry, seek, found, progress, named=False)
    elif path.is_file():
        await _file(path, seek, found, progress, named=True)
    else:
        raise Refused(f"{path} is not there", "give a CAR, an unsealed sector, a folder of them, or a source")
    return await _unfolded(found)


async def _unfolded(found: Scanned) -> Scanned:
    """The same with the pieces inside of aggregates in place of those: a CAR's reader would see the first one alone.

    A piece of a sector is what is claimed: it stays as it is, and the others in it are named.
    """
    whole, skipped = Scanned(), list(found.skipped)
    turns = asyncio.Semaphore(_INDEXES_AT_ONCE)

    async def inside(candidate: Candidate) -> Inspection | None:
        if local_file(candidate.source) is None or candidate.source.startswith("aggregate:"):
            return None
        try:
            async with turns:
                return await sources.inspect(candidate.source, index_only=True)
        except ShaleError:
            return None  # its reader says why

    seen = await asyncio.gather(*map(inside, found.candidates))
    for candidate, index in zip(found.candidates, seen, strict=True):
        pieces = index.pieces if index is not None else ()
        if len(pieces) > MAX_ENTRIES:
            skipped.append(Skipped(candidate.source, f"it holds over {MAX_ENTRIES} pieces", "name them: aggregate:…#N"))
            continue
        if index is not None and pieces:
            skipped += [Skipped(candidate.source, f"offset {p.offset}: {p.reason}") for p in index.problems]
        texts = [f"aggregate:{source_text(candidate.source)}#{piece.number}" for piece in pieces]
        if not pieces or candidate.source.startswith("sector:"):
            whole.candidates.append(candidate)
            skipped += [
                Skipped(text, "it is inside a piece of this sector", "name it as a source") for text in texts[1:]
            ]
            continue
        whole.candidates += [
            Candidate(text, f"{candidate.name} {piece.number}") for text, piece in zip(texts, pieces, strict=True)
        ]
    whole.skipped = skipped
    return whole


def sector_of(source: str) -> int | None:
    """The number of the sector that a source's file is, by its name; None for what is no sector."""
    path = local_file(source)
    match = _SECTOR.fullmatch(path.name) if path is not None else None
    return int(match[2]) if match and int(match[1]) else None


def _entries(folder: Path) -> list[Path]:
    """The files of a folder, and of the folders in it that a storage path has."""
    files: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file():
                    files.append(Path(entry.path))
                elif entry.is_dir() and entry.name in _FOLDERS and folder.name not in _FOLDERS:
                    files.extend(_entries(Path(entry.path)))
                if len(files) > MAX_ENTRIES:
                    raise Refused(f"{folder} holds over {MAX_ENTRIES} files", "name the files, or smaller folders")
    except OSError as error:
        raise Refused(f"{error.filename} can't be read ({error.strerror})", "check its mode") from None
    return sorted(files)


async def _file(path: Path, seek: Seek, found: Scanned, progress: Progress | None, named: bool) -> None:
    match = _SECTOR.fullmatch(path.name)
    if match and int(match[1]) == 0:
        found.candidates.append(Candidate(f"park:{path}", path.name))
    elif match:
        await _sector(path, seek, found, progress)
    elif named or path.suffix == ".car" or is_car_head(await asyncio.to_thread(_head, path)):
        found.candidates.append(Candidate(str(path), path.stem, _named(str(path))))
    else:
        found.skipped.append(Skipped(str(path), "offset 0: it is no CAR, no unsealed sector and no file of a park"))


async def _sector(path: Path, seek: Seek, found: Scanned, progress: Progress | None) -> None:
    """Add the pieces of an unsealed sector that begin with a CAR: those of claimed sizes, or of the size they need."""
    source = f"sector:{path}"
    try:
        async with asyncio.timeout(SECONDS):
            match = _SECTOR.fullmatch(path.name)
            sought = await seek(int(match[1]), int(match[2])) if match else Sought()
            seen = await sources.inspect(source)
            if seen.sector_size is None:
                first = seen.problems[0] if seen.problems else None
                raise Refused(f"offset {first.offset}: {first.reason}" if first else "it is no unsealed sector")
            room = _Room(source, seen.unsealed, sought, progress)
            sizes = [] if sought.others else list(sought.pieces.values())
            starts = await asyncio.to_thread(_starts, path, seen.unsealed, seen.sector_size, sizes)
            free = wrong = 0
            for at in starts:
                if at < free:
                    continue  # inside a piece that was found already
                try:
                    size, claimed = await room.size_at(at)
                except ShaleError as error:
                    found.skipped.append(Skipped(source, f"offset {at}: {error.message}", error.hint))
                    free, wrong = max(free, at + _LEAST), wrong + 1
                    if wrong == MAX_WRONG:
                        raise Refused(f"it holds over {MAX_WRONG} places that only look like a CAR") from None
                    continue
                name = f"{path.name} at {at}" if at else path.name
                expected = Expected(frozenset(sought.pieces), "the claims on its sector say") if claimed else Expected()
                found.candidates.append(Candidate(f"{source}?offset={at}&size={size}", name, expected))
                free = at + size
            if not free:
                found.skipped.append(Skipped(source, "no CAR begins in what is unsealed of it"))
    except TimeoutError:
        found.skipped.append(Skipped(source, f"looking through it took over {SECONDS:g} s"))
    except ShaleError as error:
        found.skipped.append(Skipped(source, error.message, error.hint))
    except OSError as error:
        found.skipped.append(Skipped(source, f"it can't be read ({error.strerror})"))


@dataclass(frozen=True, slots=True)
class _Room:
    """What a piece that begins at some place in a sector can be."""

    source: str
    unsealed: Sequence[Extent]
    sought: Sought
    progress: Progress | None

    async def size_at(self, at: int) -> tuple[int, bool]:
        """The padded size of the piece there, and whether it is a claimed one. Raises Refused when none fits."""
        pieces, others = self.sought.pieces, self.sought.others
        sizes = [size for size in sorted(set(pieces.values())) if self._fits(at, size)]
        if len(sizes) == 1 and not others:
            return sizes[0], True
        for size in sizes:
            if (await kernel.commp(self._place(at, size), self.progress)).v1 in pieces:
                return size, True
        if not others:
            raise Refused("a CAR begins here, but none of the pieces that are claimed in this sector")
        return await self._whole_car(at), False

    async def _whole_car(self, at: int) -> int:
        """The least padded size in which the CAR is whole: all that can be said where no claim tells."""
        why = "there is no room for a piece"
        for size in (_LEAST << power for power in range(40)):
            if not self._fits(at, size):
                continue
            seen = await sources.inspect(self._place(at, size))
            if seen.format.startswith("car") and not seen.problems:
                return size
            if seen.problems:
                why = f"{seen.problems[0].reason} (offset {seen.problems[0].offset} of the piece)"
        raise Refused(why)

    def _fits(self, at: int, size: int) -> bool:
        inside = any(extent.offset <= at and at + size <= extent.offset + extent.size for extent in self.unsealed)
        return inside and at % size == 0

    def _place(self, at: int, size: int) -> str:
        return f"{self.source}?offset={at}&size={size}"


def _starts(path: Path, unsealed: Sequence[Extent], sector_size: int, sizes: Sequence[int]) -> list[int]:
    """Where in what is unsealed a CAR begins. Pieces are aligned to their own size."""
    step = max(min(sizes, default=_LEAST), sector_size // MAX_PLACES, _LEAST)
    starts = []
    with path.open("rb", buffering=0) as file:
        for extent in unsealed:
            first = -(-extent.offset // step) * step
            places = range(first, extent.offset + extent.size, step)
            starts += [at for at in places if is_car_head(os.pread(file.fileno(), _HEAD, at))]
    return starts


def is_car_head(head: bytes) -> bool:
    """Whether bytes begin as a CAR does. In a sector too: fr32 leaves the first 31 bytes of a piece as they are.

    CARv1: a varint and the CBOR of ``{"roots": …, "version": 1}``; CARv2: its pragma.
    """
    if head.startswith(b"\x0a\xa1\x67version\x02"):
        return True
    return any(head[at : at + 7] == b"\xa2\x65roots" and head[at - 1] < 0x80 for at in (1, 2, 3))


def _head(path: Path) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(_HEAD) or b""
    except OSError:
        return b""


def _named(source: str) -> Expected:
    """The piece that a source's own name says it is."""
    scheme = source.partition(":")[0]
    if scheme in ("http", "https"):
        piece, by = named_by_url(source), "its URL says"
    elif scheme == "aggregate":
        piece, by = named_by_file(source.rpartition("#")[2]), "its name says"
    else:
        path = local_file(source)
        piece, by = named_by_file(path.name) if path is not None else None, "its file's name says"
    return Expected(frozenset({piece}), by) if piece is not None else Expected()


def _name(source: str) -> str:
    """A name to show, of a source that has none: the last part of its path."""
    last = source.partition("?")[0].rstrip("/").rpartition("/")[2]
    return "".join(char for char in last if char.isprintable())[:128] or "dataset"
