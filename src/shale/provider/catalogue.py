"""Catalogue: puts datasets on the shelf, after their pieces were read whole, and looks after those that are there."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from shale.clock import Clock
from shale.datasets import kernel, sources
from shale.datasets.catalogue import check_name, describe
from shale.datasets.reach import servers_of
from shale.datasets.run import Progress
from shale.datasets.scan import Expected, Scanned, Skipped, Sought, scan, sector_of
from shale.datasets.stamp import local_file, stamp
from shale.errors import Closed, Refused, ShaleError, Unavailable
from shale.market.offer import MAX_DATASETS, MAX_ENTRIES, Claim, Piece
from shale.provider.claims import Claims, Register
from shale.provider.groups import Described, Group, Wanted, groups, pieces_of
from shale.provider.shelf import MAX_SEARCHED, Item, Place, Shelf, full, index_name
from shale.provider.waiting import Report, reached, reason, waiting
from shale.units import Cid

_NODE = "the Lotus node"
_SERVERS_AT_ONCE = 4
_STAMPS_AT_ONCE = 8


class Catalogue:
    """Datasets on disks are read one at a time: that is bound by the disk and the CPUs, which leases need too.

    Nothing waits for a server or a node while it holds up others: they may hang.
    """

    def __init__(
        self,
        shelf: Shelf,
        indexes: Path,
        clock: Clock,
        claims: Claims,
        sound: Callable[[Cid, tuple[str, ...]], None] = lambda root, sources: None,
    ) -> None:
        """`sound` is told of each dataset, and the sources of the copy, that was found so again."""
        self.shelf = shelf
        self._indexes = indexes
        self._clock = clock
        self.claims = claims
        self._sound = sound
        self._disk = asyncio.Semaphore(1)
        self._servers = asyncio.Semaphore(_SERVERS_AT_ONCE)
        self._writing = asyncio.Lock()

    async def add(self, wanted: Wanted, report: Report) -> None:
        """Add what is sound of it, and report what isn't; cancelling leaves what was added whole, and nothing else."""
        async with self._register(wanted.lotus, report) as register:
            found = await self._scan(wanted, register, report)
            for group in await groups(wanted, found.candidates, report, self._reading):
                try:
                    await self._check_room(group)
                    item, copy = await self._take(group, register, report, is_new=True)
                except ShaleError as error:
                    report({"skipped": ", ".join(group.sources)} | reason(error))
                else:
                    self._sound(item.listing.root, item.sources)
                    report({"added": item.listing.root, "copy": copy})

    async def check(self, root: str | None, report: Report) -> None:
        """Read the copies of one dataset, or of all, again: what is sound is offered again, what isn't no longer.

        Raises Closed when there is no such dataset.
        """
        items = [item for item in await self.shelf.all() if root in (None, item.listing.root)]
        if root is not None and not items:
            raise Closed(f"there is no dataset {root}", "see shale provider datasets list")
        async with self._register("", report) as register:
            for item in items:
                root, copy = item.listing.root, item.copy
                try:
                    await self._take(_group_of(item), register, report, is_new=False)
                except Refused as error:
                    await self._found_bad(item, error)
                    report({"faulty": root, "copy": copy} | reason(error))
                except Unavailable as error:  # nothing is known of it: it is as it was
                    report({"unread": root, "copy": copy} | reason(error))
                except Closed:  # it was taken out meanwhile
                    continue
                else:
                    self._sound(root, item.sources)
                    report({"sound": root, "copy": copy})

    async def renew(self, item: Item) -> None:
        """Read a copy again, and put it on the shelf anew, or note what is bad of it.

        Raises Unavailable where nothing is known of it: a server doesn't answer, or it changed while it was read.
        """

        def report(line: dict[str, Any]) -> None:
            return

        before = await _stamps(item.sources)
        async with self._register("", report) as register:
            try:
                await self._take(_group_of(item), register, report, is_new=False)
            except Refused as error:
                if await _stamps(item.sources) != before:
                    raise Unavailable(f"{item.sources[0]} changed while it was read", "it is tried again") from None
                await self._found_bad(item, error)
            except Closed:
                return
            else:
                self._sound(item.listing.root, item.sources)

    async def _found_bad(self, item: Item, error: Refused) -> None:
        at = self._clock.now()
        await self.shelf.report_fault(
            item.listing.root, error.message, at, sources=item.sources, precise=True, replace=True
        )

    async def remove(self, root: str, copy: int | None = None) -> None:
        """Take a dataset out, or one copy of it. Raises Closed if it isn't there."""
        async with self._writing:  # whoever adds it again at the same moment has his index left alone
            gone = [item for item in await self.shelf.copies(root) if copy in (None, item.copy)]
            await self.shelf.remove(root, copy)
            for item in gone:
                (self._indexes / index_name(root, item.copy)).unlink(missing_ok=True)

    async def sweep(self) -> None:
        """Clear up what a crash left: indexes half written, and of datasets that were removed."""
        known = {index_name(item.listing.root, item.copy) for item in await self.shelf.all()}
        for index in self._indexes.iterdir():
            if index.name not in known:
                index.unlink(missing_ok=True)

    @asynccontextmanager
    async def _register(self, url: str, report: Report) -> AsyncIterator[Register | None]:
        async with AsyncExitStack() as stack:
            async with waiting(_NODE, report, self._clock):
                register = await stack.enter_async_context(self.claims.register(url))
            if register is None and self.claims.trouble:
                report(_as_known(self.claims.trouble))
            yield register

    @asynccontextmanager
    async def _reading(self, sources: Sequence[str], what: str, report: Report) -> AsyncIterator[Progress]:
        """Its turn to read these sources, once their servers answer; how far it is goes to `report`."""
        await reached(sources, report)
        turn = self._disk if any(local_file(source) is not None for source in sources) else self._servers
        async with turn, waiting(servers_of(sources) or what, report, self._clock) as moved:

            def progress(done: int, total: int) -> None:
                moved()
                report({"reading": what, "done": done, "total": total})

            yield progress

    async def _take(self, group: Group, register: Register | None, report: Report, *, is_new: bool) -> tuple[Item, int]:
        """Read a group and put it on the shelf; which copy it is. Raises Refused or Unavailable, with what is wrong."""
        check_name(group.name)
        scratch = self._indexes / f".{secrets.token_hex(8)}"
        try:
            async with self._reading(group.sources, group.shown, report) as progress:
                item, files = await self._read(group, scratch, progress)
            claims = await self._claims(register, item.listing.pieces, group.sources, report)
            pieces = tuple(replace(p, claim=claim) for p, claim in zip(item.listing.pieces, claims, strict=True))
            item = replace(item, listing=replace(item.listing, pieces=pieces))
            async with self._writing:
                if is_new:
                    item = await self._told_before(item, group)
                elif group.sources not in [known.sources for known in await self.shelf.copies(item.listing.root)]:
                    raise Closed(f"{item.listing.root} was removed while it was read", "add it again")
                copy = await self._keep(item, files)
                if is_new and group.is_named:
                    await self.shelf.describe(item)
        finally:
            with suppress(OSError):
                scratch.unlink(missing_ok=True)
        return item, copy

    async def _check_room(self, group: Group) -> None:
        """Raises Refused when the shelf is full, before all of a new dataset is read."""
        items = await self.shelf.all()
        roots = {item.listing.root for item in items}
        if len(roots) < MAX_DATASETS or group.sources in [item.sources for item in items]:
            return
        # Of what is here already it may be a copy more.
        root = group.root or (await sources.inspect(group.sources[0])).root
        if root not in roots:
            raise full()

    async def _scan(self, wanted: Wanted, register: Register | None, report: Report) -> Scanned:
        found = Scanned()
        for text in wanted.sources:
            report({"scanning": text})
            try:
                some = await self._look(text, wanted, register, report)
            except ShaleError as error:
                found.skipped.append(Skipped(text, error.message, error.hint))
                continue
            found.candidates += some.candidates
            found.skipped += some.skipped
        for skipped in found.skipped:
            report({"skipped": skipped.source} | reason(Refused(skipped.why, skipped.hint)))
        return found

    async def _look(self, text: str, wanted: Wanted, register: Register | None, report: Report) -> Scanned:
        """Look at one place, telling what that waits for: the node while it is asked, else the place itself."""
        on = text

        async def seek(miner: int, sector: int) -> Sought:
            nonlocal on
            moved()
            on = _NODE
            try:
                return await self._sought(wanted, register, report, miner, sector)
            finally:
                moved()
                on = text

        def progress(done: int, total: int) -> None:
            moved()
            report({"reading": text, "done": done, "total": total})

        async with waiting(lambda: on, report, self._clock) as moved:
            return await scan(text, seek, progress)

    async def _sought(
        self, wanted: Wanted, register: Register | None, report: Report, miner: int, sector: int
    ) -> Sought:
        """What of a sector may be offered: with a Lotus node what is claimed, unless a person wants the rest too."""
        if register is None:
            if wanted.unclaimed or not (wanted.lotus or self.claims.is_set_up):
                return Sought()
            raise Refused("its claims are not known now (--unclaimed takes its CARs anyhow)")
        is_news = register.failure is None
        try:
            pieces = await register.pieces_of(miner, sector)
        except ShaleError as error:
            if not wanted.unclaimed:
                raise Refused(
                    f"its claims are not known now: {error.message} (--unclaimed takes its CARs anyhow)"
                ) from None
            if is_news:
                report(_as_known(error.message))
            return Sought()
        if not pieces and not wanted.unclaimed:
            raise Refused(f"f0{register.miner} has no live claim in this sector (--unclaimed takes its CARs anyhow)")
        return Sought(pieces, others=wanted.unclaimed)

    async def _read(self, group: Group, scratch: Path, progress: Progress) -> tuple[Item, Sequence[tuple[str, int]]]:
        """Read all of a group and hash every block: its index goes to `scratch`; what it is comes back, unclaimed."""
        faults = await self._faults_of(group)
        before = await _stamps(group.sources)
        indexed = await kernel.index(group.sources, scratch, group.root, progress)
        pieces = pieces_of(group, indexed)
        if await _stamps(group.sources) != before:
            raise Refused(f"{group.shown} changed while it was read", "add it when it is whole")
        outline = await kernel.outline(
            group.sources[0], indexed.root, also=group.sources[1:], index=scratch, top=MAX_ENTRIES, first=MAX_SEARCHED
        )
        described = describe(group.name, indexed.root, pieces[indexed.root_piece].cid, outline)
        now = self._clock.now()
        item = Item(
            replace(
                described,
                description=group.described.description,
                licence=group.described.licence,
                signer=group.described.signer,
                pieces=tuple(pieces),
                checked_at=now,
            ),
            tuple(
                Place(source, mark, piece.raw_size)
                for source, mark, piece in zip(group.sources, before, indexed.pieces, strict=True)
            ),
            scratch,
            blocks_at=now,
            faults=faults,
        )
        return item, outline.first

    async def _faults_of(self, group: Group) -> int:
        """How many faults were noted until now of what these sources are known as."""
        return max((item.faults for item in await self.shelf.all() if item.sources == group.sources), default=0)

    async def _told_before(self, item: Item, group: Group) -> Item:
        """With the name that the dataset has here already, and what a manifest said of the same pieces."""
        others = await self.shelf.copies(item.listing.root)
        if others and not group.is_named:
            item = replace(item, listing=replace(item.listing, name=others[0].listing.name))
        cids = [piece.cid for piece in item.listing.pieces]
        for other in (known.listing for known in others):
            if other.signer and not item.listing.signer and [piece.cid for piece in other.pieces] == cids:
                told = replace(item.listing, description=other.description, licence=other.licence, signer=other.signer)
                return replace(item, listing=told)
        return item

    async def _claims(
        self, register: Register | None, pieces: Sequence[Piece], sources: Sequence[str], report: Report
    ) -> list[Claim | None]:
        """The pieces' claims; where no node tells of them now, those that are known."""
        if register is not None:
            is_news = register.failure is None
            try:
                async with waiting(_NODE, report, self._clock):
                    places = zip(pieces, sources, strict=True)
                    return [await register.claim_of(piece, sector_of(source)) for piece, source in places]
            except ShaleError as error:
                if is_news:  # said once, and not of each dataset
                    report(_as_known(error.message))
        known = {piece.cid: piece.claim for item in await self.shelf.all() for piece in item.listing.pieces}
        return [known.get(piece.cid) for piece in pieces]

    async def _keep(self, item: Item, files: Sequence[tuple[str, int]]) -> int:
        """The index first: one without a dataset is litter, a dataset without its index has no proof to show."""
        scratch, root = item.index, item.listing.root
        assert scratch is not None, "as it was read"

        def place(copy: int) -> None:
            scratch.replace(self._indexes / index_name(root, copy))

        return await self.shelf.add(item, self._clock.now(), files, place)


def _group_of(item: Item) -> Group:
    """A copy as what it was added as."""
    listing = item.listing
    return Group(
        item.sources,
        listing.name,
        tuple(Expected(frozenset({piece.cid}), "the catalogue says") for piece in listing.pieces),
        listing.root,
        Described(listing.description, listing.licence, listing.signer),
    )


async def _stamps(sources: Sequence[str]) -> list[str]:
    """Their stamps, some asked for at once. Raises as the first that fails."""
    gate = asyncio.Semaphore(_STAMPS_AT_ONCE)

    async def one(source: str) -> str:
        async with gate:
            return await stamp(source)

    try:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(one(source)) for source in sources]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in asked]


def _as_known(why: str) -> dict[str, str]:
    return {"notice": f"claims are as they were last known: {why}"}
