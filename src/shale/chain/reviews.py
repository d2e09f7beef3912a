"""Reviews: what the market's events tell of a provider's reviews, checked against the rating that the market keeps.

The newest stay in the database as they are, of those before only what they came to: so a provider of many reviews takes
neither memory nor disk. They are shown if all together come to the rating.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import astuple, dataclass

from shale.chain.abi import Contract
from shale.chain.chain import MAX_REVIEWS, ReviewRecord
from shale.chain.database import Database
from shale.chain.events import Events
from shale.chain.log_store import PAGE, START, Log, LogStore, Position
from shale.chain.node import Node
from shale.chain.records import review_record
from shale.errors import Unavailable
from shale.units import Address

STEP = 1_000
"""Reviews that are folded at once at least."""
MOST = 100_000
"""Of one provider that may lie in the database, some 150 MB: only those of blocks that aren't final can."""
_ATTEMPTS = 3
_AT_ONCE = 16
"""Blocks whose times are asked for at once."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The market's rating: reviews, and the sums of seconds, stars times seconds, attoFIL, stars times attoFIL."""

    count: int = 0
    weight: int = 0
    weighted_stars: int = 0
    amount: int = 0
    amount_stars: int = 0

    def plus(self, review: ReviewRecord) -> Tally:
        seconds, paid = review.weight_seconds, review.paid.value
        return Tally(
            self.count + 1,
            self.weight + seconds,
            self.weighted_stars + seconds * review.stars,
            self.amount + paid,
            self.amount_stars + paid * review.stars,
        )


class ReviewReader:
    """Reads on where it stopped, as long as the database lasts."""

    def __init__(
        self, node: Node, database: Database, market: Contract, start: int, keep: int = MAX_REVIEWS, step: int = STEP,
        most: int = MOST,
    ) -> None:  # fmt: skip
        self._node = node
        self._database = database
        self._market = market
        self._start = start
        self._keep, self._step, self._most = keep, step, most
        self._scans: dict[Address, Events] = {}
        self._turns: defaultdict[Address, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def newest(self, provider: Address, most: int) -> list[ReviewRecord]:
        """The newest first, at most so many and at most what is kept.

        Raises Unavailable when the node leaves out reviews, or has some that don't come to the rating.
        """
        await self._node.check_chain()
        async with self._turns[provider]:
            scan = self._scan(provider)

            async def room(final: int) -> None:
                self._make_room(scan.store, final, provider)

            for _ in range(_ATTEMPTS):
                await scan.sync(room)
                tally, newest = self._read(scan.store, most)
                rating = await self._node.read(self._market, "ratingOf", provider)
                # A review may have come between the two questions; one that is left out stays left out.
                if astuple(tally) == tuple(rating) and (found := await self._dated(newest)) is not None:
                    return found
                # Or the node's index of events lags behind its state: what may still change is read again.
                scan.store.forget(await self._node.final(await self._node.head()))
            scan.store.drop()  # another node may have what this one left out
            raise Unavailable(
                f"what the node at {self._node.rpc.place} tells of {provider}'s reviews is not what they come to",
                "use another node (shale network add)",
            )

    def _read(self, store: LogStore, most: int) -> tuple[Tally, deque[Log]]:
        """What all come to, and the newest, the newest first."""
        (after, tally), newest = self._folded(store), deque[Log](maxlen=most)
        for log in self._logs(store, after):
            tally = tally.plus(self._record(log))
            newest.appendleft(log)
        return tally, newest

    async def _dated(self, logs: deque[Log]) -> list[ReviewRecord] | None:
        """With their blocks' times; None if one of these is not the chain's any more."""
        blocks = list({log.block: log.block_hash for log in logs}.items())
        times: dict[int, int] = {}
        for at in range(0, len(blocks), _AT_ONCE):
            part = blocks[at : at + _AT_ONCE]
            headers = await asyncio.gather(*(self._node.header(block) for block, _ in part))
            for header, (block, known) in zip(headers, part, strict=True):
                if header is None or header.hash != known:
                    return None
                times[block] = header.time
        return [self._record(log, times[log.block]) for log in logs]

    def _make_room(self, store: LogStore, final: int, provider: Address) -> None:
        """Fold the oldest reviews of final blocks, as many as there are over those that stay."""
        if (over := store.count() - self._keep) >= self._step:
            before, tally = self._folded(store)
            after = before
            for log in self._logs(store, before, final, over):
                tally = tally.plus(self._record(log))
                after = log.position
            if after != before:
                store.fold(before, after, json.dumps(astuple(tally)))
        if store.count() > self._most:
            raise Unavailable(
                f"over {self._most} reviews of {provider} lie in blocks that aren't final",
                "try again when they are: what was read is kept, and this goes on from there",
            )

    def _folded(self, store: LogStore) -> tuple[Position, Tally]:
        old = store.folded()
        return (old[0], Tally(*json.loads(old[1]))) if old else (START, Tally())

    def _logs(self, store: LogStore, after: Position, until: int | None = None, most: int = 2**62) -> Iterator[Log]:
        """In the chain's order, at most so many, without more than a page in memory."""
        while most and (page := store.page(after, until, min(most, PAGE))):
            yield from page
            after, most = page[-1].position, most - len(page)

    def _record(self, log: Log, at: int = 0) -> ReviewRecord:
        try:
            return review_record(log, self._market.artifact.events["Reviewed"], at)
        except ValueError as error:
            raise self._node.nonsense(str(error)) from None

    def _scan(self, provider: Address) -> Events:
        if provider not in self._scans:
            topics = [self._market.artifact.events["Reviewed"].topic, None, "0x" + provider[2:].lower().rjust(64, "0")]
            name = f"{self._node.chain_id}/{self._market.address}/reviews/{provider}"
            self._scans[provider] = Events(
                self._node, self._database, name, self._market.address, [topics], self._start
            )
        return self._scans[provider]
