"""Reviews: what the market's events tell of a provider's reviews, checked against the rating that the market keeps.

The newest stay in the database as they are, of those before only what they came to: so a provider of many reviews takes
neither memory nor disk. They are shown if all together come to the rating.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque

from shale.chain.abi import Contract
from shale.chain.chain import MAX_REVIEWS, ReviewRecord
from shale.chain.database import Database
from shale.chain.events import Events
from shale.chain.log_store import START, Log, LogStore, Position
from shale.chain.node import Node
from shale.chain.records import review_record, standing_of
from shale.errors import InputRefused, Unavailable
from shale.market.review import Standing
from shale.units import Address, AttoFil

STEP = 1_000
"""Reviews that are folded at once at least."""
MOST = 100_000
"""Of one provider that may lie in the database, some 150 MB: only those of blocks that aren't final can."""
_ATTEMPTS = 3
_AT_ONCE = 16
"""Blocks whose times are asked for at once."""


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

            for attempt in range(_ATTEMPTS):
                try:
                    await scan.sync(room)
                    standing, newest = self._read(scan.store, most)
                except _Broken:
                    scan.store.drop()
                    continue
                found = standing_of(await self._node.read(self._market, "ratingOf", provider))
                if standing == found and (dated := await self._dated(newest)) is not None:
                    return dated
                if attempt == 0:
                    # A review may have come between the two questions, or the node's index of events lags behind its
                    # state: what may still change is read again.
                    scan.store.forget(await self._node.final(await self._node.head()))
                else:
                    scan.store.drop()  # it may be from another node: this one, or the next, is asked for all of it
            raise Unavailable(
                f"what the node at {self._node.rpc.place} tells of {provider}'s reviews is not what they come to",
                "use another node (shale network add)",
            )

    def _read(self, store: LogStore, most: int) -> tuple[Standing, deque[Log]]:
        """What all come to, and the newest, the newest first."""
        (after, standing), newest = self._folded(store), deque[Log](maxlen=most)
        for log in store.logs(after):
            standing = self._with(standing, log)
            newest.appendleft(log)
        return standing, newest

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
            before, standing = self._folded(store)
            after = before
            for log in store.logs(before, final, over):
                standing = self._with(standing, log)
                after = log.position
            if after != before:
                store.fold(before, after, _text(standing))
        if store.count() > self._most:
            raise Unavailable(
                f"over {self._most} reviews of {provider} lie in blocks that aren't final",
                "try again when they are: what was read is kept, and this goes on from there",
            )

    def _folded(self, store: LogStore) -> tuple[Position, Standing]:
        old = store.folded()
        if old is None:
            return START, Standing(0, 0, 0)
        reviews, weight, weighted, amount, amount_stars = json.loads(old[1])
        return old[0], Standing(reviews, weight, weighted, AttoFil(amount), amount_stars)

    def _with(self, standing: Standing, log: Log) -> Standing:
        review = self._record(log)
        try:
            return standing.plus(review.stars, review.weight_seconds, review.paid)
        except InputRefused:  # more money than there is
            raise _Broken from None

    def _record(self, log: Log, at: int = 0) -> ReviewRecord:
        try:
            return review_record(log, self._market.artifact.events["Reviewed"], at)
        except ValueError:
            raise _Broken from None

    def _scan(self, provider: Address) -> Events:
        if provider not in self._scans:
            topics = [self._market.artifact.events["Reviewed"].topic, None, "0x" + provider[2:].lower().rjust(64, "0")]
            name = f"{self._node.chain_id}/{self._market.address}/reviews/{provider}"
            self._scans[provider] = Events(
                self._node, self._database, name, self._market.address, [topics], self._start
            )
        return self._scans[provider]


class _Broken(Exception):
    """A review that no market has taken."""


def _text(one: Standing) -> str:
    return json.dumps([one.reviews, one.weight_seconds, one.weighted_stars, one.amount.value, one.amount_stars])
