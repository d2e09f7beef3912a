"""Catalogue: puts datasets on the shelf, after their pieces were read whole, and looks after those that are there."""

from __future__ import annotations

import asyncio
import heapq
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shale.clock import Clock
from shale.datasets import kernel
from shale.datasets.catalogue import check_name, describe
from shale.datasets.kernel import Indexed, Listed
from shale.datasets.manifest import SignedManifest
from shale.datasets.scan import Candidate, Scanned, Skipped, scan, sector_of
from shale.datasets.stamp import stamp
from shale.errors import Closed, InputRefused, Refused, ShaleError
from shale.market.offer import MAX_DATASETS, MAX_PIECES, Claim, Piece
from shale.provider.claims import Claims, Register
from shale.provider.shelf import MAX_SEARCHED, Item, Place, Shelf
from shale.units import Cid

Report = Callable[[dict[str, Any]], None]
"""Told, as JSON, of each step: what is read, what was added, what was left out and why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What shall be added: places of sources, and what is known of the dataset that they hold."""

    sources: tuple[str, ...]
    name: str = ""
    root: Cid | None = None
    manifest: SignedManifest | None = None
    lotus: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Sources that are one dataset; each commitment must be as `pieces` says, or one of `expected`, if they say."""

    sources: tuple[str, ...]
    name: str
    root: Cid | None = None
    pieces: tuple[Cid, ...] = ()
    expected: frozenset[Cid] = frozenset()
    described: tuple[str, str, str] = ("", "", "")
    """Description, licence and signer."""


class Catalogue:
    """One dataset is read at a time: reading is bound by the disk and the CPUs, which leases need too."""

    def __init__(self, shelf: Shelf, indexes: Path, clock: Clock, claims: Claims) -> None:
        self.shelf = shelf
        self._indexes = indexes
        self._clock = clock
        self.claims = claims
        self._turn = asyncio.Lock()

    async def add(self, wanted: Wanted, report: Report) -> None:
        """Add what is sound of it, and report what isn't; cancelling leaves what was added whole, and nothing else."""
        async with self._turn, self.claims.register(wanted.lotus) as register:
            if register is None and self.claims.trouble:
                report({"notice": f"claims are as they were last known: {self.claims.trouble}"})
            found = await self._scan(wanted, register, report)
            for group in await self._groups(wanted, found.candidates, report):
                try:
                    item, files = await self._read(group, register, report)
                    await self._keep(item, files)
                except ShaleError as error:
                    report({"skipped": ", ".join(group.sources), "why": error.message})
                else:
                    report({"added": item.listing.root})

    async def check(self, root: str | None, report: Report) -> None:
        """Read the pieces of one dataset, or of all, again: what matches is offered again, what doesn't no longer.

        Raises Closed when there is no such dataset.
        """
        items = [item for item in await self.shelf.all() if root in (None, item.listing.root)]
        if root is not None and not items:
            raise Closed(f"there is no dataset {root}", "see shale provider datasets list")
        for item in items:
            async with self._turn, self.claims.register() as register:
                listing = item.listing
                group = Group(
                    item.holding.sources,
                    listing.name,
                    listing.root,
                    tuple(piece.cid for piece in listing.pieces),
                    described=(listing.description, listing.licence, listing.signer),
                )
                try:
                    await self._keep(*await self._read(group, register, report))
                except Refused as error:
                    await self.shelf.report_fault(listing.root, error.message, self._clock.now(), replace=True)
                    report({"faulty": listing.root, "why": error.message})
                else:
                    report({"sound": listing.root})

    async def remove(self, root: str) -> None:
        """Raises Closed if it isn't there."""
        await self.shelf.remove(root)
        (self._indexes / root).unlink(missing_ok=True)

    async def sweep(self) -> None:
        """Clear up what a crash left: indexes half written, and of datasets that were removed."""
        known = {item.listing.root for item in await self.shelf.all()}
        for index in self._indexes.iterdir():
            if index.name not in known:
                index.unlink(missing_ok=True)

    async def _scan(self, wanted: Wanted, register: Register | None, report: Report) -> Scanned:
        found = Scanned()
        for text in wanted.sources:
            report({"scanning": text})
            try:
                some = await (scan(text) if register is None else scan(text, register.pieces_of))
            except ShaleError as error:
                found.skipped.append(Skipped(text, error.message))
                continue
            found.candidates += some.candidates
            found.skipped += some.skipped
        for skipped in found.skipped:
            report({"skipped": skipped.source, "why": skipped.why})
        return found

    async def _groups(self, wanted: Wanted, candidates: Sequence[Candidate], report: Report) -> list[Group]:
        """What of the candidates makes a dataset together."""
        if wanted.manifest is not None:
            sources = await self._by_manifest(wanted.manifest, candidates, report)
            told = wanted.manifest.manifest
            pieces = tuple(piece.piece for piece in told.pieces)
            described = (told.description, told.licence, wanted.manifest.signer)
            return [Group(sources, wanted.name or told.name, told.root, pieces, described=described)]
        if wanted.root is not None:
            if not candidates:
                return []
            if len(candidates) > MAX_PIECES:
                raise InputRefused(f"{len(candidates)} pieces are too many for one dataset", f"at most {MAX_PIECES}")
            return [Group(tuple(c.source for c in candidates), wanted.name or candidates[0].name, wanted.root)]
        if len(candidates) > MAX_DATASETS:
            raise InputRefused(f"{len(candidates)} datasets are too many", f"an offer lists at most {MAX_DATASETS}")
        many = len(candidates) > 1
        return [
            Group(
                (candidate.source,),
                f"{wanted.name} {candidate.name}" if wanted.name and many else wanted.name or candidate.name,
                expected=candidate.expected,
            )
            for candidate in candidates
        ]

    async def _by_manifest(
        self, signed: SignedManifest, candidates: Sequence[Candidate], report: Report
    ) -> tuple[str, ...]:
        """The sources of the manifest's pieces, in its order, found by their commitments. Raises Refused."""
        wanted = {piece.piece for piece in signed.manifest.pieces}
        found: dict[Cid, str] = {}
        for candidate in candidates:
            if wanted <= set(found):
                break
            try:
                commitment = await kernel.commp(candidate.source, _progress(report, candidate.source))
            except ShaleError as error:
                report({"skipped": candidate.source, "why": error.message})
                continue
            if commitment.v1 in wanted:
                found.setdefault(commitment.v1, candidate.source)
        for piece in signed.manifest.pieces:
            if piece.piece not in found:
                raise Refused(
                    f"none of the sources is the manifest's piece {piece.piece}", "name the one that holds it"
                )
        return tuple(found[piece.piece] for piece in signed.manifest.pieces)

    async def _read(
        self, group: Group, register: Register | None, report: Report
    ) -> tuple[Item, list[tuple[str, int]]]:
        """Read all of a group: an index of it is written beside the others, and what it is comes back."""
        check_name(group.name)
        scratch = self._indexes / f".{secrets.token_hex(8)}"
        what = group.sources[0] if len(group.sources) == 1 else f"{group.name} ({len(group.sources)} pieces)"
        try:
            before = [await stamp(source) for source in group.sources]
            indexed = await kernel.index(group.sources, scratch, group.root, _progress(report, what))
            _check_pieces(group, indexed)
            if [await stamp(source) for source in group.sources] != before:
                raise Refused(f"{what} changed while it was read", "add it when it is whole")
            listing = await kernel.ls(group.sources[0], indexed.root, also=group.sources[1:], index=scratch)
            # A million files take seconds, in which the daemon has leases to serve.
            piece = indexed.pieces[indexed.root_piece].v1
            described = await asyncio.to_thread(describe, group.name, indexed.root, piece, listing)
            files = await asyncio.to_thread(_searchable, described.name, listing)
            pieces = [Piece(piece.v1, piece.padded_size) for piece in indexed.pieces]
            claims = await self._claims(register, pieces, group.sources, report)
            description, licence, signer = group.described
            item = Item(
                replace(
                    described,
                    description=description,
                    licence=licence,
                    signer=signer,
                    pieces=tuple(replace(piece, claim=claim) for piece, claim in zip(pieces, claims, strict=True)),
                    checked_at=self._clock.now(),
                ),
                tuple(
                    Place(source, mark, piece.raw_size)
                    for source, mark, piece in zip(group.sources, before, indexed.pieces, strict=True)
                ),
                scratch,
            )
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
        return item, files

    async def _claims(
        self, register: Register | None, pieces: Sequence[Piece], sources: Sequence[str], report: Report
    ) -> list[Claim | None]:
        """The pieces' claims; where no node tells of them now, those that are known."""
        if register is not None:
            try:
                places = zip(pieces, sources, strict=True)
                return [await register.claim_of(piece, sector_of(source)) for piece, source in places]
            except ShaleError as error:
                report({"notice": f"claims are as they were last known: {error.message}"})
        known = {piece.cid: piece.claim for item in await self.shelf.all() for piece in item.listing.pieces}
        return [known.get(piece.cid) for piece in pieces]

    async def _keep(self, item: Item, files: Sequence[tuple[str, int]]) -> None:
        """On the shelf first: without its index a dataset is slower to mount, an index without a dataset is litter."""
        assert item.index is not None, "as it was read"
        try:
            await self.shelf.add(item, self._clock.now(), files)
            item.index.replace(self._indexes / item.listing.root)
        finally:
            with suppress(OSError):
                item.index.unlink(missing_ok=True)


def _searchable(name: str, listing: Sequence[Listed]) -> list[tuple[str, int]]:
    """Path and size of the files that a search may find; a dataset that is one bare file has its name for a path."""
    return heapq.nsmallest(MAX_SEARCHED, ((file.path or name, file.size) for file in listing))


def _check_pieces(group: Group, indexed: Indexed) -> None:
    for number, piece in enumerate(indexed.pieces):
        if group.pieces and piece.v1 != group.pieces[number]:
            raise Refused(f"{group.sources[number]} is the piece {piece.v1}, not {group.pieces[number]}")
        if group.expected and piece.v1 not in group.expected:
            raise Refused(f"{group.sources[number]} is the piece {piece.v1}, which is not claimed in its sector")


def _progress(report: Report, what: str) -> Callable[[int, int], None]:
    return lambda done, total: report({"reading": what, "done": done, "total": total})
