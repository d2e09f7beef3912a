"""Exiting: gets a lease's deposit back without its provider, once the chain lets anyone close it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from shale.chain.chain import Chain, LeaseRecord, OnLedger, Receipt
from shale.client.rental import Rental
from shale.client.store import Store
from shale.clock import Clock
from shale.errors import Refused, Unavailable
from shale.ledger.rebuild import rebuild_at
from shale.market.accounts import Account
from shale.market.lease import EndReason, LeaseState
from shale.market.order import End
from shale.market.signing import SigningDomain
from shale.payments.batch import Leaf, Operation, Proof
from shale.proofs.prover import Prover
from shale.units import AttoFil

WINDOW_SECONDS = 24 * 3600
"""From an End on chain to the moment from which anyone may close the lease (docs/protocol.md, section 5)."""
_TRIES = 3
POLL_SECONDS = 15.0

Report = Callable[[str, str, str], None]
"""Called with a step's name, its state (started, done, failed) and a detail."""


class Way(Enum):
    """How a lease was closed, or why it is not: WAITING, the window is open; NOTHING, its money was never locked.

    CLOSED: it was, by its provider or by another try of ours, which the chain does not tell apart.
    """

    WAITING = "waiting"
    NOTHING = "nothing"
    CLOSED = "closed"
    REFUND = "refund"
    PROOF = "proof"


@dataclass(frozen=True, slots=True)
class Exited:
    """What became of it. `can_act_at` is in the chain's time; `back` is what has come to the ledger balance.

    `leaves` are those of the tree on whose root `proof` stands: the one at which the close was demanded.
    """

    rental: Rental
    way: Way
    can_act_at: int = 0
    seconds_left: int = 0
    back: AttoFil | None = None
    receipt: Receipt | None = None
    proof: Proof | None = None
    leaves: int = 0


@dataclass(frozen=True, slots=True)
class Exiting:
    """The parts that it takes to exit. `prover` needs the proving key of size 1."""

    chain: Chain
    prover: Prover
    account: Account
    signing: SigningDomain
    store: Store
    clock: Clock

    async def exit(self, rental: Rental, report: Report, *, wait: bool = False) -> Exited:
        """Close an ended lease as far as it can be done now; with `wait`, stay until it can.

        Raises Refused while the lease runs, and what the chain or the prover says.
        """
        if not rental.ended:
            raise Refused(f"the lease {rental.name} still runs", f"end it first: shale end {rental.name}")
        record = await self.chain.lease(rental.id)
        if record is None:
            return Exited(rental, Way.NOTHING)
        if record.closed:
            return self._closed(rental, record, Way.CLOSED)
        record = await self._begin_window(rental, record, report)
        if record.closed:
            return self._closed(rental, record, Way.CLOSED)
        now = (await self.chain.heads()).time
        while now < record.overdue_at:
            if not wait:
                return Exited(rental, Way.WAITING, record.overdue_at, record.overdue_at - now)
            record, now = await self._later(rental, min(POLL_SECONDS, record.overdue_at - now), report)
            if record.closed:
                return self._closed(rental, record, Way.CLOSED)
        if record.state is OnLedger.LOCKED:
            return await self._refund(rental, report)
        return await self._prove(rental, report)

    async def _begin_window(self, rental: Rental, record: LeaseRecord, report: Report) -> LeaseRecord:
        """Our End on chain starts the window; without it the lease's whole term would have to pass."""
        now = (await self.chain.heads()).time
        if record.ended_at or record.overdue_at <= now + WINDOW_SECONDS:
            return record
        report("end", "started", "our End starts the window of 24 h")
        end = End(rental.order_hash, rental.paid, rental.seconds, EndReason.CLIENT_ENDED, self.clock.now())
        try:
            await self.chain.end_lease(end, self.signing.sign(end, self.account))
        except Refused:
            # An End came first: one of ours that an earlier, killed command had signed, or the provider's.
            if not ((record := await self._present(rental)).ended_at or record.closed):
                raise
        report("end", "done", "the End stands on the chain")
        return await self._present(rental)

    async def _later(self, rental: Rental, pause: float, report: Report) -> tuple[LeaseRecord, int]:
        """The lease and the chain's time after a pause, however long the node is away: the window lasts a day."""
        while True:
            await self.clock.sleep_until(self.clock.steady() + pause)
            try:
                now = (await self.chain.heads()).time
                return await self._present(rental), now
            except Unavailable as error:
                report("window", "started", f"{error.message}; asking again")
                pause = POLL_SECONDS

    async def _present(self, rental: Rental) -> LeaseRecord:
        record = await self.chain.lease(rental.id)
        if record is None:
            raise Refused("the chain has taken the lease back", "try again in a minute")
        return record

    async def _refund(self, rental: Rental, report: Report) -> Exited:
        """Nothing was ever redeemed: all comes back, and it takes no proof."""
        report("refund", "started", "nothing was redeemed")
        try:
            receipt = await self.chain.refund([rental.id])
        except Refused:
            if not (record := await self._present(rental)).closed:
                raise
            return self._closed(rental, record, Way.CLOSED)
        report("refund", "done", receipt.tx)
        done = self._closed(rental, await self._present(rental), Way.REFUND)
        return replace(done, receipt=receipt)

    async def _prove(self, rental: Rental, report: Report) -> Exited:
        """Demand the close, rebuild the provider's tree as it was then, prove the close of our leaf on it, and post it.

        The ledger takes that proof wherever the provider has moved its root by then. Only a reorganisation that moves
        the demand itself can stale it: then it is proven anew.
        """
        provider, places = rental.order.provider, self.chain.deployment
        domain = await self.prover.domain(places.chain_id, places.ledger)
        for attempt in range(_TRIES):
            if (root := await self._demand(rental, report)) is None:
                return self._closed(rental, await self._present(rental), Way.CLOSED)
            report("tree", "started", "as it was at the demand, from the chain's events")
            leaves = await rebuild_at(self.chain, self.prover, provider, root)
            report("tree", "done", f"{len(leaves)} leaves, as the root of the demand proves")
            if (record := await self._present(rental)).closed:
                return self._closed(rental, record, Way.CLOSED)
            operation = _close_of(rental, leaves)

            def told(part: str, done: int) -> None:
                report("proof", "started", f"{part} {done // 10} %")

            report("proof", "started", "")
            proof = await self.prover.prove(domain, 1, operation.leaf.index, leaves, [operation], told)
            report("proof", "done", f"{proof.prove_seconds:.1f} s")
            report("close", "started", "")
            try:
                receipt = await self.chain.settle(provider, [operation], proof)
            except Refused:
                record = await self._present(rental)
                if record.closed:
                    return self._closed(rental, record, Way.CLOSED)
                if attempt == _TRIES - 1 or await self.chain.demanded_root(rental.id) == root:
                    raise
                continue
            report("close", "done", receipt.tx)
            done = self._closed(rental, await self._present(rental), Way.PROOF)
            return replace(done, receipt=receipt, proof=proof, leaves=len(leaves))
        raise AssertionError("unreachable: the last try returns or raises")

    async def _demand(self, rental: Rental, report: Report) -> str | None:
        """The root at which the close was demanded: by us now, unless somebody has done it before.

        None if the lease was closed before anybody had to.
        """
        if (root := await self.chain.demanded_root(rental.id)) is not None:
            return root
        report("demand", "started", "what is proven on the root of now holds wherever the provider moves it")
        try:
            await self.chain.demand_close(rental.id)
        except Refused:
            # Somebody was faster: with a demand, or with the close itself.
            root = await self.chain.demanded_root(rental.id)
            if root is None:
                if (await self._present(rental)).closed:
                    return None
                raise
        else:
            root = await self.chain.demanded_root(rental.id)
        if root is None:
            raise Unavailable("the node doesn't show the demand yet", "try again in a minute")
        report("demand", "done", "")
        return root

    def _closed(self, rental: Rental, record: LeaseRecord, way: Way) -> Exited:
        if rental.state is not LeaseState.SETTLED:
            rental = self.store.settle(rental.id, record.paid, record.seconds)
        return Exited(rental, way, back=record.deposit - record.paid)


def _close_of(rental: Rental, leaves: tuple[Leaf, ...]) -> Operation:
    leaf = next((leaf for leaf in leaves if leaf.lease == rental.id), None)
    if leaf is None:
        raise Refused("the lease has no leaf in the tree at which its close was demanded", "ask another node")
    return Operation(leaf, False, True, None, rental.end_reason or EndReason.CLIENT_ENDED)
