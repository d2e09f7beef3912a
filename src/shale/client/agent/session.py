"""Session: one lease's tunnel, kept up by the agent: pays readings, runs probes, ends with the true reason."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from shale.client.agent.dial import Dial
from shale.client.agent.health import Health
from shale.client.agent.payer import GRACE_SECONDS, TOLERANCE_SECONDS, Due, Payer
from shale.client.agent.view import LeaseView
from shale.client.rental import Rental, check_end
from shale.client.store import Store
from shale.clock import Clock, wait_event
from shale.errors import Closed, InputRefused, Refused, ShaleError, Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.market.order import End, Reading
from shale.market.signing import SigningDomain
from shale.proofs.prover import PaySecret, Prover
from shale.quality.hookspecs import Probe
from shale.quality.hookspecs import Session as ProbedSession
from shale.quality.verdict import Policy
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

log = logging.getLogger("shale.agent")

_BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_HELLO_SECONDS = 30.0
_DOWN_SECONDS = 3.0
"""How long an End waits for a tunnel that is down to come back: there are other ways for it."""
_BURST, _PER_SECOND = 100, 10
"""How many messages a connection may bring: a burst, and so many more for each second."""

_AHEAD = "the provider's meter runs ahead of our clock: paying when it is due"
_WITHHELD = "payment withheld: "

AskEnd = Callable[[Rental], Awaitable[tuple[End, str] | None]]
"""Asks the provider's API for its End of a lease, and its signature; None when it says that the lease lives."""


@dataclass(frozen=True, slots=True)
class SessionParts:
    """What each session needs of the agent."""

    store: Store
    prover: Prover
    clock: Clock
    signing: SigningDomain
    domain: str
    ssh_config: Path
    dial: Dial
    probes: tuple[Probe, ...]
    policy: Policy
    ask_end: AskEnd


class Session:
    """The lease `rental`. `run` returns when it has ended; `changed` is called after each change of its view."""

    def __init__(self, rental: Rental, parts: SessionParts, changed: Callable[[], None]) -> None:
        self._parts = parts
        self._rental = rental
        self._secret: PaySecret = parts.store.pay_secret(rental.name)
        # Wall time once, at the start; from then on the steady clock, which nobody sets.
        self._elapsed_before = max(0, parts.clock.now() - rental.created_at)
        self._began = self._passed_at = parts.clock.steady()
        self._payer = Payer(
            rental.order,
            rental.order_hash,
            rental.acceptance.host_key,
            rental.paid,
            rental.seconds,
            served=float(min(self._elapsed_before, rental.seconds + GRACE_SECONDS)),
            extra_seconds=rental.extra_seconds,
        )
        self._changed = changed
        self._link: Link | None = None
        self._reading: Reading | None = None
        self._stirred = asyncio.Event()
        self._signing = asyncio.Lock()
        self._health = self._new_health()
        self._tick = 0
        self._usage = (0, 0)
        self._note = ""
        self._leaving: EndSent | None = None
        self._over = asyncio.Event()
        self._final: End | None = None

    def __repr__(self) -> str:
        return f"Session({self.name!r}, {self._rental.state.value}, {self._payer.paid})"

    @property
    def name(self) -> str:
        return self._rental.name

    @property
    def view(self) -> LeaseView:
        rental = self._rental
        ended = rental.ended
        return LeaseView(
            name=rental.name,
            lease_id=rental.id,
            state=rental.state.value,
            elapsed_seconds=rental.ended_at - rental.created_at if ended else int(self._elapsed()),
            paid=self._payer.paid,
            price=rental.price,
            collateral=rental.collateral,
            seconds=self._payer.seconds,
            tick=self._tick,
            verdict=self._health.worst,
            cpu_millis=self._usage[0],
            memory_bytes=self._usage[1],
            end_reason=rental.end_reason.text,
            connected=self._link is not None,
            note=self._note,
            fault=rental.fault,
        )

    def _elapsed(self) -> float:
        return self._elapsed_before + self._parts.clock.steady() - self._began

    async def run(self) -> None:
        """Keep the tunnel up until the lease has ended."""
        probing = asyncio.create_task(self._health.run())
        attempt = 0
        try:
            while not self._rental.ended:
                before = self._elapsed()
                try:
                    await self._connect()
                except (Closed, Unavailable, TimeoutError) as error:
                    self._tell(f"tunnel down: {error}")
                except ShaleError as error:
                    # The provider breaks the terms: nothing more is paid, so it will freeze and end by itself.
                    log.warning("%s: %s", self.name, error)
                    self._tell(f"not paying: {error}")
                if self._rental.ended or await self._gone():
                    return
                attempt = 0 if self._elapsed() - before > 30 else attempt + 1
                delay = _BACKOFF[min(attempt, len(_BACKOFF) - 1)]
                await self._parts.clock.sleep_until(self._parts.clock.steady() + delay)
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)

    async def _gone(self) -> bool:
        """Ask the provider whether the lease has ended. Only its signed End is believed: else we go on trying."""
        try:
            answer = await self._parts.ask_end(self._rental)
            if answer is None:
                return False
            check_end(self._rental, *answer, self._parts.signing)
        except ShaleError as error:
            log.info("%s: no end is known: %s", self.name, error)
            return False
        self._final = answer[0]
        await self._end(self._final.reason)
        return True

    async def _connect(self) -> None:
        """One connection from its hello to its end. Raises Closed, Unavailable or Refused."""
        await self._reload()
        if self._rental.ended:
            return
        link, hang_up = await self._parts.dial(f"shale-gateway-{self.name}")
        work: list[asyncio.Future[None]] = []
        try:
            await self._greet(link)
            self._link = link
            # The first verdict must not wait for a probe's next turn.
            self._health.look_again()
            self._tell("")
            await self._catch_up()
            work = [asyncio.ensure_future(self._receive(link)), asyncio.ensure_future(self._keep_paying())]
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._link = self._reading = None
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await hang_up()
            self._changed()

    async def _reload(self) -> None:
        """The books again: they are what was truly signed, and another command may have ended the lease."""
        self._rental = rental = await asyncio.to_thread(self._parts.store.by_id, self._rental.id)
        extra = rental.extra_seconds
        self._payer = replace(self._payer, paid=rental.paid, seconds=rental.seconds, extra_seconds=extra)
        if self._rental.ended:
            self._over.set()

    async def lengthen(self) -> None:
        """The lease has been topped up: the books know by how much."""
        rental = await asyncio.to_thread(self._parts.store.by_id, self._rental.id)
        self._rental = replace(self._rental, extra_seconds=rental.extra_seconds)
        self._payer = replace(self._payer, extra_seconds=rental.extra_seconds)
        self._stirred.set()
        self._changed()

    async def _greet(self, link: Link) -> None:
        nonce = new_nonce(secrets.token_bytes)
        await link.send(Hello(self._rental.id, nonce))
        async with asyncio.timeout(_HELLO_SECONDS):
            welcome = await link.receive()
        if not isinstance(welcome, Welcome):
            raise InputRefused("the provider did not answer the hello")
        payer, state = self._payer.welcomed(welcome, nonce)
        self._parts.signing.check(state, welcome.signature, self._rental.order.provider)
        self._payer = payer
        # A provider whose container is frozen says so next; nobody told us of a thaw while we were away.
        await self._become(LeaseState.RUNNING)

    async def _catch_up(self) -> None:
        """Say again what the provider may have missed: the highest voucher, then our End."""
        if self._payer.acked < self._payer.paid:
            tick = self._payer.seconds // self._rental.order.tick_seconds
            await self._sign(Due(self._payer.paid, self._payer.seconds, tick, 0.0))
        if self._leaving is not None:
            await self._send(self._leaving)

    async def _receive(self, link: Link) -> None:
        """Take what the provider sends, until the connection ends or the lease does."""
        since, count = self._parts.clock.steady(), 0
        while not self._rental.ended:
            message = await link.receive()
            count += 1
            if count > _BURST + _PER_SECOND * (self._parts.clock.steady() - since):
                raise Refused("the provider sends too many messages")
            await self._take(message)
            self._changed()

    async def _take(self, message: Message) -> None:
        match message:
            case ReadingSent():
                reading = self._payer.reading_of(message)
                self._parts.signing.check(reading, message.signature, self._rental.order.provider)
                self._reading, self._tick = reading, reading.tick
                self._usage = (message.cpu_millis, message.memory_bytes)
                self._stirred.set()
            case Ack():
                self._payer = self._payer.acknowledged(message)
            case RefuseVoucher():
                self._tell(f"voucher refused: {message.reason}")
            case Notice():
                await self._noticed(message)
            case EndSent():
                final = self._payer.ended(message)
                self._parts.signing.check(final, message.signature, self._rental.order.provider)
                self._final = final
                await self._end(final.reason)
            case _:
                raise InputRefused("that message is the client's to send")

    async def _keep_paying(self) -> None:
        """Pay the newest reading; what may not be paid yet is looked at again when it may, or something changes."""
        while True:
            self._stirred.clear()
            await wait_event(self._parts.clock, self._stirred, await self._pay())

    async def _pay(self) -> float | None:
        """Pay what may be paid now. Returns when to look again; None when only an event can change something."""
        reading = self._reading
        if reading is None or self._leaving is not None:
            return None
        now = self._parts.clock.steady()
        self._payer, self._passed_at = self._payer.passed(now - self._passed_at), now
        due = self._payer.due(reading)
        fresh = due.seconds > self._payer.seconds
        withheld = self._health.withheld() if fresh else None
        if withheld is not None:
            self._tell(f"{_WITHHELD}{withheld}")
            if withheld.fresh:
                await self._send(Notice("verdict", str(withheld)))
            return withheld.seconds
        if fresh or not due.wait:
            await self._sign(due)
        if due.wait:
            if due.wait > TOLERANCE_SECONDS:
                self._tell(_AHEAD)
            return due.wait
        if self._note.startswith((_AHEAD, _WITHHELD)):
            self._tell("")
        if self._reading is reading:
            self._reading = None
        return None

    async def _sign(self, due: Due) -> None:
        async with self._signing:
            payer = self._payer.signing(due)
            # On the disk before it leaves: after a crash the highest amount ever signed is known.
            self._rental = await asyncio.to_thread(
                self._parts.store.raise_paid, self._rental.id, due.amount, due.seconds, self._parts.clock.now()
            )
            self._payer = replace(payer, acked=self._payer.acked)
            voucher = await self._parts.prover.sign(
                self._secret, self._parts.domain, self._rental.id, due.amount, due.seconds
            )
            await self._send(VoucherSent(due.tick, voucher.amount, voucher.seconds, voucher.signature))
        self._changed()

    async def _send(self, message: Message) -> None:
        if self._link is None:
            raise Closed("the tunnel is down")
        await self._link.send(message)

    async def _noticed(self, notice: Notice) -> None:
        match notice.kind:
            case "frozen":
                await self._become(LeaseState.FROZEN)
            case "thawed":
                await self._become(LeaseState.RUNNING)
                self._tell("")
                self._health.look_again()
                return
            case "dataset":
                # In the books, so that it outlives us and shows in shale ps; the same again is no news.
                if notice.text != self._rental.fault:
                    await asyncio.to_thread(self._parts.store.set_fault, self._rental.id, notice.text)
                    self._rental = replace(self._rental, fault=notice.text)
                return
            case _:
                pass
        if not self._note.startswith(_WITHHELD):
            self._tell(f"{notice.kind}: {notice.text}")

    async def _become(self, state: LeaseState) -> None:
        if self._rental.state is not state:
            self._rental = await asyncio.to_thread(self._parts.store.set_state, self._rental.id, state)

    def _tell(self, note: str) -> None:
        self._note = note
        self._changed()

    async def _end(self, reason: EndReason) -> None:
        self._rental = await asyncio.to_thread(self._parts.store.end, self._rental.id, reason, self._parts.clock.now())
        self._over.set()
        self._tell("")

    def _new_health(self) -> Health:
        shell = self._rental.shell
        assert shell is not None, "the agent adopts leases whose shell is known"
        session = ProbedSession(
            self.name,
            f"shale-{self.name}",
            f"shale-gateway-{self.name}",
            shell.host,
            shell.port,
            self._parts.ssh_config,
        )

        def judging() -> bool:
            return self._rental.state is LeaseState.RUNNING and self._link is not None

        def changed() -> None:
            self._stirred.set()
            self._changed()

        parts = self._parts
        return Health(session, parts.probes, parts.policy, parts.clock, judging, changed)

    async def end(self, end: End, signature: str, seconds: float = 30.0) -> End:
        """Send the client's signed End, and return the provider's; without a tunnel it is waited for a moment only.

        Raises Unavailable when it doesn't come in time, Closed when the lease ended without one.
        """
        if end.order != self._rental.order_hash:
            raise InputRefused("that End is for another lease", "sign one for this lease")
        self._leaving = EndSent(end.amount, end.seconds, end.reason, end.at, signature)
        # After a voucher that is being sent: the provider must know it before the End that names it.
        async with self._signing:
            with suppress(Closed):
                await self._send(self._leaving)
        try:
            await asyncio.wait_for(self._over.wait(), min(seconds, _DOWN_SECONDS) if self._link is None else seconds)
        except TimeoutError:
            self._leaving = None
            self._stirred.set()
            raise Unavailable("the provider does not answer through the tunnel", "try again") from None
        if self._final is None:
            raise Closed(f"the lease has ended ({self._rental.end_reason.text})", "see shale ps --all")
        return self._final
