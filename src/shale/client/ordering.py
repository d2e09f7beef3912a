"""Ordering: a lease by plain transactions: create, confirm, cancel; each goes on from where an earlier one stopped."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace

from shale.chain.chain import OrderStage, Receipt, TooDear
from shale.client import published as kept
from shale.client.api import ProviderApi
from shale.client.keys import UserKey
from shale.client.leasing import Leasing, Report, follow, gateway_of
from shale.client.plan import Plan
from shale.client.published import PublishedOrder
from shale.client.rental import Rental, Shell
from shale.errors import Closed, ConfigError, InputRefused, Refused, ShaleError, Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.market.order import Acceptance

ORDER_SECONDS = 3300
"""How long it stays good: three transactions at 30 s a block and more, within the hour that providers take."""
BEGIN_SECONDS = 180
"""How long a provider whose node has not seen our confirmation yet is asked again."""
_LOOK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Ordering:
    """What it takes is what it takes to lease."""

    leasing: Leasing

    async def create(
        self, plan: Plan, name: str, user_key: UserKey | None, report: Report
    ) -> tuple[PublishedOrder, Receipt]:
        """Make an order and write it to the chain. It is on the disk before it is sent."""
        leasing, offer = self.leasing, plan.offer
        await leasing.chain.take_up(to_send=True)  # before the order's time begins
        async with AsyncExitStack() as undo:
            order, key = await leasing.draft(plan, name, user_key, ORDER_SECONDS, undo)
            published = PublishedOrder(
                name=name,
                network=leasing.network,
                order=order,
                order_hash=leasing.signing.order_hash(order),
                provider_name=offer.name,
                endpoint=plan.found.record.endpoint,
                gateway=gateway_of(offer),
                mount=plan.mount if plan.dataset else "",
                ssh_key=key.identity,
                created_at=leasing.clock.now(),
            )
            kept.keep(leasing.store, published)
            report("order", "started", f"{offer.name} ({offer.provider})")
            try:
                receipt = await leasing.chain.create_order(order)
            except (Refused, ConfigError, TooDear):
                raise  # nothing was sent: nothing stays
            except BaseException:
                undo.pop_all()  # it may yet come into a block
                raise
            undo.pop_all()
        report("order", "done", f"created as {published.id[:14]}… in {receipt.tx[:14]}…")
        return published, receipt

    async def confirm(self, published: PublishedOrder, report: Report) -> Rental:
        """Have it accepted, confirm it, and enter the lease. After an interruption it is called again."""
        leasing = self.leasing
        stage = await leasing.chain.order_stage(published.id)
        if stage is not OrderStage.OPEN:  # we will have to send, and what created the order may still wait itself
            await leasing.chain.take_up(to_send=True)
            stage = await leasing.chain.order_stage(published.id)
        if stage is OrderStage.NONE:
            raise Unavailable(
                f"the order {published.name} is not on the chain yet", "try again in a minute, or shale order cancel"
            )
        if stage in (OrderStage.CANCELLED, OrderStage.ENDED):
            raise Closed(f"the order {published.name} is {stage.name.lower()} on the chain", "make a new one")
        async with leasing.door(published.endpoint) as api:
            if stage is not OrderStage.OPEN:
                published = await self._accepted(api, published, report)
                await self._lock(published, report)
            rental = self._rental(published)
            shell = None if rental.state.lives else await self._begin(api, rental, report)
        if shell is not None:
            rental = await leasing.enter(rental, shell, report)
        else:
            rental = await leasing.hand_over(leasing.store.by_id(rental.id), report)
        kept.begun(leasing.store, rental.name)
        return rental

    async def _accepted(self, api: ProviderApi, published: PublishedOrder, report: Report) -> PublishedOrder:
        """Give the provider the order's text, and wait until its acceptance is on the chain."""
        leasing = self.leasing
        report("accept", "started", published.provider_name)
        if published.acceptance is None:
            acceptance, signature = await api.order(published.order, published.mount, None)
            leasing.check_acceptance(published.order, acceptance, signature)
            published = replace(published, acceptance=acceptance, acceptance_signature=signature)
            kept.keep(leasing.store, published)
        clock = leasing.clock
        while (stage := await leasing.chain.order_stage(published.id)) is not OrderStage.ACCEPTED:
            if stage is not OrderStage.CREATED:
                raise Closed(f"the order {published.name} is {stage.name.lower()} on the chain", "make a new one")
            if clock.now() >= published.deadline:
                raise Closed(
                    f"the provider did not accept the order {published.name} in time",
                    f"shale order cancel {published.name}, and choose another provider",
                )
            await clock.sleep_until(clock.steady() + _LOOK_SECONDS)
        report("accept", "done", "on the chain")
        return published

    async def _lock(self, published: PublishedOrder, report: Report) -> None:
        """Deposit what the collateral lacks, and confirm."""
        leasing = self.leasing
        async with AsyncExitStack() as undo:
            await leasing.deposit(published.order.collateral, report, undo)
            report("confirm", "started", str(published.order.collateral))
            try:
                receipt = await leasing.chain.confirm_order(published.order, _acceptance(published))
            except (Refused, ConfigError, TooDear):
                raise  # nothing is locked: the deposit goes back
            except BaseException:
                undo.pop_all()  # it may yet come into a block, and needs the deposit then
                raise
            undo.pop_all()
        report("confirm", "done", f"{published.order.collateral} locked in {receipt.tx[:14]}…")

    def _rental(self, published: PublishedOrder) -> Rental:
        """The lease in the books, from its confirmation on."""
        store, rental = self.leasing.store, None
        with suppress(InputRefused):
            rental = store.by_id(published.id)
            if rental.ended:
                raise Closed(f"the lease {rental.name} has ended ({rental.end_reason.text})", "see shale ps --all")
            if rental.state is not LeaseState.ACCEPTED:
                return rental
        if rental is None:
            store.add(published.rental(_acceptance(published), self.leasing.clock.now()))
        return store.set_state(published.id, LeaseState.STARTING)

    async def _begin(self, api: ProviderApi, rental: Rental, report: Report) -> Shell | None:
        """Follow the start; a provider that says no, or failed, has ended the lease, and our books follow.

        None if another command has entered it meanwhile: a lease that is paid for is not ended here.
        """
        leasing, clock = self.leasing, self.leasing.clock
        until = clock.steady() + BEGIN_SECONDS
        while True:
            try:
                async with api.begin(rental.order_hash) as items:
                    return await follow(items, report)
            except Unavailable:
                if clock.steady() >= until:
                    raise
                await clock.sleep_until(clock.steady() + _LOOK_SECONDS)
            except ShaleError:
                now = leasing.store.by_id(rental.id)
                if now.state.lives:
                    return None
                if not now.ended:
                    await leasing.send_end(api, rental)
                    leasing.store.end(rental.id, EndReason.START_FAILED, clock.now())
                raise

    async def cancel(self, published: PublishedOrder, report: Report) -> Receipt | None:
        """Take it back on the chain, and forget it. None: it needed no transaction, for nobody can take it any more."""
        leasing, receipt = self.leasing, None
        await leasing.chain.take_up(to_send=False)  # our confirmation may still wait
        stage = await leasing.chain.order_stage(published.id)
        if stage in (OrderStage.OPEN, OrderStage.ENDED):
            raise Closed(f"the order {published.name} is a lease by now", f"see shale ps; shale end {published.name}")
        if stage is not OrderStage.CANCELLED and leasing.clock.now() <= published.deadline:
            report("cancel", "started", published.provider_name)
            receipt = await leasing.chain.cancel_order(published.order)
            report("cancel", "done", f"in {receipt.tx[:14]}…")
        leasing.store.drop_secrets(published.name, published.order.pay_key)
        return receipt


def _acceptance(published: PublishedOrder) -> Acceptance:
    if published.acceptance is None:
        raise Closed(f"the acceptance of the order {published.name} is lost", "end it on the chain with shale end")
    return published.acceptance
