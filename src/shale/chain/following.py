"""Following: waits until one intent is in a block, tending all that its wallet has waiting meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from shale.chain.delivery import Delivery
from shale.chain.intents import Intent, State
from shale.chain.node import Landed, Node
from shale.chain.outbox import Outbox
from shale.chain.tending import Tending
from shale.errors import Unavailable

log = logging.getLogger("shale.chain")

WAIT_BLOCKS = 60
"""How many blocks a transaction is waited for: half an hour of Filecoin."""
WAIT_SECONDS = 2400.0
"""How long, where no blocks come."""
MAX_PAUSE = 2.0
_FIRST_PAUSE = 0.02
_LONG_PAUSE = 0.5
"""After so long a pause all that waits is looked after, also where no block came."""
_TELL_BLOCKS = 4


class Displaced(Unavailable):
    """The nonce that it had is another transaction's: it was not made."""


class Following:
    """One wallet's."""

    def __init__(
        self,
        node: Node,
        outbox: Outbox,
        delivery: Delivery,
        tending: Tending,
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        self._node = node
        self._outbox = outbox
        self._delivery = delivery
        self._tending = tending
        self._pause = pause

    async def follow(self, intent: Intent) -> Landed:
        """Return when one of its forms is in a block. Raises Displaced, Unavailable, and Gone."""
        pause, waited, blocks, last, top = _FIRST_PAUSE, 0.0, 0, -1, -1
        clock = asyncio.get_running_loop().time
        until = clock() + WAIT_SECONDS  # a node that hangs takes its time beside our pauses
        while blocks <= WAIT_BLOCKS and waited < WAIT_SECONDS and clock() < until:
            with suppress(Unavailable):  # it is sent: a node that is silent now doesn't undo it
                intent = self._outbox.get(intent)
                landed = await self._delivery.landed(intent)
                if landed is not None:
                    await self._tending.book(intent, landed)
                    return landed
                head = await self._node.head()
                if head > top >= 0:
                    blocks += 1
                    told = logging.WARNING if blocks % _TELL_BLOCKS == 0 else logging.DEBUG
                    log.log(told, "waiting for %s, %d blocks so far", intent.name, blocks)
                if pause > _LONG_PAUSE or head != last >= 0:
                    await self._tending.sweep_waiting(head, again=pause > _LONG_PAUSE)
                    intent = self._outbox.get(intent)
                last, top = head, max(top, head)
            if intent.state is State.DISPLACED:
                raise Displaced(
                    f"{intent.name} was not made: another one of this wallet has its nonce",
                    "look at the wallet's state before you repeat it",
                )
            await self._pause(pause)
            waited += pause
            pause = min(pause * 1.5, MAX_PAUSE)
        raise Unavailable(
            f"{intent.name} is not in a block after {blocks} blocks",
            "it may still come: the next transaction of this wallet waits for it",
        )
