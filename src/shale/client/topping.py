"""Topping up: raises the deposit and the time of a running lease; the provider and our own agent hear of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from shale.chain.chain import Chain
from shale.client.api import ProviderApi
from shale.client.discovery import Door
from shale.client.plan import MAX_SECONDS
from shale.client.rental import Rental
from shale.client.store import Store
from shale.errors import Closed, ConfigError, InputRefused, Refused, ShaleError
from shale.market.accounts import Account
from shale.paths import Home
from shale.units import ZERO, AttoFil, checked_address

Report = Callable[[str, str, str], None]
"""Called with a step's name, its state (started, done, failed) and a detail."""
TellAgent = Callable[[Home, str], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class TopUp:
    """What a top-up comes to: whole ticks of time, at the lease's price; `deposit` of it comes out of the wallet."""

    extra_seconds: int
    amount: AttoFil
    deposit: AttoFil
    max_seconds: int
    wallet: AttoFil
    ledger: AttoFil


@dataclass(frozen=True, slots=True)
class Topping:
    """The parts that it takes. `free_balance` is the ledger balance that no other lease of ours will lock."""

    home: Home
    chain: Chain
    account: Account
    store: Store
    free_balance: Callable[[], Awaitable[AttoFil]]
    tell_agent: TellAgent
    door: Door = ProviderApi

    async def plan(self, rental: Rental, seconds: int | None, amount: AttoFil | None) -> TopUp:
        """For so many seconds, rounded up to whole ticks, or for what an amount buys, rounded down.

        Raises Closed when the lease has ended, Refused while it isn't on chain, ConfigError without the money.
        """
        record = await self.chain.lease(rental.id)
        if rental.ended or (record is not None and (record.closed or record.ended_at)):
            raise Closed(f"the lease {rental.name} has ended", "begin another one with shale up")
        if record is None:
            raise Refused(f"the lease {rental.name} is not on the chain yet", "try again in a minute")
        tick, price = rental.order.tick_seconds, rental.price.per_second.value
        if seconds is not None:
            extra = -(-seconds // tick) * tick
        elif amount is not None and price:
            extra = amount.value // price // tick * tick
        else:
            extra = 0
        if extra < tick:
            raise InputRefused(f"that buys no whole tick of {tick} s", f"a tick costs {rental.price.over(tick)}")
        if rental.max_seconds + extra > MAX_SECONDS:
            raise InputRefused("a lease can't last over 10 years", "ask for less time")
        owner = checked_address(self.account.address)
        # A contract's lease is topped up as by anybody: out of the wallet.
        mine = rental.order.client == owner
        cost, ledger = rental.price.over(extra), await self.free_balance() if mine else ZERO
        wallet, missing = await self.chain.wallet_balance(owner), cost - ledger if cost > ledger else ZERO
        if wallet < missing:
            raise ConfigError(
                f"the wallet has {wallet} and the ledger {ledger}, the top-up is {cost}",
                f"fund {owner}, or ask for less time",
            )
        return TopUp(extra, cost, missing if mine else ZERO, rental.max_seconds + extra, wallet, ledger)

    async def top_up(self, rental: Rental, plan: TopUp, report: Report) -> tuple[Rental, str]:
        """Do it. Returns the lease and the transaction. What can't be told now is read off the chain by itself."""
        if plan.deposit:
            report("deposit", "started", str(plan.deposit))
            await self.chain.deposit(plan.deposit, by_itself=True)
            report("deposit", "done", str(plan.deposit))
        report("top-up", "started", str(plan.amount))
        receipt = await self.chain.top_up(rental.order, plan.extra_seconds)
        rental = await self.refresh(rental)
        report("top-up", "done", f"{plan.amount} in {receipt.tx[:14]}…")
        # Our own agent first: it must not take a provider that asks for the new time for one that cheats.
        await self.tell_agent(self.home, rental.name)
        report("provider", "started", "")
        try:
            async with self.door(rental.endpoint) as api:
                await api.topped_up(rental.id)
            report("provider", "done", "it knows")
        except ShaleError:
            report("provider", "failed", "it doesn't answer: it reads the chain within a minute of its own")
        return rental, receipt.tx

    async def refresh(self, rental: Rental) -> Rental:
        """Take over the deposit that the chain has, whoever raised it."""
        price = rental.price.per_second.value
        with suppress(ShaleError):
            record = await self.chain.lease(rental.id)
            if record is not None and record.deposit > rental.collateral and price:
                return self.store.set_extra_seconds(rental.id, record.deposit.value // price - rental.order.max_seconds)
        return rental
