"""Audit: a dataset checked as its reader sees it: random leaves up to the root, the root up to its piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shale.datasets.run import Progress, answer
from shale.units import Cid

PIECE_PROOF = "proofs/piece.json"
"""The path by which a failure names the proof that the root lies in its piece."""


@dataclass(frozen=True, slots=True)
class ClaimedPiece:
    """A piece in which the root may lie; its padded size in bytes, or 0 where nobody says."""

    cid: Cid
    padded_size: int = 0


@dataclass(frozen=True, slots=True)
class Folders:
    """A dataset and its proofs, mounted on this machine."""

    data: Path
    proofs: Path


@dataclass(frozen=True, slots=True)
class Command:
    """A dataset behind a command that speaks the reading protocol (docs/protocol.md, section 10): ssh to a lease."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proven:
    """What held: so many leaves, of so many files and bytes, read through the mount; the piece that holds the root.

    `piece` is None where none was claimed. `blocks` were checked between root and leaves. `ms` is the time of all
    leaves, `ms_leaf` that by their number (many are read at once), `ms_slowest` the longest that one took.
    """

    root: Cid
    piece: Cid | None
    leaves: int
    files: int
    size: int
    blocks: int
    ms: float
    ms_leaf: float
    ms_slowest: float


@dataclass(frozen=True, slots=True)
class Failure:
    """What contradicts the claim, or wasn't answered: a path of the dataset or of its proofs, and where in it.

    `kind` is `wrong`, or `unread`: what isn't there, can't be read or takes too long proves and disproves nothing.
    """

    path: str
    offset: int
    reason: str
    kind: str = "wrong"

    def __str__(self) -> str:
        return f"{self.path}: offset {self.offset}: {self.reason}"


async def audit(
    root: Cid,
    pieces: Sequence[ClaimedPiece],
    sample: int,
    reader: Folders | Command,
    progress: Progress | None = None,
) -> Proven | Failure:
    """Look at `sample` leaves; `progress` is told of them. Raises Refused when the reader itself fails."""
    arguments = ["audit", "--root", root, "--sample", str(sample), "--json"]
    for piece in pieces:
        arguments += ["--piece", f"{piece.cid}:{piece.padded_size}" if piece.padded_size else piece.cid]
    if isinstance(reader, Folders):
        arguments += ["--data", str(reader.data.absolute()), "--proofs", str(reader.proofs.absolute())]
    else:
        arguments += ["--", *reader.words]
    raw: dict[str, Any] = await answer(arguments, progress)
    if not raw["ok"]:
        failure = raw["failure"]
        return Failure(str(failure["path"]), int(failure["offset"]), str(failure["reason"]), str(failure["kind"]))
    return Proven(
        root=Cid(raw["root"]),
        piece=Cid(raw["piece"]) if raw["piece"] else None,
        leaves=int(raw["leaves"]),
        files=int(raw["files"]),
        size=int(raw["bytes"]),
        blocks=int(raw["blocks"]),
        ms=float(raw["ms"]),
        ms_leaf=float(raw["ms_leaf"]),
        ms_slowest=float(raw["ms_slowest"]),
    )
