"""Sender: brings one wallet's transactions into blocks and keeps them there; the only place that sends any.

What it does next follows from the outbox and from what the node shows, never from memory alone: so a process that was
killed is taken up where it was, and a transaction that a reorganisation took out of its block goes in again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from shale.chain import fees as pricing
from shale.chain.complaints import Sent
from shale.chain.delivery import Delivery, NotTaken
from shale.chain.following import MAX_PAUSE, WAIT_BLOCKS, WAIT_SECONDS, Displaced, Following
from shale.chain.intents import NO_PURPOSE, Intent, Purpose, State, named
from shale.chain.node import Landed, Node
from shale.chain.offers import Offers
from shale.chain.outbox import Full, Gone, Outbox
from shale.chain.tending import MAX_GAP, MAX_MOVES, Tending, tell_failed
from shale.chain.transactions import Draft, Fees
from shale.clock import Clock, SystemClock
from shale.errors import ConfigError, Refused, ShaleError, Unavailable
from shale.keeping import keep
from shale.market.accounts import Signer
from shale.process import is_living
from shale.units import Address, AttoFil

log = logging.getLogger("shale.chain")

KEEP_SECONDS = 10.0
"""Between looks at transactions that nobody waits for: in no block yet, or not final."""


class MadeBefore(Refused):
    """The like of it was made by a command that ended before it knew; nothing more was sent."""


class Sender:
    """One wallet on one chain."""

    def __init__(
        self,
        node: Node,
        account: Signer,
        outbox: Outbox,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        max_fee: AttoFil = pricing.MAX_FEE,
        clock: Clock | None = None,
    ) -> None:
        self._offers = Offers(node, account, max_fee)
        if (outbox.chain_id, outbox.sender) != (node.chain_id, self._offers.address):
            raise ValueError("the outbox is another wallet's, or for another chain")
        self._node = node
        self._outbox = outbox
        self._pause = pause
        self._clock = clock or SystemClock()
        self._delivery = Delivery(node, self._offers.address)
        self._tending = Tending(node, outbox, self._offers, self._delivery)
        self._following = Following(node, outbox, self._delivery, self._tending, pause)
        self._order = asyncio.Lock()
        self._resumed = False
        self._keeper: asyncio.Task[None] | None = None

    @property
    def address(self) -> Address:
        return self._offers.address

    async def transact(self, to: Address | None, data: bytes, value: int = 0, purpose: Purpose = NO_PURPOSE) -> Landed:
        """Make a transaction; return when it is in a block and succeeded.

        Raises Refused with the contract's reason, before anything is sent where the node can foresee it; MadeBefore
        (`check_new`); ConfigError for an unfunded wallet; Unavailable else. An Unavailable that names a transaction
        means that it was sent, and may still come into a block: the next transaction of this wallet waits for it.
        """
        if len(data) > pricing.MAX_DATA:
            raise Refused(
                f"a transaction of {len(data)} bytes is over Filecoin's limit of 64 KiB", "make it of fewer parts"
            )
        await self.check_new(purpose)
        await self._offers.check_funds(value)
        draft, fees, head = await self._offers.priced(Draft(to, data, value, 0))
        async with self._order:
            intent = await self._add(draft, fees, head, purpose)
            self._keep()
            intent = await self._submit(intent)
        try:
            landed = await self._following.follow(intent)
        except Displaced:
            self._outbox.tell(intent)
            raise
        self._outbox.tell(intent)
        if not landed.ok:
            raise await self._reason(intent, landed)
        return landed

    async def check_new(self, purpose: Purpose) -> None:
        """Take up what earlier processes left, and raise MadeBefore if that is of the same purpose (Purpose.once).

        Until somebody says that the earlier one is known (`tell_earlier`): a command that is repeated blindly, as by a
        script after a kill, must not pay twice.
        """
        await self._resume()
        for intent in self._left():
            if intent.purpose.once == purpose.once and intent.tx:
                raise MadeBefore(
                    f"a {intent.purpose.text} by an earlier command, which ended before it knew, is in block "
                    f"{intent.block} (transaction {intent.tx}), and nothing more was sent",
                    "if you want this one too, repeat it with --again",
                )

    async def tell_earlier(self, purpose: Purpose) -> None:
        """Take up what earlier processes left, and count what is of the same purpose, and that alone, as known."""
        await self._resume()
        for intent in self._left():
            if intent.purpose.once == purpose.once:
                if intent.tx:
                    log.warning("%s of an earlier command is in block %d", intent.name, intent.block)
                self._outbox.tell(intent)

    async def take_up(self, ours: Callable[[Draft], bool] | None = None) -> None:
        """Bring into blocks what waits, or of it what is `ours`; that it came there tells nobody.

        The others are looked after, but not waited for: they may be stuck, and don't concern whoever asks.
        """
        if ours is None:
            await self._resume()
            return
        await self._node.check_chain()
        async with self._order:
            if self._outbox.open():
                self._keep()
                await self.sweep()
            await self._bring([intent for intent in self._outbox.open() if ours(intent.draft)])

    async def sweep(self) -> None:
        """Look once after all that isn't final: what a node forgot or a reorganisation took out is sent again."""
        await self._tending.sweep()

    async def waiting(self) -> int:
        """How many were sent and are in no block."""
        await self.sweep()
        return sum(intent.state is State.SENT for intent in self._outbox.open())

    async def wait_final(self, tx: str) -> Landed:
        """Return when a transaction of this wallet can't be taken back any more.

        The one that it names may be another attempt than the one that lands. Raises Refused when none of this wallet's
        has this hash, or when it failed in the end; Unavailable when it takes far longer than it should.
        """
        intent = self._outbox.of_tx(tx)
        if intent is None:
            raise Refused(f"this wallet has not sent {tx}", "look it up at the network")
        waited, blocks, last = 0.0, 0, -1
        while blocks <= self._node.finality + WAIT_BLOCKS and waited < WAIT_SECONDS * (1 + self._node.finality):
            await self.sweep()
            found = self._outbox.of_tx(tx)
            if found is None or found.state is State.DONE:
                landed = await self._node.receipt(found.tx) if found and found.tx else None
                if landed is None or not landed.ok:
                    raise Refused(f"transaction {tx} was not made", "look at the wallet's state before you repeat it")
                return landed
            head = await self._node.head()
            blocks, last = blocks + (head > last), head
            await self._pause(MAX_PAUSE)
            waited += MAX_PAUSE
        raise Unavailable(f"transaction {tx} is not final yet", "wait, and look again")

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def _resume(self) -> None:
        """Take up what other processes left: no new transaction can be in a block before it.

        At first that is all that waits; later what those left that have ended meanwhile.
        """
        await self._node.check_chain()
        async with self._order:
            if self._outbox.open() and not self._resumed:
                await self.sweep()
            left = self._outbox.open()
            await self._bring([intent for intent in left if not (self._resumed and is_living(intent.owner))])
            self._resumed = True

    async def _bring(self, intents: list[Intent]) -> None:
        """Wait until those of them that are in no block are in one, or can't be."""
        for intent in [each for each in intents if each.state is State.SENT]:
            log.warning("%s of an earlier command still waits: taking it up", intent.name)
            self._keep()
            try:
                await self._delivery.push(intent)
            except NotTaken as error:
                if isinstance(error.told, ConfigError):
                    raise error.told from None  # without money it will not land
            try:
                landed = await self._following.follow(intent)
            except (Displaced, Gone):
                continue  # it is told where that was seen
            if not landed.ok:
                tell_failed(intent, landed)

    def _left(self) -> list[Intent]:
        """What processes that have ended meant to do once, without knowing what became of it."""
        return [intent for intent in self._outbox.untold() if not is_living(intent.owner)]

    async def _add(self, draft: Draft, fees: Fees, head: int, purpose: Purpose) -> Intent:
        """Keep it. What waits or was taken out of its block is looked after before, for it comes before what is new."""
        waited = 0.0
        while True:
            if self._outbox.open():
                await self._tending.sweep_waiting(await self._node.head(), again=True)
            pending = await self._node.count(self.address, "pending")
            if pending > await self._node.count(self.address) + MAX_GAP:
                raise self._node.nonsense("a nonce that is far off")
            try:
                return self._outbox.add(draft, fees, pending, head, self._offers.sign, purpose)
            except Full:
                if waited >= WAIT_SECONDS:
                    raise Unavailable("too many transactions of this wallet wait", "try again later") from None
            await self._pause(MAX_PAUSE)
            waited += MAX_PAUSE

    async def _submit(self, intent: Intent) -> Intent:
        """Give a new intent to the node, under another nonce where somebody else's transaction waits with its own."""
        self._tending.submitting.add(intent.id)
        try:
            for attempt in range(MAX_MOVES):
                try:
                    outcome = await self._delivery.push(intent)
                except NotTaken as error:
                    self._outbox.drop(intent)
                    raise error.told from None
                except Unavailable:
                    return intent  # whether it arrived, the chain will show
                if outcome is Sent.NONCE_USED:
                    return self._outbox.refused(intent, True)  # by whom, the chain will show
                if outcome is not Sent.NONCE_WAITS or await self._delivery.known(intent):
                    return intent
                # Apart from each other by chance, or two processes would go on colliding.
                await self._pause(random.uniform(0, 0.02 * (attempt + 1)))
                intent = await self._tending.move(intent)
                if intent.state is State.DISPLACED:
                    break
        finally:
            self._tending.submitting.discard(intent.id)
        raise Unavailable("others use this wallet faster than nonces can be had", "stop them, and try again")

    def _keep(self) -> None:
        """Look after what is in no block, or not final, as long as this process lives."""
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(keep("the wallet's transactions", self._keep_on, self._clock, log))

    async def _keep_on(self) -> None:
        while self._outbox.open():
            await self._clock.sleep_until(self._clock.steady() + KEEP_SECONDS)
            await self.sweep()

    async def _reason(self, intent: Intent, landed: Landed) -> ShaleError:
        """Why a transaction failed in its block: asked once more."""
        try:
            await self._node.ask("eth_call", self._offers.call(intent.draft), hex(landed.block))
        except ShaleError as error:
            return error
        return Refused(f"{named(landed.tx, intent.purpose)} failed in block {landed.block}", "try again")
