"""What a source is and whether it is sound: the kernel's inspect, verify, pad and unpad as typed calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shale.datasets.run import Progress, Source, answer, source_text
from shale.units import Cid


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a source, and at which byte."""

    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes of a sector, as they lie in it: padded."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class SubPiece:
    """A piece inside an aggregate (FRC-0058), as its index says: `aggregate:SOURCE#number` checks it and opens it."""

    number: int
    cid: Cid
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """What can be said of a source without reading its blocks. `root` is None unless its header names just one."""

    source: str
    format: str
    root: Cid | None
    roots: tuple[Cid, ...]
    missing_roots: tuple[Cid, ...]
    blocks: int
    raw_size: int
    padded_size: int
    sector_size: int | None
    unsealed: tuple[Extent, ...]
    pieces: tuple[SubPiece, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification compared; `piece_ok` is None if no piece CID was known.

    `problems` tells of a hundred at most, `faults` counts them all.
    """

    ok: bool
    blocks: int
    verified: int
    piece_cid: Cid | None
    piece_ok: bool | None
    faults: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Padded:
    """A piece in an unsealed sector file: its padded place, and the text that opens it."""

    sector_size: int
    offset: int
    size: int
    raw_size: int
    source: str


async def inspect(source: Source, *, index_only: bool = False) -> Inspection:
    """Look at a source. What is malformed in it are problems; Refused is raised for one that can't be opened.

    With `index_only` just the pieces inside an aggregate are told, which takes two reads however large it is.
    """
    raw = await answer(["inspect", source_text(source), *(["--index-only"] if index_only else []), "--json"])
    return Inspection(
        source=str(raw["source"]),
        format=str(raw["format"]),
        root=Cid(raw["root"]) if raw["root"] is not None else None,
        roots=tuple(map(Cid, raw["roots"])),
        missing_roots=tuple(map(Cid, raw["missing_roots"])),
        blocks=int(raw["blocks"]),
        raw_size=int(raw["raw_size"]),
        padded_size=int(raw["padded_size"]),
        sector_size=raw.get("sector_size"),
        unsealed=tuple(Extent(int(e["offset"]), int(e["size"])) for e in raw.get("unsealed", ())),
        pieces=tuple(
            SubPiece(int(p["number"]), Cid(p["cid"]), int(p["offset"]), int(p["size"])) for p in raw.get("pieces", ())
        ),
        problems=_problems(raw),
    )


async def verify(
    source: Source, piece: Cid | None = None, sample: int = 0, progress: Progress | None = None
) -> Verdict:
    """Compare blocks with their CIDs, all or `sample` of them chosen at random, and the source with its piece CID.

    A URL that ends in ``/piece/CID`` names the piece itself. Raises Refused if there is nothing to compare.
    """
    arguments = ["verify", source_text(source), "--sample", str(sample), "--json"]
    raw = await answer(arguments + (["--piece", piece] if piece else []), progress)
    return Verdict(
        ok=bool(raw["ok"]),
        blocks=int(raw["blocks"]),
        verified=int(raw["verified"]),
        piece_cid=Cid(raw["piece_cid"]) if raw["piece_cid"] is not None else None,
        piece_ok=raw["piece_ok"],
        faults=int(raw["faults"]),
        problems=_problems(raw),
    )


async def pad(source: Source, out: Path, sector_size: str, at: str = "0", progress: Progress | None = None) -> Padded:
    """Put a source as a piece into an unsealed sector file, new or with room at the padded offset `at`."""
    arguments = ["pad", source_text(source), str(out.absolute()), f"--sector-size={sector_size}", f"--at={at}"]
    raw = await answer([*arguments, "--json"], progress)
    return Padded(
        int(raw["sector_size"]), int(raw["offset"]), int(raw["size"]), int(raw["raw_size"]), str(raw["source"])
    )


@dataclass(frozen=True, slots=True)
class Unpadded:
    """A source's raw bytes as a file. Zeros at its end are padding where the source's raw size wasn't told."""

    raw_size: int
    trailing_zeros: int


async def unpad(source: Source, out: Path, progress: Progress | None = None) -> Unpadded:
    """Write a source's raw bytes as a new file."""
    raw = await answer(["unpad", source_text(source), str(out.absolute()), "--json"], progress)
    return Unpadded(int(raw["raw_size"]), int(raw["trailing_zeros"]))


def _problems(raw: Any) -> tuple[Problem, ...]:
    return tuple(Problem(int(p["offset"]), str(p["reason"])) for p in raw["problems"])
