"""Session: one lease's tunnel, kept up by the agent: pays readings, runs probes, ends with the true reason."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from shale.client.agent.payer import Payer
from shale.client.agent.view import LeaseView
from shale.client.rental import Rental
from shale.client.store import Store
from shale.clock import Clock
from shale.errors import Closed, InputRefused, Refused, ShaleError, Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.market.order import End
from shale.market.signing import SigningDomain
from shale.proofs.prover import PaySecret, Prover
from shale.quality.hookspecs import Probe
from shale.quality.hookspecs import Session as ProbedSession
from shale.quality.loader import run_probe
from shale.quality.verdict import Policy, Standing
from shale.tunnel.link import Link
from shale.tunnel.messages import (
    MAX_LINE,
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

AskState = Callable[[Rental], Awaitable[tuple[str, str]]]
"""Asks the provider's API for a lease's state and end reason. Raises Closed when it has no such lease."""


@dataclass(frozen=True, slots=True)
class SessionParts:
    """What each session needs of the agent."""

    store: Store
    prover: Prover
    clock: Clock
    signing: SigningDomain
    domain: str
    ssh_config: Path
    probes: tuple[Probe, ...]
    policy: Policy
    ask_state: AskState


class Session:
    """The lease `rental`. `run` returns when it has ended; `changed` is called after each change of its view."""

    def __init__(self, rental: Rental, parts: SessionParts, changed: Callable[[], None]) -> None:
        self._parts = parts
        self._rental = rental
        self._secret: PaySecret = parts.store.pay_secret(rental.name)
        self._payer = Payer(rental.order, rental.order_hash, rental.acceptance.host_key, rental.paid, rental.seconds)
        self._changed = changed
        # Wall time once, at the start; from then on the steady clock, which nobody sets.
        self._elapsed_before = max(0, parts.clock.now() - rental.created_at)
        self._began = parts.clock.steady()
        self._link: Link | None = None
        self._standing = Standing()
        self._tick = 0
        self._usage = (0, 0)
        self._note = ""
        self._leaving = False
        self._final: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._owed: Message | None = None

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
            verdict=self._standing.worst,
            cpu_millis=self._usage[0],
            memory_bytes=self._usage[1],
            end_reason=rental.end_reason.text,
            connected=self._link is not None,
            note=self._note,
        )

    def _elapsed(self) -> float:
        return self._elapsed_before + self._parts.clock.steady() - self._began

    async def run(self) -> None:
        """Keep the tunnel up until the lease has ended."""
        probing = asyncio.create_task(self._probe_all())
        attempt = 0
        try:
            while not self._rental.ended:
                before = self._elapsed()
                try:
                    await self._connect()
                except (Closed, Unavailable, TimeoutError) as error:
                    self._tell(f"tunnel down: {error}")
                except (Refused, InputRefused) as error:
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
        """Ask the provider whether the lease still lives; if it has ended, end it here with the true reason."""
        try:
            state, reason = await self._parts.ask_state(self._rental)
        except Closed:
            state, reason = "ended", EndReason.HOST_FAILURE.text
        except ShaleError:
            return False
        if state not in ("ended", "settled"):
            return False
        self._end(EndReason[reason.upper()] if reason.upper() in EndReason.__members__ else EndReason.PROVIDER_ENDED)
        return True

    async def _connect(self) -> None:
        """One connection from its hello to its end. Raises Closed, Unavailable or Refused."""
        process = await asyncio.create_subprocess_exec(
            "ssh", "-F", str(self._parts.ssh_config), "-T", f"shale-gateway-{self.name}",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            limit=MAX_LINE,
        )  # fmt: skip
        assert process.stdin is not None, "asked for pipes"
        assert process.stdout is not None, "asked for pipes"
        link = Link(process.stdout, process.stdin)
        try:
            nonce = new_nonce(secrets.token_bytes)
            await link.send(Hello(self._rental.id, nonce))
            async with asyncio.timeout(_HELLO_SECONDS):
                welcome = await link.receive()
            if not isinstance(welcome, Welcome):
                raise InputRefused("the provider did not answer the hello")
            payer, state = self._payer.welcomed(welcome, nonce)
            self._parts.signing.check(state, welcome.signature, self._rental.order.provider)
            self._payer = payer
            self._link = link
            self._tell("")
            if self._owed is not None:
                await link.send(self._owed)
            while True:
                await self._take(await link.receive())
        finally:
            self._link = None
            self._changed()
            link.close()
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    async def _take(self, message: Message) -> None:
        match message:
            case ReadingSent():
                await self._pay(message)
            case Ack():
                self._payer = self._payer.acknowledged(message)
            case RefuseVoucher():
                self._tell(f"voucher refused: {message.reason}")
            case Notice():
                self._noticed(message)
            case EndSent():
                final = self._payer.ended(message)
                self._parts.signing.check(final, message.signature, self._rental.order.provider)
                self._end(final.reason)
                if not self._final.done():
                    self._final.set_result(final)
                raise Closed("the lease has ended")
            case _:
                raise InputRefused("that message is the client's to send")
        self._changed()

    async def _pay(self, sent: ReadingSent) -> None:
        reading = self._payer.reading_of(sent)
        self._parts.signing.check(reading, sent.signature, self._rental.order.provider)
        due = self._payer.due(reading, self._elapsed())
        self._tick = reading.tick
        self._usage = (sent.cpu_millis, sent.memory_bytes)
        if due.wait:
            self._tell("the provider's meter runs ahead of our clock: paying when it is due")
            await self._parts.clock.sleep_until(self._parts.clock.steady() + due.wait)
        if self._leaving:
            return
        withheld = self._standing.withheld(self._parts.policy)
        if withheld is not None and due.amount > self._payer.paid:
            self._tell(f"payment withheld: {withheld.probe}: {withheld.detail}")
            await self._send(Notice("verdict", f"{withheld.probe}: {withheld.detail}"[:500]))
            self._owed_reading = sent
            return
        payer = self._payer.signing(due)
        # On the disk before it leaves: after a crash the highest amount ever signed is known.
        await asyncio.to_thread(
            self._parts.store.raise_paid, self._rental.id, due.amount, due.seconds, self._parts.clock.now()
        )
        self._payer = payer
        voucher = await self._parts.prover.sign(
            self._secret, self._parts.domain, self._rental.id, due.amount, due.seconds
        )
        await self._send(VoucherSent(due.tick, voucher.amount, voucher.seconds, voucher.signature))

    _owed_reading: ReadingSent | None = None
    """The last reading that a verdict left unpaid: paid at once when the probe recovers."""

    async def _send(self, message: Message) -> None:
        if self._link is None:
            raise Closed("the tunnel is down")
        await self._link.send(message)

    def _noticed(self, notice: Notice) -> None:
        states = {"frozen": LeaseState.FROZEN, "thawed": LeaseState.RUNNING}
        if notice.kind in states and self._rental.state is not states[notice.kind]:
            self._rental = self._parts.store.set_state(self._rental.id, states[notice.kind])
        self._tell("" if notice.kind == "thawed" else f"{notice.kind}: {notice.text}")

    def _tell(self, note: str) -> None:
        self._note = note
        self._changed()

    def _end(self, reason: EndReason) -> None:
        self._rental = self._parts.store.end(self._rental.id, reason, self._parts.clock.now())
        self._tell("")

    async def _probe_all(self) -> None:
        await asyncio.gather(*(self._probe(probe) for probe in self._parts.probes))

    async def _probe(self, probe: Probe) -> None:
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
        while True:
            if self._rental.state is LeaseState.RUNNING:
                verdict = await run_probe(probe, session, self._parts.clock)
                self._standing = self._standing.after(verdict)
                self._changed()
                if self._owed_reading is not None and self._standing.withheld(self._parts.policy) is None:
                    sent, self._owed_reading = self._owed_reading, None
                    with suppress(ShaleError):
                        await self._pay(sent)
            await self._parts.clock.sleep_until(self._parts.clock.steady() + probe.interval)

    async def end(self, end: End, signature: str, seconds: float = 30.0) -> End:
        """Send the client's signed End, and return the provider's. Raises Unavailable when it doesn't come in time."""
        if end.order != self._rental.order_hash:
            raise InputRefused("that End is for another lease", "sign one for this lease")
        self._leaving = True
        message = EndSent(end.amount, end.seconds, end.reason, end.at, signature)
        self._owed = message
        try:
            if self._link is not None:
                with suppress(Closed):
                    await self._link.send(message)
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self._final)
        except TimeoutError:
            self._leaving = False
            self._owed = None
            raise Unavailable("the provider does not answer through the tunnel", "try again") from None


def rested(rental: Rental) -> Rental:
    """A rental as its session takes it over: frozen ones are seen as running until the provider says otherwise."""
    return replace(rental, state=LeaseState.RUNNING) if rental.state is LeaseState.FROZEN else rental
