"""Settlement: puts leases into batches, proves them, posts them, refunds what earned nothing, and collects.

A proof is in the books before its batch is posted, and a batch is noted as posting before the chain is given it. After
a crash, a lost answer or a reorganisation the chain's events say what became of it: it is in the chain, then the books
follow; it is not and its root still stands, then the same proof is posted again; else it is dropped and planned anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from shale.chain.chain import Chain, Heads, OnLedger, Receipt, Shard, TooDear
from shale.clock import Clock
from shale.errors import ConfigError, Refused, Unavailable
from shale.ledger.rebuild import Rebuilt, rebuild
from shale.market.lease import EndReason, LeaseState
from shale.payments.batch import Claimable, Leaf, plan_batch, worth_their_share
from shale.payments.history import LeaseOperated
from shale.payments.voucher import Voucher
from shale.payments.words import flags_of
from shale.proofs.prover import Prover
from shale.provider.ground import Ground, advance, closed_by, is_of
from shale.provider.ledger_books import BatchState, Kept, LedgerBooks
from shale.provider.settled import Settled, Unclaimed
from shale.provider.settling import Stage, Waiting
from shale.provider.store import Held, Store
from shale.units import ZERO, Address, AttoFil, LeaseId

log = logging.getLogger("shale.provider")

_REFUNDS = 64
"""How many leases one transaction refunds at most."""
_READS = 16
"""Leases that the chain is asked about at once."""
_STALE = 3
"""How often a run plans anew because others acted on the ledger."""


class Settlement:
    """One run at a time redeems all that can be redeemed now."""

    def __init__(
        self,
        store: Store,
        books: LedgerBooks,
        chain: Chain,
        prover: Prover,
        clock: Clock,
        provider: Address,
        ledger_domain: str,
    ) -> None:
        self._store = store
        self._books = books
        self._chain = chain
        self._prover = prover
        self._clock = clock
        self._provider = provider
        self._domain = ledger_domain
        self._lock = asyncio.Lock()
        self.stage = Stage()
        self.unclaimed: dict[LeaseId, Unclaimed] = {}
        """What the last run could not claim."""

    async def run(self, redeem: bool = True, fee: AttoFil = ZERO) -> list[Settled]:
        """Post batches until nothing is left to redeem, then collect. Raises the first error; posted ones count.

        Without `redeem` only ended leases are settled. A lease that runs on pays meanwhile: it is redeemed once in a
        run, or there would always be one more batch; and not at all while that is worth less than its share of `fee`.
        """
        async with self._lock:
            try:
                return await self._run(redeem, fee)
            finally:
                self.stage = Stage()

    async def _run(self, redeem: bool, fee: AttoFil) -> list[Settled]:
        settled: list[Settled] = []
        self.unclaimed = {}
        for attempt in range(_STALE):
            ground = await self._follow()
            try:
                await self._finish(ground, settled)
                await self._sweep(ground.heads)
                await self._look(ground, redeem, {lease for one in settled for lease in one.batch.leases})
                ground.claimables = worth_their_share(ground.claimables, fee, ground.shard.demanded)
                await self._refund(ground)
                while (kept := await self._prove(ground)) is not None:
                    await self._try(ground, kept, settled)
                break
            except Refused:
                if attempt == _STALE - 1 or not await self._has_changed(ground):
                    raise
                log.info("settlement: others have acted on the ledger, planning anew")
        self.stage = Stage("collecting")
        shard = await self._chain.shard(self._provider)
        if shard.owed:
            receipt = await self._chain.collect(self._provider)
            await self._books.post("collect", receipt, shard.owed, self._clock.now())
        return settled

    async def _has_changed(self, ground: Ground) -> bool:
        """Whether others moved the root, demanded a close, or closed a lease that we planned with.

        An exit closes a lease and leaves the root where it was.
        """
        shard = await self._chain.shard(self._provider)
        if (shard.root, shard.demanded) != (ground.shard.root, ground.shard.demanded):
            return True
        records = [await self._chain.lease(lease) for lease in ground.claimables]
        return any(record is None or record.closed for record in records)

    async def waiting(self) -> Waiting:
        """What there is to settle, by the books alone."""
        ended = [held for held in await self._store.leases(LeaseState.ENDED) if held.anchor_tx or held.voucher]
        running = len(await self._store.leases(LeaseState.RUNNING, LeaseState.FROZEN))
        return Waiting(tuple(held.lease.ended_at for held in ended), await self._books.last_gas(), running)

    # Following the chain.

    async def _follow(self) -> Ground:
        """Bring the books to where the chain is: what it took back is on its way again, what it has is mined."""
        self.stage = Stage("following the chain")
        heads, rebuilt = await self._chain.heads(), None
        for lease, block in await self._books.uncertain():
            record = await self._chain.lease(lease)
            if record is None or not record.closed:
                await self._books.reopened(lease)
            elif block <= heads.final:
                await self._books.certain(lease)
        for kept in await self._books.kept(BatchState.MINED):
            receipt = await self._chain.receipt(kept.tx)
            if receipt is None:
                log.warning("settlement: the chain took transaction %s back", kept.tx)
                await self._books.taken_back(kept)
            elif receipt.block <= heads.final:
                await self._books.mark(kept, BatchState.FINAL)
            elif receipt.block != kept.block:
                await self._books.moved(kept, receipt)
        waiting = 0
        if await self._books.kept(BatchState.POSTING, BatchState.PROVEN):
            # Asked before the events: what lands in between is found there, and taken for lost by nobody.
            waiting = await self._chain.waiting()
            rebuilt = await self._recognise()
        shard, leaves = await self._chain.shard(self._provider), await self._books.tree()
        if int(await self._prover.root(leaves), 16) != int(shard.root, 16):
            rebuilt = rebuilt or await rebuild(self._chain, self._prover, self._provider)
            log.warning("settlement: the books' tree was not the chain's; %d leaves rebuilt", len(rebuilt.leaves))
            await self._books.replace_tree(rebuilt.leaves)
            shard, leaves = rebuilt.shard, list(rebuilt.leaves)
        now = max(heads.time, self._clock.now())
        return Ground(heads, now, shard, {leaf.index: leaf for leaf in leaves}, waiting)

    async def _recognise(self) -> Rebuilt:
        """Find the batches that were on their way when we lost sight of them among the chain's events."""
        rebuilt = await rebuild(self._chain, self._prover, self._provider)
        seen = {
            (event.lease, event.index, event.flags, event.amount): event.block
            for event in rebuilt.history.events
            if isinstance(event, LeaseOperated)
        }
        for kept in await self._books.kept(BatchState.POSTING, BatchState.PROVEN):
            blocks = {seen.get((o.leaf.lease, o.leaf.index, flags_of(o), o.amount)) for o in kept.batch.operations}
            block = blocks.pop()
            if block is None or blocks:
                continue
            tx = next((event.tx for event in rebuilt.history.batches if is_of(event, kept, block)), "")
            receipt = await self._chain.receipt(tx) or Receipt(tx, block, 0)
            await self._books.mined(kept, receipt, self._clock.now())
            log.info("settlement: transaction %s went through while nobody looked", tx)
        await self._books.replace_tree(rebuilt.leaves)
        return rebuilt

    async def _finish(self, ground: Ground, settled: list[Settled]) -> None:
        """Post what was proven before, with the proof that it has; drop what the chain went on without."""
        for kept in await self._books.kept(BatchState.PROVEN, BatchState.POSTING):
            if kept.state is BatchState.POSTING and ground.waiting:
                raise Unavailable("the last batch's transaction waits for a block", "it is being followed")
            if await self._is_overtaken(kept, ground.shard):
                await self._books.mark(kept, BatchState.DROPPED)
                continue
            await self._try(ground, kept, settled)

    async def _is_overtaken(self, kept: Kept, shard: Shard) -> bool:
        """The root has moved, a close is demanded, or a lease was closed at the same root: refunded, or exited."""
        moved = int(kept.proof.old_root, 16) != int(shard.root, 16)
        if moved or shard.demanded not in (None, *closed_by(kept)):
            return True
        records = [await self._chain.lease(lease) for lease in kept.batch.leases]
        return any(record is None or record.closed for record in records)

    async def _sweep(self, heads: Heads) -> None:
        """Acceptances that nobody confirmed to us: forgotten once the chain can't take them any more.

        A client may have anchored one by itself: as a lease that never started, it is refunded.
        """
        for held in await self._store.leases(LeaseState.ACCEPTED):
            if held.published:
                continue  # confirmed on chain or not, its start or its end is on its way (published.py)
            if await self._chain.lease(held.id) is not None:
                await self._store.end(held.id, EndReason.START_FAILED, self._clock.now())
            elif await self._chain.too_late(held.id, held.acceptance.deadline, heads):
                await self._store.forget(held.id)

    # Looking at the leases.

    async def _look(self, ground: Ground, redeem: bool, done: Collection[LeaseId]) -> None:
        """What each lease can claim; those that are closed on chain are settled in the books."""
        self.stage = Stage("looking at the leases")
        states = [LeaseState.ENDED, *((LeaseState.RUNNING, LeaseState.FROZEN) if redeem else ())]
        held = {one.id: one for one in await self._store.leases(*states)}
        standing = {leaf.lease: leaf for leaf in ground.leaves.values()}
        if ground.shard.demanded is not None and ground.shard.demanded not in held:
            held |= {one.id: one for one in await self._store.leases() if one.id == ground.shard.demanded}
        wanted = [lease for lease in {*held, *standing} if lease in held or redeem or lease == ground.shard.demanded]
        gate = asyncio.Semaphore(_READS)

        async def one(lease: LeaseId) -> None:
            async with gate:
                await self._claim(ground, lease, held.get(lease), standing.get(lease), done)

        await asyncio.gather(*(one(lease) for lease in sorted(wanted)))

    async def _claim(
        self, ground: Ground, lease: LeaseId, held: Held | None, leaf: Leaf | None, done: Collection[LeaseId]
    ) -> None:
        record = await self._chain.lease(lease)
        ended = held is not None and held.lease.state is LeaseState.ENDED
        if record is None:
            # An ended one that the chain never had is settled with nothing; one that waits for its anchor is not lost.
            if held is None:
                return
            late = ended and await self._chain.too_late(lease, held.acceptance.deadline, ground.heads)
            if held.voucher is not None and (held.anchor_tx or late):
                self._leave(lease, held.lease.paid, "the chain has no such lease: its anchor is not there")
            if late:
                await self._books.closed([lease], 0, ZERO)
            return
        if record.closed:
            if held is not None:
                await self._books.closed([lease], ground.heads.latest, record.paid)
            return
        if held is not None and ended and record.deposit > held.collateral:
            held = await self._raised(held, record.deposit)
        over = ended or record.overdue_at <= ground.now or (held is None and record.ended_at > 0)
        if lease in done and not over:
            return
        voucher = held.voucher if held else None
        if held is not None and voucher is not None and voucher.amount > record.deposit:
            voucher = held.sure_voucher if _fits(held.sure_voucher, record.deposit) else None
            missing = held.lease.paid - (voucher.amount if voucher else ZERO)
            self._leave(lease, missing, f"its deposit on chain is only {record.deposit}: its top-up is not there")
        reason = (held.lease.end_reason if held else EndReason.NONE) or record.end_reason or EndReason.EXPIRED
        key = held.order.pay_key if held else leaf.key if leaf else None
        if key is None:
            return
        ground.deposits[lease] = record.deposit
        item = Claimable(lease, key, record.deposit, over, voucher, leaf, reason if over else EndReason.NONE)
        if over and record.state is OnLedger.LOCKED and not item.grown:
            ground.idle.append(lease)
        else:
            ground.claimables[lease] = item

    def _leave(self, lease: LeaseId, amount: AttoFil, why: str) -> None:
        log.error("lease %s: %s is not claimed: %s", lease[:12], amount, why)
        self.unclaimed[lease] = Unclaimed(lease, amount, why)

    async def _raised(self, held: Held, deposit: AttoFil) -> Held:
        """An ended lease: one that runs is lengthened by TopUps alone, as far as its top-up is to be believed."""
        price = held.order.price.per_second.value
        extra = deposit.value // price - held.order.max_seconds if price else 0
        await self._store.set_extra_seconds(held.id, extra)
        return await self._store.lease(held.id)

    # Doing it.

    async def _refund(self, ground: Ground) -> None:
        """Give deposits back that nothing was earned of; it takes no proof."""
        idle = sorted(ground.idle)
        for first in range(0, len(idle), _REFUNDS):
            part = idle[first : first + _REFUNDS]
            self.stage = Stage("refunding", leases=len(part))
            try:
                await self._refunded(part)
            except Refused as error:
                if len(part) == 1:
                    log.warning("lease %s: no refund: %s", part[0][:12], error)
                    continue
                for lease in part:
                    try:
                        await self._refunded([lease])
                    except Refused as single:
                        log.warning("lease %s: no refund: %s", lease[:12], single)

    async def _refunded(self, leases: list[LeaseId]) -> None:
        receipt = await self._chain.refund(leases)
        await self._books.post("refund", receipt, ZERO, self._clock.now())
        await self._books.closed(leases, receipt.block)
        log.info("refunded %d leases that earned nothing", len(leases))

    async def _prove(self, ground: Ground) -> Kept | None:
        """Plan the next batch and prove it; the proof is in the books when this returns."""
        sizes = [size for size in (await self._prover.circuit()).provable if size <= ground.largest]
        batch = plan_batch(ground.claimables.values(), ground.leaves.values(), sizes, ground.shard.demanded)
        if batch is None:
            return None
        self.stage = proving = Stage("proving", batch.size, len(batch.operations))

        def progress(stage: str, done: int) -> None:
            self.stage = replace(proving, part=stage, done=done)

        proof = await self._prover.prove(
            self._domain, batch.size, batch.window, list(ground.leaves.values()), batch.operations, progress
        )
        if int(proof.old_root, 16) != int(ground.shard.root, 16):
            raise Unavailable("the chain's root has moved while a batch was proven", "it is planned anew")
        refunded = sum((ground.deposits[o.leaf.lease] - o.amount for o in batch.operations if o.close), ZERO)
        return await self._books.keep(batch, proof, refunded, self._clock.now())

    async def _try(self, ground: Ground, kept: Kept, settled: list[Settled]) -> None:
        """Post a batch; one whose gas is too dear is planned anew of fewer leases, if there is a smaller size."""
        try:
            settled.append(await self._post(kept))
        except TooDear as error:
            smaller = [size for size in (await self._prover.circuit()).provable if size < kept.batch.size]
            if not smaller:
                raise
            log.warning("settlement: %s; trying batches of %d", error.message, max(smaller))
            ground.largest = max(smaller)
            await self._books.mark(kept, BatchState.DROPPED)
        else:
            advance(ground, kept)

    async def _post(self, kept: Kept) -> Settled:
        self.stage = Stage("posting", kept.batch.size, len(kept.batch.operations))
        await self._books.mark(kept, BatchState.POSTING)
        try:
            receipt = await self._chain.settle(self._provider, kept.batch.operations, kept.proof)
        except Refused:
            await self._books.mark(kept, BatchState.REFUSED)
            raise
        except (ConfigError, TooDear):
            await self._books.mark(kept, BatchState.PROVEN)  # no gas, for one: the proof is good for later
            raise
        await self._books.mined(kept, receipt, self._clock.now())
        proof = kept.proof
        log.info("settled %d leases: earned %s, refunded %s", len(kept.batch.leases), proof.earned, kept.refunded)
        return Settled(kept.batch, kept, receipt)

    async def history(self) -> list[dict[str, Any]]:
        """The posted batches, newest first."""
        kept = await self._books.kept(BatchState.MINED, BatchState.FINAL)
        return [
            Settled(one.batch, one, Receipt(one.tx, one.block, one.gas, one.fee)).to_json()
            | {"at": one.settled_at, "state": one.state.value}
            for one in reversed(kept[-100:])
        ]


def _fits(voucher: Voucher | None, deposit: AttoFil) -> bool:
    return voucher is not None and voucher.amount <= deposit
