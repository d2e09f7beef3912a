"""Ending: the client's signed End, brought to the provider by the agent, else by HTTP, else to the chain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Any

from shale.chain.chain import Chain
from shale.client.api import ProviderApi, end_to_json
from shale.client.discovery import Door
from shale.client.rental import Rental, check_end
from shale.client.sshconfig import write_ssh_config
from shale.client.store import Store
from shale.clock import Clock
from shale.errors import Closed, Refused, ShaleError, Unavailable
from shale.market.accounts import Account
from shale.market.lease import EndReason, LeaseState
from shale.market.order import End
from shale.market.signing import SigningDomain
from shale.paths import Home
from shale.units import ZERO, AttoFil

AskAgent = Callable[[Home, str, dict[str, Any], str], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Ending:
    """The parts that it takes to end. `chain` is opened only if the provider can't be reached."""

    home: Home
    account: Account
    signing: SigningDomain
    store: Store
    clock: Clock
    ask_agent: AskAgent
    chain: Callable[[], AbstractAsyncContextManager[Chain]]
    door: Door = ProviderApi

    async def end(self, rental: Rental) -> tuple[Rental, str]:
        """End a lease by the client's wish. Returns it, and which way it went: agent, provider, chain or books."""
        if rental.end_reason is EndReason.START_FAILED and await self._by_chain(rental) == "chain":
            return rental, "chain"
        if rental.ended:
            raise Closed(f"the lease {rental.name} has ended already ({rental.end_reason.text})", "see shale ps --all")
        way = "provider"
        if rental.state in (LeaseState.ACCEPTED, LeaseState.STARTING):
            way = await self._by_provider(rental)
        else:
            try:
                end, signature = self._sign(rental, rental.paid, rental.seconds)
                await self.ask_agent(self.home, rental.name, end_to_json(end), signature)
                way = "agent"
            except ShaleError:
                way = await self._by_provider(rental)
        ended = self.store.by_id(rental.id)
        if not ended.ended:
            ended = self.store.end(rental.id, EndReason.CLIENT_ENDED, self.clock.now())
        write_ssh_config(self.home, self.store.rentals(living=True))
        return ended, way

    def _sign(self, rental: Rental, amount: AttoFil, seconds: int) -> tuple[End, str]:
        end = End(rental.order_hash, amount, seconds, EndReason.CLIENT_ENDED, self.clock.now())
        return end, self.signing.sign(end, self.account)

    async def _by_provider(self, rental: Rental) -> str:
        try:
            async with self.door(rental.endpoint) as api:
                remote = await api.lease(rental.id)
                # The last voucher may never have arrived: the End names no more than the provider has.
                amount, seconds = min((remote.paid, remote.seconds), (rental.paid, rental.seconds))
                end, signature = self._sign(rental, amount, seconds)
                final, by_provider = await api.end(rental.id, end, signature)
            check_end(rental, final, by_provider, self.signing)
        except (Unavailable, Refused, Closed):
            # Silent, not true to the protocol, or it knows of no such lease: the chain takes our End without it.
            return await self._by_chain(rental)
        self.store.end(rental.id, final.reason, min(final.at, self.clock.now()))
        return "provider"

    async def _by_chain(self, rental: Rental) -> str:
        """Write our End to the chain, which starts the time after which anyone may close the lease."""
        async with self.chain() as chain:
            record = await chain.lease(rental.id)
            if record is None:
                return "books"
            if not record.ended_at:
                end, signature = self._sign(rental, rental.paid, rental.seconds)
                try:
                    await chain.end_lease(end, signature)
                except Refused:
                    # An End came first: one of ours that an earlier, killed command had signed, or the provider's.
                    record = await chain.lease(rental.id)
                    if record is None or not (record.ended_at or record.closed):
                        raise
        return "chain"


async def refresh_settled(store: Store, chain: Chain, network: str) -> list[Rental]:
    """Take over from the chain what it has proven of ended leases; a node that doesn't answer changes nothing.

    A start that failed is forgotten once the chain can't lock its collateral any more. Returns those whose collateral
    the provider has locked all the same: `Ending.end` frees it.
    """
    locked = []
    for rental in store.rentals():
        if rental.state is LeaseState.ENDED and rental.network == network:
            with suppress(ShaleError):
                record = await chain.lease(rental.id)
                failed = rental.end_reason is EndReason.START_FAILED
                if record is not None and record.closed:
                    store.settle(rental.id, record.paid, record.seconds)
                elif record is not None and failed and not record.ended_at:
                    locked.append(rental)
                elif (
                    record is None
                    and failed
                    and await chain.too_late(rental.id, rental.order.deadline, await chain.heads())
                ):
                    store.forget(rental.id)
    return locked


def refund(rental: Rental) -> AttoFil:
    """What comes back to the ledger balance once the lease is settled, as far as it is known."""
    paid = rental.paid if rental.settled_paid is None else rental.settled_paid
    return rental.collateral - paid if paid <= rental.collateral else ZERO
