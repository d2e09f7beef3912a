"""Metering: runs one lease's meter: asks, stores vouchers before it acknowledges them, freezes, thaws and ends."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from shale.clock import Clock, wait_event
from shale.containers.engine import Engine
from shale.errors import Closed, InputRefused, Refused, ShaleError, Unavailable, VoucherRefused
from shale.keeping import Trouble
from shale.market.accounts import Account
from shale.market.lease import EndReason, LeaseState
from shale.market.order import End, Reading
from shale.market.signing import SigningDomain
from shale.payments.meter import Action, Meter, Terms
from shale.payments.voucher import Voucher, check_successor
from shale.provider.signatures import Signatures
from shale.provider.store import Held, Store
from shale.provider.till import Till
from shale.provider.topups import TopUps
from shale.tunnel.link import Link
from shale.tunnel.messages import (
    Ack,
    EndSent,
    Hello,
    Message,
    Notice,
    ReadingSent,
    RefuseVoucher,
    VoucherSent,
    Welcome,
    new_nonce,
)
from shale.units import AttoFil, LeaseId

log = logging.getLogger("shale.provider")

OnEnd = Callable[[EndReason], Awaitable[End]]
"""Ends the lease for this reason and gives the final state that the provider signs."""

_CLIENT_REASONS = (EndReason.CLIENT_ENDED, EndReason.VERDICT)
_RETRY_SECONDS = 1.0
_KEPT_NOTICES = 3
_FROZEN = Notice("frozen", "unpaid past the grace: the container is frozen until the next voucher")


@dataclass(frozen=True, slots=True)
class MeterParts:
    """What every lease's meter needs of the daemon."""

    store: Store
    engine: Engine
    till: Till
    clock: Clock
    account: Account
    signing: SigningDomain
    signatures: Signatures
    topups: TopUps


class LeaseMeter:
    """The meter of one running lease. `run` drives it; `serve` takes a connection of the client's agent."""

    def __init__(self, held: Held, terms: Terms, parts: MeterParts, on_end: OnEnd) -> None:
        self._order = held.order
        self._hash = held.lease.order
        self._id = held.id
        self._host_key = held.acceptance.host_key
        self._paid: AttoFil = held.lease.paid
        self._booked = held.lease.state
        self._parts = parts
        self._terms = terms
        self._sure = held.sure_max
        self._on_end = on_end
        self._meter = Meter(terms, served=held.served, paid_seconds=held.lease.seconds).forgetting()
        self._link: Link | None = None
        self._wake = asyncio.Event()
        self._paying = asyncio.Lock()
        self._ending = False
        self._must_end: EndReason | None = None
        self._trouble = Trouble(f"lease {self._id[:12]}: the meter", parts.clock, log)
        self._deaf = Trouble(f"lease {self._id[:12]}: taking its vouchers", parts.clock, log)
        self._notices: deque[Notice] = deque(maxlen=_KEPT_NOTICES)
        self._usage = (parts.clock.steady(), 0)
        self._last: float | None = None

    @property
    def lease(self) -> LeaseId:
        return self._id

    @property
    def _collateral(self) -> AttoFil:
        return self._order.price.over(self._meter.terms.max_seconds)

    @property
    def served(self) -> float:
        """Seconds given so far."""
        return self._meter.served

    @property
    def connected(self) -> bool:
        return self._link is not None

    async def run(self, frozen: bool = False) -> None:
        """Drive the meter until the lease ends. Cancelling it leaves the lease as it is; running it again goes on.

        Whatever fails is tried again. Meanwhile a container that isn't paid, or shall end, is frozen: that takes the
        engine alone. What fails for as long as the client would be waited for ends the lease, by the host's fault.
        """
        if frozen and self._last is None:
            self._meter = self._meter.freezing()
        while not self._ending:
            self._wake.clear()
            action, pause = Action.NOTHING, 0.0
            try:
                self._pass_time()
                action, reason = self._decide()
                await self._do(action, reason)
            except Exception as error:  # noqa: BLE001 - a lease must not run on without its meter
                self._trouble.note(error)
                if action is not Action.FREEZE:
                    await self._stand_still()
                pause = _RETRY_SECONDS
            else:
                self._trouble.over()
                if action is Action.NOTHING:
                    pause = self._meter.next_moment()
            if action is Action.NOTHING or pause:
                await wait_event(self._parts.clock, self._wake, pause)

    def stop(self, reason: EndReason) -> None:
        """Let the meter end the lease for this reason, for one who doesn't wait for it."""
        self._must_end = self._must_end or reason
        self._wake.set()

    def _decide(self) -> tuple[Action, EndReason]:
        if self._must_end is not None:
            return Action.END, self._must_end
        if self._trouble.seconds > self._terms.patience:
            return Action.END, EndReason.HOST_FAILURE
        action, reason = self._meter.decide(self._link is not None)
        if reason is EndReason.UNPAID and self._deaf.count:
            return action, EndReason.HOST_FAILURE
        return action, reason

    async def _do(self, action: Action, reason: EndReason) -> None:
        match action:
            case Action.ASK:
                await self._ask()
            case Action.FREEZE:
                await self._freeze()
                await self._book()
            case Action.THAW:
                await self._thaw()
                await self._book()
            case Action.END:
                if reason is EndReason.COLLATERAL_SPENT and await self._is_topped_up():
                    return
                await self._on_end(reason)
                self._ending = True
            case Action.NOTHING:
                await self._book()  # what couldn't be written when it happened

    async def _stand_still(self) -> None:
        """Freeze what must not run on, without the books."""
        self._pass_time()
        due = self._must_end is not None or self._meter.decide(connected=False)[0] in (Action.FREEZE, Action.END)
        if due and not self._meter.frozen:
            try:
                await self._freeze()
            except Exception as error:  # noqa: BLE001 - the meter goes on, and tries again
                self._trouble.note(error)

    async def _is_topped_up(self) -> bool:
        """Before the lease ends for want of money: the chain may have more than the books know of."""
        before = self._meter.terms.max_seconds
        try:
            self.lengthen(await self._parts.topups.look(self._id))
        except Unavailable:
            return False
        return self._meter.terms.max_seconds > before

    def lengthen(self, max_seconds: int, sure: int = 0) -> None:
        """The deposit is good for so many seconds in all, `sure` of them are final; never fewer than before."""
        self._sure = max(self._sure, sure)
        terms = self._meter.terms
        if max_seconds > terms.max_seconds:
            self._meter = replace(self._meter, terms=replace(terms, max_seconds=max_seconds))
            self._wake.set()

    def _pass_time(self) -> None:
        # From the first run on, also while no run drives it: a container runs on meanwhile.
        now = self._parts.clock.steady()
        self._meter = self._meter.passed(0.0 if self._last is None else now - self._last)
        self._last = now

    async def _ask(self) -> None:
        tick = self._meter.wanted_tick
        self._meter = self._meter.asking()
        reading = Reading(
            self._hash, tick, self._meter.seconds_at(tick), self._meter.due_at(tick), self._parts.clock.now()
        )
        cpu_millis, memory = await self._busy()
        await self._say(
            ReadingSent(
                tick=tick,
                seconds=reading.seconds,
                due=reading.due,
                at=reading.at,
                signature=self._parts.signing.sign(reading, self._parts.account),
                cpu_millis=cpu_millis,
                memory_bytes=memory,
            )
        )
        await self._parts.store.set_served(self._id, self._meter.served)

    async def _busy(self) -> tuple[int, int]:
        """CPU in thousandths of a core since the last look, and memory; zeros when the engine can't tell just now."""
        try:
            usage = await asyncio.wait_for(self._parts.engine.usage(self._id), 2)
        except (ShaleError, TimeoutError):
            return 0, 0
        then, nanos = self._usage
        now = self._parts.clock.steady()
        self._usage = (now, usage.cpu_nanos)
        if nanos == 0 or now <= then:
            return 0, usage.memory_bytes
        return max(0, round((usage.cpu_nanos - nanos) / (now - then) / 1e6)), usage.memory_bytes

    async def _freeze(self) -> None:
        await self._parts.engine.freeze(self._id)
        self._pass_time()
        self._meter = self._meter.freezing()
        await self._say(_FROZEN)

    async def _thaw(self) -> None:
        await self._parts.engine.thaw(self._id)
        self._pass_time()
        self._meter = self._meter.thawing()
        await self._say(Notice("thawed", "paid again: the container goes on"))

    async def _book(self) -> None:
        """Keep in the books whether it is frozen. What the engine does counts: the books may follow later."""
        state = LeaseState.FROZEN if self._meter.frozen else LeaseState.RUNNING
        if self._booked is state:
            return
        if state is LeaseState.FROZEN:
            await self._parts.store.frozen(self._id, self._meter.served)
        else:
            await self._parts.store.thawed(self._id)
        self._booked = state

    async def tell(self, notice: Notice) -> None:
        """Tell the client's agent; if it isn't there, or comes again, at its welcome. The last few are kept."""
        if notice not in self._notices:
            self._notices.append(notice)
        await self._say(notice)

    async def _say(self, message: Message) -> None:
        if self._link is not None:
            with suppress(Closed):
                await self._link.send(message)

    async def serve(self, link: Link) -> None:
        """Talk with the client's agent until either side leaves; a newer connection takes the place of an older."""
        try:
            hello = await asyncio.wait_for(link.receive(), 20)
            if not isinstance(hello, Hello) or hello.lease != self._id:
                raise InputRefused("the tunnel must begin with a hello for this lease")
            if self._ending:
                raise Closed("the lease has ended")
            await link.send(self._welcome(hello))
        except (ShaleError, TimeoutError):
            return
        if self._link is not None:
            self._link.close()
        self._link = link
        if self._meter.frozen:
            # The client wasn't there when it happened.
            await self._say(_FROZEN)
        for notice in tuple(self._notices):
            await self._say(notice)
        self._meter = self._meter.forgetting()
        self._wake.set()
        try:
            while True:
                await self._take(await link.receive())
        except ShaleError:
            return
        finally:
            if self._link is link:
                self._link = None

    def _welcome(self, hello: Hello) -> Welcome:
        at = self._parts.clock.now()
        state = Reading(self._hash, 0, self._meter.paid_seconds, self._paid, at)
        return Welcome(
            lease=self._id,
            nonce=new_nonce(secrets.token_bytes),
            client_nonce=hello.nonce,
            host_key=self._host_key,
            paid=self._paid,
            seconds=self._meter.paid_seconds,
            at=at,
            signature=self._parts.signing.sign(state, self._parts.account),
        )

    async def _take(self, message: Message) -> None:
        match message:
            case VoucherSent():
                try:
                    await self.pay(Voucher(self._id, message.amount, message.seconds, message.signature))
                except (VoucherRefused, Refused) as error:
                    await self._say(RefuseVoucher(message.tick, error.message[:500]))
                except Unavailable as error:
                    # If it stays like this the lease ends by our fault, and not as unpaid.
                    self._deaf.note(error)
                    await self._say(Notice("maintenance", "the provider can't check vouchers just now: it asks again"))
                    await self._parts.clock.sleep_until(self._parts.clock.steady() + _RETRY_SECONDS)
                    self._meter = self._meter.forgetting()
                    self._wake.set()
                else:
                    await self._say(Ack(message.tick, self._paid, self._meter.paid_seconds))
            case EndSent():
                await self.end_by_client(
                    End(self._hash, message.amount, message.seconds, message.reason, message.at),
                    message.signature,
                )
            case Notice():
                return
            case _:
                raise InputRefused("that message is the provider's to send")

    async def pay(self, voucher: Voucher) -> None:
        """Check a voucher and store it. Raises VoucherRefused; durable when it returns."""
        async with self._paying:
            if self._ending:
                raise VoucherRefused("ended", "the lease has ended: nothing more is due")
            fresh = check_successor(
                voucher,
                lease=self._id,
                price=self._order.price,
                paid=self._paid,
                seconds=self._meter.paid_seconds,
                collateral=self._collateral,
            )
            if (
                voucher.seconds
                > self._sure
                > self._meter.paid_seconds + self._terms.grace + 2 * self._terms.tick_seconds
            ):
                # Else what was paid before the top-up could be lost with it: only the last voucher is ever claimed.
                raise VoucherRefused("collateral", f"the top-up is not final: pay up to {self._sure} s first")
            await self._parts.till.take(self._order.pay_key, voucher, self._meter.served, fresh)
            if fresh:
                self._deaf.over()
                self._paid = voucher.amount
                self._meter = self._meter.paying(voucher.seconds)
                self._wake.set()

    async def end_by_client(self, end: End, signature: str) -> End:
        """End the lease by the client's signed word. Returns the provider's final state; raises InputRefused."""
        if end.order != self._hash or end.reason not in _CLIENT_REASONS:
            raise InputRefused("that End is not the client's to send", "sign reason client_ended or verdict")
        # It may name more than is stored here: a voucher that was signed and never arrived. It takes nothing back.
        if end.amount > self._collateral:
            raise InputRefused("that End claims more than the collateral", "sign the highest voucher")
        await self._parts.signatures.check(end, signature, self._order.client)
        return await self._on_end(end.reason)

    async def close(self, final: End | None) -> None:
        """Let the meter rest: after the lease's end with its final state for the agent, or at the daemon's own stop."""
        async with self._paying:
            self._ending = final is not None
        self._wake.set()
        if final is not None:
            signature = self._parts.signing.sign(final, self._parts.account)
            await self._say(EndSent(final.amount, final.seconds, final.reason, final.at, signature))
        if self._link is not None:
            self._link.close()
