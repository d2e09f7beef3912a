"""Anchoring: leases that come to be written to the chain within a short time go there in one transaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from shale.chain.chain import Chain, Opening, Receipt
from shale.clock import Clock, wait_event
from shale.errors import InputRefused, Refused, ShaleError, Unavailable
from shale.market.signing import SigningDomain
from shale.provider.ledger_books import LedgerBooks
from shale.units import ZERO

log = logging.getLogger("shale.provider")

MOST = 40
"""Leases in one transaction: so many fit the 64 KiB that Filecoin's message pool takes."""
TRIES = 3
"""How often a bundle is sifted because the chain refused what it would have taken a moment before."""
_ASKS = 8
"""Openings that the chain is asked about at once."""

Waiter = tuple[Opening, asyncio.Future[Receipt]]


class Anchoring:
    """`open` gives one lease to the next transaction.

    The first that comes waits `wait` seconds for company; those that come while a transaction is on its way share the
    next. A bundle with leases that the chain refuses goes without them: which they are is asked of the chain, and no
    transaction is spent on it. A lease whose client is a contract goes alone: what that program
    does in the block, and what gas it takes there, is nobody else's trouble.
    """

    def __init__(self, chain: Chain, books: LedgerBooks, clock: Clock, wait: float = 0.0) -> None:
        self._chain = chain
        self._books = books
        self._clock = clock
        self._wait = wait
        self._signing = SigningDomain(chain.deployment.chain_id, chain.deployment.market)
        self._waiting: list[Waiter] = []
        self._since = 0.0
        self._full = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    async def open(self, opening: Opening) -> Receipt:
        """Anchor a lease. Raises what the chain says of this one, whatever becomes of the others."""
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._since = self._clock.steady()
        self._waiting.append((opening, answer))
        if len(self._waiting) >= MOST:
            self._full.set()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        part: list[Waiter] = []
        try:
            await asyncio.sleep(0)  # whoever starts in this very moment comes along
            while self._waiting:
                await self._gather()
                part = self._next()
                await self._send(part)
        except BaseException as error:
            failure = error if isinstance(error, Exception) else asyncio.CancelledError()
            for _, answer in [*part, *self._waiting]:
                if not answer.done():
                    answer.set_exception(failure)
            self._waiting = []
            raise

    async def _gather(self) -> None:
        """Wait for company: until the first has waited long enough, or a transaction is full."""
        left = self._since + self._wait - self._clock.steady()
        self._full.clear()
        if left > 0 and len(self._waiting) < MOST:
            await wait_event(self._clock, self._full, left)

    def _next(self) -> list[Waiter]:
        """Those that go together now, out of the queue."""
        first = self._waiting[0]
        by_key = [one for one in self._waiting if self._is_by_key(one[0])]
        part = by_key[:MOST] if first in by_key else [first]
        self._waiting = [one for one in self._waiting if one not in part]
        return part

    def _is_by_key(self, opening: Opening) -> bool:
        """Whether its client signs with a key of its own, which the chain checks by itself."""
        client = opening.order.client
        try:
            self._signing.check(opening.order, opening.order_signature, client)
            self._signing.check(opening.confirmation, opening.confirmation_signature, client)
        except InputRefused:
            return False
        return True

    async def _send(self, part: list[Waiter]) -> None:
        for _ in range(TRIES):
            try:
                receipt = await self._chain.open_leases([opening for opening, _ in part])
            except Refused as error:
                if len(part) == 1:
                    return _answer(part, error)
                many = len(part)
                try:
                    part = await self._sift(part)
                except ShaleError as trouble:
                    return _answer(part, trouble)
                log.info(
                    "%d of %d leases would not open (%s): the others go without them", many - len(part), many, error
                )
                if not part:
                    return None
            except ShaleError as error:
                return _answer(part, error)
            else:
                try:
                    await self._books.post("open", receipt, ZERO, self._clock.now())
                except ShaleError as error:  # the leases are open all the same
                    log.error("the fee of transaction %s is not in the books: %s", receipt.tx, error)
                return _answer(part, receipt)
        return _answer(part, Unavailable("the chain refused what it would have taken just before", "it is tried again"))

    async def _sift(self, part: list[Waiter]) -> list[Waiter]:
        """Those that the chain would open together; the others are answered with what it says of them."""
        gate = asyncio.Semaphore(_ASKS)

        async def alone(one: Waiter) -> Refused | None:
            async with gate:
                return await self._refusal([one])

        told = await asyncio.gather(*(alone(one) for one in part))
        good: list[Waiter] = []
        for one, refusal in zip(part, told, strict=True):
            if refusal is None:
                good.append(one)
            else:
                _answer([one], refusal)
        return await self._together([], good)

    async def _together(self, taken: list[Waiter], part: list[Waiter]) -> list[Waiter]:
        """`taken` and as many of `part` as open with them: one may be good alone, and not beside another.

        Two leases of one client may each be within its balance, and not both.
        """
        refusal = await self._refusal([*taken, *part]) if part else None
        if refusal is None:
            return [*taken, *part]
        if len(part) == 1:
            _answer(part, refusal)
            return taken
        half = len(part) // 2
        return await self._together(await self._together(taken, part[:half]), part[half:])

    async def _refusal(self, part: Sequence[Waiter]) -> Refused | None:
        try:
            await self._chain.would_open([opening for opening, _ in part])
        except Refused as error:
            return error
        return None


def _answer(part: Sequence[Waiter], outcome: Receipt | ShaleError) -> None:
    for _, answer in part:
        if answer.done():
            continue  # its lease has given up waiting
        if isinstance(outcome, ShaleError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
