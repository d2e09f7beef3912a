"""Earnings: what was earned, refunded, collected and spent on fees: by lease, by batch, by period."""

from __future__ import annotations

from typing import Any

from shale.chain.chain import Chain
from shale.market.lease import LeaseState
from shale.provider.ledger_books import BatchState, Kept, LedgerBooks
from shale.provider.store import Held, Store
from shale.units import ZERO, Address, AttoFil, LeaseId


class Earnings:
    """Sums over the books; only `owed` is asked of the chain."""

    def __init__(self, store: Store, books: LedgerBooks, chain: Chain, provider: Address) -> None:
        self._store = store
        self._books = books
        self._chain = chain
        self._provider = provider

    async def report(self, since: int = 0) -> dict[str, Any]:
        """All amounts as decimal texts of attoFIL. `since` (Unix seconds) leaves older batches and fees out."""
        kept = await self._books.kept(BatchState.MINED, BatchState.FINAL)
        batches = [one for one in kept if one.settled_at >= since]
        postings = await self._books.postings(since)
        fees: dict[str, AttoFil] = {}
        for posting in postings:
            fees[posting["kind"]] = fees.get(posting["kind"], ZERO) + posting["fee"]
        shares = _shares(batches)
        held = {one.id: one for one in await self._store.leases()}
        unredeemed = await self._unredeemed(held)
        return {
            "since": since,
            "earned_attofil": _text(sum((one.proof.earned for one in batches), ZERO)),
            "refunded_attofil": _text(sum((one.refunded for one in batches), ZERO)),
            "collected_attofil": str(sum(posting["amount"] for posting in postings if posting["kind"] == "collect")),
            "owed_attofil": _text((await self._chain.shard(self._provider)).owed),
            "unredeemed_attofil": _text(sum(unredeemed.values(), ZERO)),
            "forgone_attofil": _text(sum((await self._books.forgone()).values(), ZERO)),
            "fees_attofil": _text(sum(fees.values(), ZERO)),
            "fees_by_kind_attofil": {kind: _text(fee) for kind, fee in sorted(fees.items())},
            "batches": [_batch(one) for one in reversed(batches)],
            "leases": [
                {
                    "lease_id": lease,
                    "client": held[lease].order.client if lease in held else "",
                    "state": held[lease].lease.state.value if lease in held else "",
                    "earned_attofil": _text(earned),
                    "fees_attofil": _text(fee),
                    "unredeemed_attofil": _text(unredeemed.get(lease, ZERO)),
                }
                for lease, (earned, fee) in (shares | _bare(unredeemed, shares)).items()
            ],
        }

    async def _unredeemed(self, held: dict[LeaseId, Held]) -> dict[LeaseId, AttoFil]:
        """What vouchers in the books are worth beyond what was redeemed."""
        redeemed = {leaf.lease: leaf.amount for leaf in await self._books.tree()}
        worth = {}
        for lease, one in held.items():
            before = redeemed.get(lease, ZERO)
            if one.lease.state is not LeaseState.SETTLED and one.lease.paid > before:
                worth[lease] = one.lease.paid - before
        return worth


def _shares(batches: list[Kept]) -> dict[LeaseId, tuple[AttoFil, AttoFil]]:
    """By lease: what its operations earned, and an equal share of each batch's fee (the rest goes to the first)."""
    shares: dict[LeaseId, tuple[AttoFil, AttoFil]] = {}
    for one in batches:
        share, rest = divmod(one.fee.value, len(one.batch.operations))
        for operation in one.batch.operations:
            earned, fee = shares.get(operation.leaf.lease, (ZERO, ZERO))
            shares[operation.leaf.lease] = (earned + operation.earned, fee + AttoFil(share + rest))
            rest = 0
    return shares


def _bare(
    unredeemed: dict[LeaseId, AttoFil], shares: dict[LeaseId, tuple[AttoFil, AttoFil]]
) -> dict[LeaseId, tuple[AttoFil, AttoFil]]:
    return {lease: (ZERO, ZERO) for lease in unredeemed if lease not in shares}


def _batch(one: Kept) -> dict[str, Any]:
    return {
        "at": one.settled_at,
        "state": one.state.value,
        "tx": one.tx,
        "size": one.batch.size,
        "leases": len(one.batch.operations),
        "earned_attofil": _text(one.proof.earned),
        "refunded_attofil": _text(one.refunded),
        "fee_attofil": _text(one.fee),
        "prove_seconds": one.proof.prove_seconds,
    }


def _text(amount: AttoFil) -> str:
    return str(amount.value)
