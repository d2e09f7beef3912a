"""Tending: what each of a wallet's intents needs next, as its outbox and the node's answers say, and nothing else.

A wallet's transactions come into blocks in the order of their nonces, so whoever waits for one tends all: the lowest
one first, which holds up the others, and a nonce before it that nobody uses any more.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from shale.chain import fees as pricing
from shale.chain.complaints import Sent
from shale.chain.delivery import Delivery, NotTaken
from shale.chain.intents import Intent, Purpose, State
from shale.chain.node import Landed, Node
from shale.chain.offers import Offers
from shale.chain.outbox import Gone, Outbox
from shale.chain.transactions import Draft
from shale.errors import ShaleError, Unavailable

log = logging.getLogger("shale.chain")

STUCK_BLOCKS = 8
"""After so many as the wallet's next transaction, an intent offers more for its gas."""
RESEND_BLOCKS = 3
"""A node that forgot it is given it again so often; to one that has it this is nothing new."""
MAX_OFFERS = 8
MAX_MOVES = 10
MAX_GAP = 20
"""How far a nonce may be ahead of the chain: one that a node made up would wait, and all after it, for ever."""
LOOKS = 3
"""In so many blocks a nonce must be seen used by none of ours, or left free by all: receipts may come later than the
count, and one node behind a gateway may not have what another has."""


class Tending:
    """One wallet's. `submitting` holds the ids of intents that their maker is giving to the node at this moment."""

    def __init__(self, node: Node, outbox: Outbox, offers: Offers, delivery: Delivery) -> None:
        self._node = node
        self._outbox = outbox
        self._offers = offers
        self._delivery = delivery
        self._turn = asyncio.Lock()
        self._tended = -1
        self._since: dict[int, int] = {}
        """The block from which an intent has been the wallet's next, and with the node, as far as is known here."""
        self._hole = (-1, -1, 0)
        """A nonce that nobody has: which, when it was last seen so, and how often."""
        self.submitting: set[int] = set()

    async def sweep(self) -> None:
        """Look once after all that isn't final: what a node forgot or a reorganisation took out is sent again."""
        async with self._turn:
            head = await self._node.head()
            final = await self._node.final(head)
            await self._look(head)
            for intent in self._outbox.open():
                with suppress(Gone):
                    if intent.state in (State.MINED, State.FAILED):
                        await self._recheck(intent, head, final)
                    elif intent.state is State.DISPLACED:
                        await self._recheck_displaced(intent, final)

    async def sweep_waiting(self, head: int, *, again: bool) -> None:
        """Look after what is in no block, also what was in one; at one height only once, unless `again`."""
        async with self._turn:
            if again or head != self._tended:
                await self._look(head)

    async def book(self, intent: Intent, landed: Landed) -> Intent:
        """Keep that it is in a block. Raises Gone."""
        state = State.MINED if landed.ok else State.FAILED
        if self._node.finality == 0:
            state = State.DONE
        void = Draft(self._offers.address, b"", 0, intent.draft.gas)
        head = max(landed.block, intent.newest.head)
        booked, voids = self._outbox.land(
            intent, state, landed, head, self._offers.sign, void, lambda fees: pricing.raised(fees, fees)
        )
        for each in voids:
            log.warning("%s is in a block after all: %s takes the nonce %d", booked.name, each.name, each.nonce)
            await self._push(each)
        return booked

    async def move(self, intent: Intent) -> Intent:
        """Under another nonce, once it is sure that another transaction has its own."""
        if len({attempt.nonce for attempt in intent.attempts}) >= MAX_MOVES:
            return self._outbox.mark(intent, State.DISPLACED, block=await self._node.head())
        pending = await self._node.count(self._offers.address, "pending")
        newest = intent.newest
        moved = self._outbox.move(intent, newest.fees, pending, newest.head, self._offers.sign)
        log.info("%s has the nonce %d now: another one of this wallet has %d", moved.name, moved.nonce, intent.nonce)
        return moved

    async def _look(self, head: int) -> None:
        count = await self._node.count(self._offers.address)
        intents = self._outbox.open()
        for intent in intents:
            with suppress(Gone):
                if intent.state is State.SENT:
                    await self._tend(intent, head, count)
                elif intent.state in (State.MINED, State.FAILED) and intent.nonce >= count:
                    self._since[intent.id] = head
                    await self._put_back(intent)
        self._since = {intent.id: self._since[intent.id] for intent in intents if intent.id in self._since}
        await self._fill(head, count)
        self._tended = head

    async def _tend(self, intent: Intent, head: int, count: int) -> None:
        """What a waiting intent needs now: to be sent again, to offer more, or to be seen as displaced."""
        landed = await self._delivery.landed(intent)
        if landed is not None:
            await self._found(intent, landed)
            return
        if count > intent.nonce or intent.nonce > count + MAX_GAP:
            await self._strike(intent, head, count)
            return
        if intent.strikes:
            intent = self._outbox.mark(intent, State.SENT)  # a reorganisation has given its nonce back
        age, since = head - intent.newest.head, self._since.setdefault(intent.id, head)
        if intent.nonce > count:
            self._since[intent.id] = head
        elif min(age, head - since) >= STUCK_BLOCKS and len(intent.offers) < MAX_OFFERS:
            offer = await self._offers.raised(intent)
            if offer is not None:
                intent, age = self._outbox.replace(intent, *offer, head), 0
                log.warning("%s offers more for its gas: it waits since %d blocks", intent.name, STUCK_BLOCKS)
        if age % RESEND_BLOCKS == 0:
            await self._push(intent)

    async def _strike(self, intent: Intent, head: int, count: int) -> None:
        """Its nonce was seen used, and none of its attempts in a block."""
        if not self._is_new(head, intent.block) and intent.strikes:
            return
        strikes, far = intent.strikes + 1, intent.nonce > count
        if strikes < LOOKS or (not far and await self._delivery.known(intent)):
            self._outbox.mark(intent, State.SENT, block=head, strikes=min(strikes, LOOKS))
        elif intent.refused and not far:
            await self._push(await self.move(intent), first=True)
        else:
            self._outbox.mark(intent, State.DISPLACED, block=head)
            log.warning("%s was not made: another one of this wallet has its nonce %d", intent.name, intent.nonce)

    async def _push(self, intent: Intent, *, first: bool = False) -> None:
        """Send it, as it stands now: another process may have given it up meanwhile."""
        with suppress(Unavailable, NotTaken, Gone):
            intent = self._outbox.get(intent)
            if intent.state is not State.SENT or intent.id in self.submitting:
                return
            if intent.refused:
                self._outbox.refused(intent, False)  # whatever happens now, a node may have it
            if await self._delivery.push(intent) is Sent.NONCE_USED and (first or intent.refused):
                self._outbox.refused(intent, True)

    async def _found(self, intent: Intent, landed: Landed) -> Intent:
        """Book what nobody may wait for: that it failed, or was made against what was said, is told here."""
        if not landed.ok and intent.state is not State.FAILED:
            tell_failed(intent, landed)
        elif landed.ok and intent.state is State.DISPLACED:
            log.warning("%s is in block %d after all", intent.name, landed.block)
        return await self.book(intent, landed)

    async def _put_back(self, intent: Intent) -> None:
        """It was in a block, and the wallet's count says that it isn't any more."""
        landed = await self._delivery.landed(intent)
        if landed is None:
            log.warning("a reorganisation took %s out of block %d: sending it again", intent.name, intent.block)
            await self._push(self._outbox.mark(intent, State.SENT))
        elif (landed.tx, landed.block_hash) != (intent.tx, intent.block_hash):
            await self._found(intent, landed)

    async def _recheck(self, intent: Intent, head: int, final: int) -> None:
        """A transaction that was in a block: final by now, still there, in another block, or out of the chain."""
        landed = await self._delivery.landed(intent)
        if landed is None:
            if await self._node.count(self._offers.address) <= intent.nonce:
                await self._put_back(intent)
            elif head >= intent.block and intent.block <= final:
                self._finish(intent)  # this node doesn't keep receipts for so long
            elif head >= intent.block:  # else this node is behind
                await self._put_back(intent)
        elif landed.block <= final:
            self._finish(await self._found(intent, landed))
        elif (landed.tx, landed.block_hash) != (intent.tx, intent.block_hash):
            await self._found(intent, landed)

    async def _recheck_displaced(self, intent: Intent, final: int) -> None:
        landed = await self._delivery.landed(intent)
        if landed is not None:
            await self._found(intent, landed)
        elif intent.block <= final:
            self._outbox.mark(intent, State.DONE)

    def _finish(self, intent: Intent) -> None:
        self._outbox.mark(intent, State.DONE, block=intent.block, block_hash=intent.block_hash, tx=intent.tx)

    async def _fill(self, head: int, count: int) -> None:
        """A nonce that another program used and whose transaction is lost holds up all of ours behind it."""
        waiting = {intent.nonce for intent in self._outbox.open() if intent.state is not State.DISPLACED}
        if not any(count < nonce <= count + MAX_GAP for nonce in waiting) or count in waiting:
            return
        if await self._node.count(self._offers.address, "pending") > count:
            return  # somebody's transaction waits there
        nonce, seen, looks = self._hole
        if nonce != count:
            self._hole = (count, head, 1)
        elif self._is_new(head, seen):
            self._hole = (count, head, looks + 1)
        if self._hole[2] < LOOKS:
            return
        try:
            draft, fees, _ = await self._offers.priced(Draft(self._offers.address, b"", 0, 0))
        except ShaleError as error:
            log.warning("nobody uses the nonce %d, and it can't be filled: %s", count, error)
            return
        purpose = Purpose("nothing, at a nonce that another program left")
        made = self._outbox.fill(draft, count, fees, head, self._offers.sign, purpose)
        if made is not None:
            log.warning("%s takes the nonce %d, or all behind it would wait for ever", made.name, count)
            await self._push(made)

    def _is_new(self, head: int, seen: int) -> bool:
        """Whether another look tells more. A chain that takes nothing back makes blocks when it likes."""
        return head > seen or self._node.finality == 0


def tell_failed(intent: Intent, landed: Landed) -> None:
    log.warning("%s failed in block %d: nothing came of it", intent.name, landed.block)
