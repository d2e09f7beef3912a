"""Leasing: from a plan to a running lease, in steps that are undone when a later one fails.

Until the provider says that the container is ready nothing is paid, and a failure leaves no key, no row and no deposit.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

from shale.chain.chain import Chain, Receipt
from shale.client.api import ProviderApi, Step
from shale.client.discovery import Door
from shale.client.keys import UserKey, new_ssh_key
from shale.client.plan import Plan
from shale.client.rental import Gateway, Rental, Shell, new_rental
from shale.client.sshconfig import write_ssh_config
from shale.client.store import Store
from shale.client.verifying import keep_offer
from shale.clock import Clock
from shale.errors import ConfigError, InputRefused, ShaleError
from shale.market.accounts import Account
from shale.market.lease import EndReason, LeaseState
from shale.market.offer import Offer
from shale.market.order import Acceptance, Confirmation, End, Order
from shale.market.signing import SigningDomain
from shale.paths import Home, write_private
from shale.proofs.prover import Prover
from shale.units import ZERO, Address, AttoFil, checked_address

ORDER_SECONDS = 600
"""How long an order stays good; the provider anchors it within that time."""
STOP_SECONDS = 60.0
"""How long we wait, when interrupted, for the provider to finish what it began, so that we can end it."""

Report = Callable[[str, str, str], None]
"""Called with a step's name, its state (started, done, failed) and a detail."""
Adopt = Callable[[Home, str], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Leasing:
    """The parts that it takes to lease. `adopt` hands a lease to the agent, `door` opens a provider's API."""

    home: Home
    network: str
    chain: Chain
    prover: Prover
    account: Account
    signing: SigningDomain
    store: Store
    clock: Clock
    adopt: Adopt
    door: Door = ProviderApi
    contract: Address | None = None
    """The contract that the account signs for (ERC-1271): it is the client then, and its ledger balance pays."""

    @property
    def client(self) -> Address:
        return self.contract or checked_address(self.account.address)

    async def free_balance(self, *, but: Rental | None = None) -> AttoFil:
        """The ledger balance that no living lease of ours (`but` one) will still lock: they are anchored later."""
        owner = self.client
        balance = await self.chain.ledger_balance(owner)
        reserved = 0
        for rental in self.store.rentals(living=True):
            if rental.network == self.network and rental.order.client == owner and (but is None or rental.id != but.id):
                known = await self.chain.lease(rental.id)
                reserved += 0 if known else rental.collateral.value
        return AttoFil(max(0, balance.value - reserved))

    async def check_money(self, collateral: AttoFil) -> tuple[AttoFil, AttoFil]:
        """Wallet and free ledger balance. Raises ConfigError when they don't reach the collateral."""
        owner, ledger = self.client, await self._balance_for(collateral)
        wallet = await self.chain.wallet_balance(owner)
        if self.contract is not None and ledger < collateral:
            raise self._no_money_of_contract(ledger, collateral)
        if wallet.value + ledger.value < collateral.value:
            raise ConfigError(
                f"the wallet has {wallet} and the ledger {ledger}, the collateral is {collateral}",
                f"fund {owner}, or ask for less time",
            )
        return wallet, ledger

    async def _balance_for(self, collateral: AttoFil, *, but: Rental | None = None) -> AttoFil:
        """The free balance. What an earlier command sent is waited for where it could change what has to be deposited.

        Where the balance is enough that is what takes from it alone; where it isn't we have to send ourselves.
        """
        await self.chain.take_up(to_send=False)
        free = await self.free_balance(but=but)
        if free >= collateral:
            return free
        await self.chain.take_up(to_send=True)
        return await self.free_balance(but=but)

    def _no_money_of_contract(self, have: AttoFil, needed: AttoFil) -> ConfigError:
        """Nothing is deposited for it by itself: only the contract could take it out again."""
        return ConfigError(
            f"the free ledger balance of the contract {self.contract} is {have}, the collateral is {needed}",
            "deposit for it: shale wallet deposit, or by the contract's own call",
        )

    async def lease(self, plan: Plan, name: str, user_key: UserKey | None, report: Report) -> Rental:
        """Order, confirm, start, and hand the lease to the agent. Without `user_key` one is made for this lease."""
        async with AsyncExitStack() as undo:
            rental = await self._order(plan, name, user_key, report, undo)
            async with self.door(rental.endpoint) as api:
                await self.deposit(rental.collateral, report, undo, but=rental)
                shell = await self._start(api, rental, report)
            undo.pop_all()
        return await self.enter(rental, shell, report)

    async def draft(
        self, plan: Plan, name: str, user_key: UserKey | None, seconds: int, undo: AsyncExitStack
    ) -> tuple[Order, UserKey]:
        """Make a lease's keys, and the order that names them, good for so many seconds; `undo` removes the keys."""
        gateway_key, pay_key = new_ssh_key(), await self.prover.keygen()
        folder = self.store.keep_secrets(name, gateway_key.private, pay_key)
        undo.callback(self.store.drop_secrets, name, pay_key.public)
        if user_key is None:
            own = new_ssh_key()
            write_private(folder / "user_key", own.private)
            user_key = UserKey(own.public, str(folder / "user_key"))
        keep_offer(self.store, name, plan.found.signed)
        order = Order(
            client=self.client,
            provider=plan.provider,
            offer=self.signing.offer_hash(plan.found.signed),
            resources=plan.resources,
            image=plan.image,
            dataset=plan.dataset.root if plan.dataset else "",
            price=plan.price,
            max_seconds=plan.max_seconds,
            tick_seconds=plan.offer.tick_seconds,
            ssh_key=user_key.line,
            gateway_key=gateway_key.public,
            pay_key=pay_key.public,
            nonce=secrets.randbits(63),
            deadline=self.clock.now() + seconds,
        )
        return order, user_key

    async def _order(
        self, plan: Plan, name: str, user_key: UserKey | None, report: Report, undo: AsyncExitStack
    ) -> Rental:
        """Make the keys, sign the order, and get it accepted."""
        order, user_key = await self.draft(plan, name, user_key, ORDER_SECONDS, undo)
        offer, endpoint, mount = plan.offer, plan.found.record.endpoint, plan.mount if plan.dataset else ""
        signature = self.signing.sign(order, self.account)
        report("order", "started", f"{offer.name} ({offer.provider})")
        async with self.door(endpoint) as api:
            acceptance, acceptance_signature = await api.order(order, mount, signature)
        self.check_acceptance(order, acceptance, acceptance_signature)
        rental = new_rental(
            name=name,
            network=self.network,
            order=order,
            order_signature=signature,
            acceptance=acceptance,
            acceptance_signature=acceptance_signature,
            provider_name=offer.name,
            endpoint=endpoint,
            gateway=gateway_of(offer),
            mount=mount,
            ssh_key=user_key.identity,
            at=self.clock.now(),
        )
        self.store.add(rental)
        undo.push_async_callback(self._forget, rental)
        report("order", "done", f"accepted as {rental.id[:14]}…")
        return rental

    def check_acceptance(self, order: Order, acceptance: Acceptance, signature: str) -> None:
        """Raise InputRefused unless that is the provider's yes to this order, in time."""
        if acceptance.order != self.signing.order_hash(order):
            raise InputRefused("the provider accepted another order than ours", "choose another provider")
        if not self.clock.now() < acceptance.deadline <= order.deadline:
            raise InputRefused("the provider's acceptance has no proper deadline", "choose another provider")
        self.signing.check(acceptance, signature, order.provider)

    async def deposit(
        self, collateral: AttoFil, report: Report, undo: AsyncExitStack, *, but: Rental | None = None
    ) -> None:
        """Bring the free balance up to the collateral (of `but`); a later failure takes the deposit out again."""
        free = await self._balance_for(collateral, but=but)
        if free >= collateral:
            return
        if self.contract is not None:
            raise self._no_money_of_contract(free, collateral)
        missing = collateral - free
        report("deposit", "started", str(missing))
        # A transaction on its way can't be called back: it ends by itself, and only then may be undone.
        sending = asyncio.ensure_future(self.chain.deposit(missing, by_itself=True))
        undo.push_async_callback(self._give_back, sending, missing, report)
        receipt = await asyncio.shield(sending)
        report("deposit", "done", f"{missing} in {receipt.tx[:14]}…")

    async def _give_back(self, sending: asyncio.Future[Receipt], amount: AttoFil, report: Report) -> None:
        await asyncio.wait({sending})
        if sending.exception() is not None:
            return
        try:
            await self.chain.withdraw(amount, by_itself=True)
            report("withdraw", "done", f"{amount} are back in the wallet")
        except ShaleError as error:
            report("withdraw", "failed", f"{amount} stay in the ledger, see shale wallet balance ({error.message})")

    async def _start(self, api: ProviderApi, rental: Rental, report: Report) -> Shell:
        """Confirm, and follow the start to its end; on failure the provider gets our End."""
        confirmation = Confirmation(
            rental.order_hash,
            self.signing.struct_hash(rental.acceptance),
            rental.collateral,
            rental.order.deadline,
        )
        signature = self.signing.sign(confirmation, self.account)
        self.store.set_state(rental.id, LeaseState.STARTING)
        following = asyncio.ensure_future(_follow(api, confirmation, signature, report))
        try:
            return await asyncio.shield(following)
        except asyncio.CancelledError:
            # The provider goes on starting what it began; only a lease that runs can be ended.
            report("stop", "started", "the provider finishes what it began, then ends it")
            _, late = await asyncio.wait({following}, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await self.send_end(api, rental)
            raise
        except ShaleError:
            await self.send_end(api, rental)
            raise

    async def enter(self, rental: Rental, shell: Shell, report: Report) -> Rental:
        """The container runs: from now on it is paid for, so it must be in the books, or be ended at once."""
        try:
            rental = await self.hand_over(self.store.set_shell(rental.id, shell), report)
        except BaseException:
            async with self.door(rental.endpoint) as api:
                await self.send_end(api, rental)
            self.store.end(rental.id, EndReason.CLIENT_ENDED, self.clock.now())
            write_ssh_config(self.home, self.store.rentals(living=True))
            raise
        return rental

    async def hand_over(self, rental: Rental, report: Report) -> Rental:
        """Have `ssh` know a running lease, and the agent pay for it; once more changes nothing."""
        write_ssh_config(self.home, self.store.rentals(living=True))
        report("agent", "started", "")
        await self.adopt(self.home, rental.name)
        report("agent", "done", "it pays from now on")
        return rental

    async def send_end(self, api: ProviderApi, rental: Rental) -> None:
        """Tell the provider that it is over, nothing being paid; if it doesn't hear us, an unpaid lease ends too."""
        end = End(rental.order_hash, ZERO, 0, EndReason.CLIENT_ENDED, self.clock.now())
        with suppress(ShaleError):
            await api.end(rental.id, end, self.signing.sign(end, self.account))

    async def _forget(self, rental: Rental) -> None:
        """Drop the row, unless the provider holds our confirmation: until its deadline the chain may yet take it."""
        locked = None
        with suppress(ShaleError):
            locked = await self.chain.lease(rental.id)
        if locked is None and self.store.by_id(rental.id).state is LeaseState.ACCEPTED:
            self.store.forget(rental.id)
        else:
            self.store.end(rental.id, EndReason.START_FAILED, self.clock.now())


async def _follow(api: ProviderApi, confirmation: Confirmation, signature: str, report: Report) -> Shell:
    async with api.confirm(confirmation, signature) as items:
        return await follow(items, report)


async def follow(items: AsyncIterator[Step | Shell], report: Report) -> Shell:
    """Report a start's steps until its shell is ready."""
    async for item in items:
        if isinstance(item, Shell):
            return item
        report(item.name, item.state, item.detail)
    raise AssertionError("unreachable: the stream ends with a shell or an error")


def gateway_of(offer: Offer) -> Gateway:
    return Gateway(offer.gateway_host, offer.gateway_port, offer.gateway_user, offer.host_key)
