"""Sender: brings one wallet's transactions into blocks and keeps them there; the only place that sends any.

What it does next follows from the outbox and from what the node shows, never from memory alone: so a process that was
killed is taken up where it was, and a transaction that a reorganisation took out of its block goes in again.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from shale.chain import fees as pricing
from shale.chain.chain import TooDear
from shale.chain.complaints import Sent, complaint, sending
from shale.chain.node import Landed, Node
from shale.chain.outbox import Full, Intent, Outbox, State
from shale.chain.rpc import NodeError
from shale.chain.transactions import Draft, Fees, Signed, signed
from shale.errors import ConfigError, Refused, ShaleError, Unavailable
from shale.market.accounts import Signer
from shale.units import Address, AttoFil, checked_address, format_fil

log = logging.getLogger("shale.chain")

WAIT_BLOCKS = 60
"""How many blocks a transaction is waited for: half an hour of Filecoin."""
WAIT_SECONDS = 2400.0
"""How long, where no blocks come."""
STUCK_BLOCKS = 8
"""After so many without it, it offers more for its gas."""
RESEND_BLOCKS = 3
"""A node that forgot it is given it again so often; to one that has it this is nothing new."""
MAX_OFFERS = 8
MAX_GAP = 64
"""How far a nonce may be ahead of the chain: one that a node made up would wait, and all after it, for ever."""
KEEP_SECONDS = 10.0
"""Between looks at transactions that are in blocks but not final."""
_TELL_BLOCKS = 4
_STRIKES = 3
"""So often the nonce must be seen used by none of ours: receipts may come later than the count."""
_FIRST_PAUSE = 0.02
_MAX_PAUSE = 2.0
_COLLISIONS = 10


class _NotTaken(Exception):
    """No node has the transaction; `told` says why."""

    def __init__(self, told: ShaleError) -> None:
        super().__init__(str(told))
        self.told = told


class Sender:
    """One wallet on one chain."""

    def __init__(
        self,
        node: Node,
        account: Signer,
        outbox: Outbox,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        max_fee: AttoFil = pricing.MAX_FEE,
    ) -> None:
        self._node = node
        self._account = account
        self._outbox = outbox
        self._pause = pause
        self._max_fee = max_fee
        self._order = asyncio.Lock()
        self._resumed = False
        self._keeper: asyncio.Task[None] | None = None

    @property
    def address(self) -> Address:
        return checked_address(self._account.address)

    async def transact(self, to: Address | None, data: bytes, value: int = 0) -> Landed:
        """Make a transaction; return when it is in a block and succeeded.

        Raises Refused with the contract's reason, before anything is sent where the node can foresee it; ConfigError
        for an unfunded wallet; Unavailable else. An Unavailable that names a transaction means that it was sent, and
        may still come into a block: the next transaction of this wallet waits for it.
        """
        if len(data) > pricing.MAX_DATA:
            raise Refused(
                f"a transaction of {len(data)} bytes is over Filecoin's limit of 64 KiB", "make it of fewer parts"
            )
        await self._node.check_chain()
        await self._check_funds(value)
        await self._resume()
        draft, fees, head = await self._priced(Draft(to, data, value, 0))
        async with self._order:
            intent = await self._submit(await self._add(draft, fees, head))
        landed = await self._follow(intent)
        self._keep()
        if not landed.ok:
            raise await self._reason(intent, landed)
        return landed

    async def sweep(self) -> None:
        """Look once after all that isn't final: what a node forgot or a reorganisation took out is sent again."""
        head = await self._node.head()
        final = await self._node.final(head)
        for intent in self._outbox.open():
            if intent.state in (State.MINED, State.FAILED):
                await self._recheck(intent, head, final)
                continue
            landed = await self._landed(intent)
            if landed is not None:
                self._found(intent, landed)
            elif intent.state is State.SENT:
                if (await self._tend(intent, head)).state is State.DISPLACED:
                    log.warning(
                        "transaction %s was not made: another one of this wallet has its nonce %d",
                        intent.newest.tx,
                        intent.nonce,
                    )
            elif intent.block <= final:
                self._outbox.mark(intent, State.DONE)

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
            intent = self._outbox.get(intent)
            if intent.state is State.DONE:
                landed = await self._node.receipt(intent.tx) if intent.tx else None
                if landed is None or not landed.ok:
                    raise Refused(f"transaction {tx} was not made", "look at the wallet's state before you repeat it")
                return landed
            head = await self._node.head()
            blocks, last = blocks + (head > last), head
            await self._pause(_MAX_PAUSE)
            waited += _MAX_PAUSE
        raise Unavailable(f"transaction {tx} is not final yet", "wait, and look again")

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def _resume(self) -> None:
        """Once in a process: take up what earlier ones left. No new transaction can be in a block before them."""
        async with self._order:
            if self._resumed:
                return
            await self.sweep()
            for intent in [intent for intent in self._outbox.open() if intent.state is State.SENT]:
                log.warning("transaction %s of an earlier command still waits: taking it up", intent.newest.tx)
                try:
                    await self._push(intent)
                except _NotTaken as error:
                    raise error.told from None
                landed = await self._follow(intent)
                if not landed.ok:
                    _tell_failed(landed)
            self._resumed = True

    async def _priced(self, draft: Draft) -> tuple[Draft, Fees, int]:
        call = {"from": self.address, "data": "0x" + draft.data.hex(), "value": hex(draft.value)}
        if draft.to is not None:
            call["to"] = draft.to
        try:
            estimate = await self._node.quantity("eth_estimateGas", call)
        except Unavailable:
            # Filecoin's node tells only of some failures what a contract said: its answer to a call tells it.
            await self._node.ask("eth_call", call, "latest")
            raise
        head = await self._node.latest()
        priced = replace(draft, gas=pricing.gas_limit(estimate, head.gas_limit))
        fees = await self._market(head.base_fee)
        if not pricing.affordable(fees, priced.gas, self._max_fee):
            raise TooDear(
                f"the transaction's gas may cost {priced.gas * fees.most / 10**18:.3f} FIL, over max_gas_fee = "
                f"{self._max_fee}",
                "wait, or raise it (chain.max_gas_fee in a provider's settings, else shale network add --max-gas-fee)",
            )
        await self._check_funds(draft.value + priced.gas * fees.most)
        return priced, fees, head.number

    async def _market(self, base_fee: int) -> Fees:
        return pricing.market(base_fee, await self._node.quantity("eth_maxPriorityFeePerGas"))

    async def _check_funds(self, needed: int) -> None:
        have = await self._node.balance(self.address)
        if have.value < needed or not have:
            more = "its gas" if needed == 0 else f"{format_fil(AttoFil(needed))} and gas"
            raise ConfigError(f"the wallet {self.address} has {format_fil(have)}, needs {more}", "fund it")

    async def _add(self, draft: Draft, fees: Fees, head: int) -> Intent:
        waited = 0.0
        while True:
            pending = await self._node.count(self.address, "pending")
            count = await self._node.count(self.address)
            if pending > count + MAX_GAP:
                raise self._node.nonsense("a nonce that is far off")
            await self._put_back(count)
            try:
                return self._outbox.add(draft, fees, pending, head, functools.partial(self._sign, draft))
            except Full:
                if waited >= WAIT_SECONDS:
                    raise Unavailable("too many transactions of this wallet wait", "try again later") from None
            await self._pause(_MAX_PAUSE)
            waited += _MAX_PAUSE
            await self.sweep()

    async def _put_back(self, count: int) -> None:
        """Send again what was in a block and isn't any more, as the wallet's count tells: it comes before what is new.

        Its nonce stays its own meanwhile (Outbox), or the new transaction would take its place.
        """
        lost = [
            intent
            for intent in self._outbox.open()
            if intent.nonce >= count and intent.state in (State.MINED, State.FAILED)
        ]
        if lost:
            head = await self._node.head()
            final = await self._node.final(head)
            for intent in lost:
                await self._recheck(intent, head, final)

    def _sign(self, draft: Draft, nonce: int, fees: Fees) -> Signed:
        return signed(self._account, self._node.chain_id, nonce, draft, fees)

    async def _submit(self, intent: Intent) -> Intent:
        """Give a new intent to the node, under another nonce where somebody else was faster."""
        for attempt in range(_COLLISIONS):
            try:
                outcome = await self._push(intent)
            except _NotTaken as error:
                self._outbox.drop(intent)
                raise error.told from None
            except Unavailable:
                return intent  # whether it arrived, the chain will show
            if outcome not in (Sent.NONCE_USED, Sent.NONCE_WAITS) or await self._landed(intent):
                return intent
            # Apart from each other by chance, or two processes would go on colliding.
            await self._pause(random.uniform(0, 0.02 * (attempt + 1)))
            pending = await self._node.count(self.address, "pending")
            sign = functools.partial(self._sign, intent.draft)
            intent = self._outbox.move(intent, intent.newest.fees, pending, intent.newest.head, sign)
        self._outbox.drop(intent)
        raise Unavailable("others use this wallet faster than nonces can be had", "stop them, and try again")

    async def _push(self, intent: Intent) -> Sent:
        """Send an intent's newest form. Raises _NotTaken, or Unavailable when nobody knows whether it arrived."""
        try:
            await self._node.rpc.call_once("eth_sendRawTransaction", "0x" + intent.newest.raw.hex())
        except NodeError as error:
            outcome = sending(error)
            if outcome in (Sent.NO_FUNDS, Sent.FEE_TOO_LOW, Sent.REFUSED):
                # Words that we don't know may yet mean that it has it.
                if await self._node.ask("eth_getTransactionByHash", intent.newest.tx) is not None:
                    return Sent.TAKEN
                raise _NotTaken(complaint(error, self._node.rpc.place, self.address)) from None
            return outcome
        return Sent.TAKEN

    async def _follow(self, intent: Intent) -> Landed:
        """Wait until one of an intent's forms is in a block, tending it meanwhile."""
        pause, waited, blocks, last = _FIRST_PAUSE, 0.0, 0, -1
        clock = asyncio.get_running_loop().time
        until = clock() + WAIT_SECONDS  # a node that hangs takes its time beside our pauses
        while blocks <= WAIT_BLOCKS and waited < WAIT_SECONDS and clock() < until:
            with suppress(Unavailable):  # it is sent: a node that is silent now doesn't undo it
                landed = await self._landed(intent)
                if landed is not None:
                    self._book(intent, landed)
                    return landed
                head = await self._node.head()
                if last >= 0 and head > last:
                    blocks += 1
                    told = logging.WARNING if blocks % _TELL_BLOCKS == 0 else logging.DEBUG
                    log.log(told, "waiting for transaction %s, %d blocks so far", intent.newest.tx, blocks)
                if pause > 0.5 or 0 <= last < head:
                    intent = await self._tend(self._outbox.get(intent), head)
                last = max(last, head)
            if intent.state is State.DISPLACED:
                raise Unavailable(
                    f"transaction {intent.newest.tx} was not made: another one of this wallet has its nonce",
                    "look at the wallet's state before you repeat it",
                )
            await self._pause(pause)
            waited += pause
            pause = min(pause * 1.5, _MAX_PAUSE)
        raise Unavailable(
            f"transaction {intent.newest.tx} is not in a block after {blocks} blocks",
            "it may still come: the next transaction of this wallet waits for it",
        )

    async def _tend(self, intent: Intent, head: int) -> Intent:
        """What a waiting intent needs now: to be sent again, to offer more, or to be seen as displaced."""
        if intent.state is not State.SENT:
            return intent
        count = await self._node.count(self.address)
        if count > intent.nonce or intent.nonce > count + MAX_GAP:
            strikes = intent.strikes + 1
            state = State.DISPLACED if strikes >= _STRIKES else State.SENT
            return self._outbox.mark(intent, state, block=head, strikes=strikes)
        age = head - intent.newest.head
        if age >= STUCK_BLOCKS and len(intent.attempts) < MAX_OFFERS:
            fees = pricing.raised(intent.newest.fees, await self._market((await self._node.latest()).base_fee))
            if pricing.affordable(fees, intent.draft.gas, self._max_fee):
                made = self._sign(intent.draft, intent.nonce, fees)
                intent = self._outbox.replace(intent, made, fees, head)
                log.warning("transaction %s offers more for its gas: it waits since %d blocks", made.tx, age)
                age = 0
        if age % RESEND_BLOCKS == 0:
            with suppress(Unavailable, _NotTaken):
                await self._push(intent)
        return intent

    async def _landed(self, intent: Intent) -> Landed | None:
        for attempt in reversed(intent.attempts):
            landed = await self._node.receipt(attempt.tx)
            if landed is not None and landed.tx == attempt.tx:
                return landed
        return None

    def _book(self, intent: Intent, landed: Landed) -> Intent:
        state = State.MINED if landed.ok else State.FAILED
        if self._node.finality == 0:
            state = State.DONE
        return self._outbox.mark(intent, state, block=landed.block, block_hash=landed.block_hash, tx=landed.tx)

    def _found(self, intent: Intent, landed: Landed) -> Intent:
        """Book what nobody waits for: that it failed is told here."""
        if not landed.ok and intent.state is not State.FAILED:
            _tell_failed(landed)
        return self._book(intent, landed)

    async def _recheck(self, intent: Intent, head: int, final: int) -> None:
        """A transaction that was in a block: final by now, still there, in another block, or out of the chain."""
        if head < intent.block:
            return  # this node is behind
        landed = await self._landed(intent)
        if landed is None and intent.block <= final and await self._node.count(self.address) > intent.nonce:
            self._finish(intent)  # this node doesn't keep receipts for so long
        elif landed is None:
            log.warning("a reorganisation took %s out of block %d: sending it again", intent.tx, intent.block)
            intent = self._outbox.mark(intent, State.SENT)
            with suppress(Unavailable, _NotTaken):
                await self._push(intent)
        elif landed.block <= final:
            self._finish(self._found(intent, landed))
        elif (landed.tx, landed.block_hash) != (intent.tx, intent.block_hash):
            self._found(intent, landed)

    def _finish(self, intent: Intent) -> None:
        self._outbox.mark(intent, State.DONE, block=intent.block, block_hash=intent.block_hash, tx=intent.tx)

    def _keep(self) -> None:
        """Look after what isn't final as long as this process lives."""
        if self._node.finality and (self._keeper is None or self._keeper.done()):
            self._keeper = asyncio.create_task(self._keep_on())

    async def _keep_on(self) -> None:
        while self._outbox.open():
            await asyncio.sleep(KEEP_SECONDS)
            try:
                await self.sweep()
            except ShaleError as error:
                log.info("transactions that aren't final could not be looked after: %s", error)

    async def _reason(self, intent: Intent, landed: Landed) -> ShaleError:
        """Why a transaction failed in its block: asked once more."""
        draft = intent.draft
        call = {"from": self.address, "data": "0x" + draft.data.hex(), "value": hex(draft.value)}
        if draft.to is not None:
            call["to"] = draft.to
        try:
            await self._node.ask("eth_call", call, hex(landed.block))
        except ShaleError as error:
            return error
        return Refused(f"transaction {landed.tx} failed in block {landed.block}", "try again")


def _tell_failed(landed: Landed) -> None:
    log.warning("transaction %s failed in block %d: nothing came of it", landed.tx, landed.block)
