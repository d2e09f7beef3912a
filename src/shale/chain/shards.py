"""Shards: one provider's history in the ledger's events, checked against the ledger's own state.

The newest events are kept as they are, of those before only what they came to: the leaves that stood then, and the
root. So a long history takes time once, and neither memory nor disk. A root from before is looked for once more from
the deployment on, in a scan of its own.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator

from shale.chain.abi import Contract
from shale.chain.database import Database
from shale.chain.events import Events
from shale.chain.log_store import PAGE, START, LogStore, Position
from shale.chain.node import Node
from shale.chain.records import NOBODY, shard_event
from shale.errors import Refused, Unavailable
from shale.payments.history import BatchSettled, ShardEvent, ShardFold, ShardHistory
from shale.payments.words import hex_word
from shale.units import Address

KEEP = 20_000
"""The newest events of a provider that stay as they are: days of a large one, in which its batches are recognised."""
STEP = 5_000
"""Events that are folded at once at least; and as many as there are open leases, so that each costs the same."""
MOST = 2_000_000
"""Events of a provider that may lie in the database, some 1.5 GB: only those of blocks that aren't final can."""
_ATTEMPTS = 3
_FORM = 2
"""Grows with the kinds of events that are asked for: a scan of fewer kinds lacks those that it never asked for."""


class ShardReader:
    """Reads on where it stopped, as long as the database lasts."""

    def __init__(
        self, node: Node, database: Database, ledger: Contract, start: int, keep: int = KEEP, step: int = STEP,
        most: int = MOST,
    ) -> None:  # fmt: skip
        self._node = node
        self._database = database
        self._ledger = ledger
        self._start = start
        self._keep, self._step, self._most = keep, step, most
        self._scans: dict[str, Events] = {}
        self._turns: defaultdict[Address, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def history(self, provider: Address, root: str | None = None) -> ShardHistory:
        """All events, or those up to the last batch that led to `root`; the oldest of them folded.

        Raises Unavailable when the node leaves out events, or has some that contradict each other.
        """
        await self._node.check_chain()
        async with self._turns[provider]:
            known = self._scan(provider).store.next() > self._start
            try:
                return await self._history(provider, root)
            except _LeftOut:
                if not known:
                    raise
                # What is left out lay there from before, maybe another node's: this one is asked for all of it.
                return await self._history(provider, root)

    async def _history(self, provider: Address, root: str | None) -> ShardHistory:
        empty = await self._root(Address(NOBODY))
        look = _Look(self, provider, empty, root)
        scan = self._scan(provider)
        for _ in range(_ATTEMPTS):
            whole = await look.over(scan)
            if root is not None:
                # Where the root has gone since doesn't matter: it may move with every block.
                if (part := look.part(whole, scan.store)) is not None:
                    return self._checked(part, scan.store)
            elif whole.leads_to(await self._root(provider), empty):
                return self._checked(whole, scan.store)
            # A batch may have come between the two questions; or the node's index of events lags behind its state.
            if whole.is_chained(empty):
                _read_again(scan.store, whole)
        if root is not None and whole.base.batches:
            return await self._from_the_start(look, root)
        if not whole.is_chained(empty):
            scan.store.drop()  # another node may have what this one left out
            raise self._left_out(provider)
        raise self._left_out(provider, Unavailable)

    async def forget(self, provider: Address, root: str | None = None) -> None:
        """Read all of it anew the next time, also what was folded."""
        async with self._turns[provider]:
            self._scan(provider).store.drop()
            if root is not None:
                self._scan(provider, root).store.drop()

    async def _from_the_start(self, look: _Look, root: str) -> ShardHistory:
        """The history up to a root that the folded events had passed: they are read once more, and folded only."""
        scan = self._scan(look.provider, root)
        whole = await look.over(scan)
        part = look.part(whole, scan.store)
        if part is not None:
            fold = self._checked(part, scan.store).folded()
            block = part.until or whole.until
            if block <= await self._node.final(await self._node.head()):
                self._scan(look.provider).store.remember(root, (block, 0), _text(fold))
        scan.store.drop()
        if part is None:
            raise self._left_out(look.provider)
        return part

    def _checked(self, history: ShardHistory, store: LogStore) -> ShardHistory:
        """The history, if it makes a tree; else it is forgotten, as another node may have what is missing."""
        try:
            history.folded()
        except Refused:
            store.drop()
            raise self._left_out(history.provider) from None
        return history

    def _scan(self, provider: Address, root: str = "") -> Events:
        topic = "0x" + provider[2:].lower().rjust(64, "0")
        kinds = {name: entry.topic for name, entry in self._ledger.artifact.events.items()}
        filters = (
            [[kinds["Locked"], kinds["Closed"]], None, None, topic],
            [[kinds["Operation"], kinds["Settled"], kinds["Exited"]], topic],
        )
        name = f"{self._node.chain_id}/{self._ledger.address}/{provider}/{_FORM}" + (f"/{root}" if root else "")
        if name not in self._scans:
            self._scans[name] = Events(self._node, self._database, name, self._ledger.address, filters, self._start)
        return self._scans[name]

    async def _root(self, provider: Address) -> str:
        return hex_word((await self._node.read(self._ledger, "shardOf", provider)).root)

    def _left_out(self, provider: Address, kind: type[Unavailable] | None = None) -> Unavailable:
        return (kind or _LeftOut)(
            f"the node at {self._node.rpc.place} leaves out events of {provider}'s batches",
            "use another node (shale network add)",
        )


class _Look:
    """One look at a provider's events: what they come to, and what they came to at the root that is wanted."""

    def __init__(self, reader: ShardReader, provider: Address, empty: str, wanted: str | None) -> None:
        self.provider = provider
        self._reader = reader
        self._empty = empty
        self._wanted = wanted
        self._passed: ShardHistory | None = None

    async def over(self, scan: Events) -> ShardHistory:
        """Read on to the head; all events, the newest as they are.

        Raises Unavailable when they contradict each other: then they are forgotten, as another node may have others.
        """
        store = scan.store

        async def room(final: int) -> None:
            await self._make_room(store, final)

        try:
            until = await scan.sync(room)
            while True:
                self._passed = None
                before, fold = self._folded(store)
                newest: deque[ShardEvent] = deque()
                async for _, event in self._events(store, before):
                    newest.append(event)
                    if len(newest) > self._reader._keep:
                        self._apply(fold, newest.popleft())
                if store.position() == before:  # else another process has folded some meanwhile
                    return ShardHistory(self.provider, until, tuple(newest), fold)
        except _Contradiction:
            store.drop()
            raise self._reader._left_out(self.provider) from None

    def part(self, whole: ShardHistory, store: LogStore) -> ShardHistory | None:
        """The history up to the last batch that led to the wanted root, as far as it is known."""
        assert self._wanted is not None
        if (part := whole.at(self._wanted, self._empty)) is not None or self._passed is not None:
            return part or self._passed
        if (old := store.folded(self._wanted)) is not None:
            return ShardHistory(self.provider, old[0][0], (), ShardFold.from_json(json.loads(old[1])))
        if self._wanted == self._empty:
            return ShardHistory(self.provider, 0, (), ShardFold(self._empty))
        return None

    async def _make_room(self, store: LogStore, final: int) -> None:
        """Fold the oldest events of final blocks, as many as there are over those that stay."""
        if (count := store.count()) < self._reader._keep + self._reader._step:
            return
        before, fold = self._folded(store)
        left = count - self._reader._keep
        if left >= min(max(self._reader._step, fold.open), self._reader._most // 2):
            after, _ = before, self._take()
            async for position, event in self._events(store, before, final, left):
                self._apply(fold, event)
                after = position
            if (past := self._take()) is not None and self._wanted is not None:
                store.remember(self._wanted, (past.until, 0), _text(past.base))
            if after != before:
                store.fold(before, after, _text(fold))
        if store.count() > self._reader._most:
            raise Unavailable(
                f"over {self._reader._most} events of {self.provider} lie in blocks that aren't final",
                "try again when they are: what was read is kept, and this goes on from there",
            )

    def _take(self) -> ShardHistory | None:
        """What the wanted root's batch came to, if it was passed since this was last asked."""
        past, self._passed = self._passed, None
        return past

    def _folded(self, store: LogStore) -> tuple[Position, ShardFold]:
        old = store.folded()
        return (old[0], ShardFold.from_json(json.loads(old[1]))) if old else (START, ShardFold(self._empty))

    def _apply(self, fold: ShardFold, event: ShardEvent) -> None:
        if isinstance(event, BatchSettled) and event.old_root != fold.root:
            raise _Contradiction
        try:
            fold.apply(event)
        except Refused:
            raise _Contradiction from None
        if isinstance(event, BatchSettled) and event.new_root == self._wanted:
            self._passed = ShardHistory(self.provider, event.block, (), fold.copy())

    async def _events(
        self, store: LogStore, after: Position, until: int | None = None, most: int = 2**62
    ) -> AsyncIterator[tuple[Position, ShardEvent]]:
        """In the chain's order, at most so many; others have their turns between the pages."""
        entries = self._reader._ledger.artifact.events
        for number, log in enumerate(store.logs(after, until, most), 1):
            try:
                event = shard_event(log, entries)
            except ValueError:
                raise _Contradiction from None
            yield log.position, event
            if number % PAGE == 0:
                await asyncio.sleep(0)


class _Contradiction(Exception):
    """Events are missing, or made up."""


class _LeftOut(Unavailable):
    """The events that lie there can't be all: they are forgotten by now."""


def _read_again(store: LogStore, whole: ShardHistory) -> None:
    """Forget what was read from the last batch's block on: what the batches after it left may be there by now."""
    folded = store.position()[0]
    last = whole.batches[-1].block - 1 if whole.batches else folded
    store.forget(max(last, folded))


def _text(fold: ShardFold) -> str:
    return json.dumps(fold.to_json(), separators=(",", ":"))
