"""Groups: what of the candidates that a scan found makes a dataset together, and which pieces they must be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from shale.datasets import kernel
from shale.datasets.kernel import Commitment, Indexed, IndexedPiece
from shale.datasets.manifest import SignedManifest
from shale.datasets.naming import piece_name
from shale.datasets.run import Progress
from shale.datasets.scan import Candidate, Expected
from shale.errors import InputRefused, Refused, ShaleError
from shale.market.offer import MAX_PIECES, Piece
from shale.provider.waiting import Report, reason
from shale.units import Cid

Read = Callable[[Sequence[str], str, Report], AbstractAsyncContextManager[Progress]]
"""Gives a turn to read sources, which are shown by a name, and the progress to report of it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What shall be added: places of sources, and what is known of the dataset that they hold.

    `unclaimed`: where a Lotus node tells of claims, take CARs of sectors without a live claim too.
    """

    sources: tuple[str, ...]
    name: str = ""
    root: Cid | None = None
    manifest: SignedManifest | None = None
    lotus: str = ""
    unclaimed: bool = False


@dataclass(frozen=True, slots=True)
class Described:
    """What a signed manifest says of a dataset, and who signed it."""

    description: str = ""
    licence: str = ""
    signer: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Sources that are one dataset, and what piece each must be. `is_named`: a person gave the name."""

    sources: tuple[str, ...]
    name: str
    expected: tuple[Expected, ...]
    root: Cid | None = None
    described: Described = Described()
    is_named: bool = False

    @property
    def shown(self) -> str:
        return self.sources[0] if len(self.sources) == 1 else f"{self.name} ({len(self.sources)} pieces)"


async def groups(wanted: Wanted, candidates: Sequence[Candidate], report: Report, read: Read) -> list[Group]:
    """What of the candidates makes a dataset together. Raises InputRefused and Refused."""
    if wanted.manifest is not None:
        told = wanted.manifest.manifest
        return [
            Group(
                await _by_manifest(wanted.manifest, candidates, report, read),
                wanted.name or told.name,
                tuple(Expected(frozenset({piece.piece}), "the manifest says") for piece in told.pieces),
                told.root,
                Described(told.description, told.licence, wanted.manifest.signer),
                is_named=True,
            )
        ]
    if wanted.root is not None:
        if len(candidates) > MAX_PIECES:
            raise InputRefused(f"{len(candidates)} pieces are too many for one dataset", f"at most {MAX_PIECES}")
        sources = tuple(candidate.source for candidate in candidates)
        expected = tuple(candidate.expected for candidate in candidates)
        name = wanted.name or (candidates[0].name if candidates else "")
        return [Group(sources, name, expected, wanted.root, is_named=bool(wanted.name))] if candidates else []
    many = len(candidates) > 1
    return [
        Group(
            (candidate.source,),
            f"{wanted.name} {candidate.name}" if wanted.name and many else wanted.name or candidate.name,
            (candidate.expected,),
            is_named=bool(wanted.name) and not many,
        )
        for candidate in candidates
    ]


def pieces_of(group: Group, indexed: Indexed) -> list[Piece]:
    """The pieces as they were read, each under the name that it was expected to have. Raises Refused for another."""
    return [
        _checked(source, expected, piece)
        for source, expected, piece in zip(group.sources, group.expected, indexed.pieces, strict=True)
    ]


async def _by_manifest(
    signed: SignedManifest, candidates: Sequence[Candidate], report: Report, read: Read
) -> tuple[str, ...]:
    """The sources of the manifest's pieces, in its order, found by their commitments. Raises Refused."""
    found: dict[Cid, str] = {}
    for candidate in candidates:
        if len(found) == len(signed.manifest.pieces):
            break
        try:
            async with read([candidate.source], candidate.source, report) as progress:
                commitment = await kernel.commp(candidate.source, progress)
            _checked(candidate.source, candidate.expected, commitment)
        except ShaleError as error:
            report({"skipped": candidate.source} | reason(error))
            continue
        for piece in signed.manifest.pieces:
            name = piece_name(piece.piece)
            if name and name.padded_size(commitment.v1, commitment.padded_size) == piece.padded_size:
                found.setdefault(piece.piece, candidate.source)
    for piece in signed.manifest.pieces:
        if piece.piece not in found:
            raise Refused(f"none of the sources is the manifest's piece {piece.piece}", "name the one that holds it")
    return tuple(found[piece.piece] for piece in signed.manifest.pieces)


def _checked(source: str, expected: Expected, found: Commitment | IndexedPiece) -> Piece:
    if not expected.pieces:
        return Piece(found.v1, found.padded_size)
    for cid in sorted(expected.pieces):
        name = piece_name(cid)
        size = name.padded_size(found.v1, found.padded_size) if name is not None else None
        if name is not None and size is not None:
            return Piece(name.v1, size)
    if len(expected.pieces) == 1:
        (named,) = expected.pieces
        raise Refused(f"{source} is the piece {found.v1}, not {named} as {expected.by}")
    raise Refused(f"{source} is the piece {found.v1}, not one of the {len(expected.pieces)} that {expected.by}")
