"""Anchoring: leases that come to be written to the chain within a short time go there in one transaction."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any

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
CONTRACTS = 2
"""Contracts' leases that are sent at once: of the eight transactions of a wallet that may wait, most are for others."""
ASK_SECONDS = 20.0
"""How long the chain may take to say whether a contract's lease would open."""
SEND_SECONDS = 300.0
"""How long such a lease may take into a block, from its price on: ten of Filecoin's blocks."""
_ASKS = 8
"""Openings that the chain is asked about at once."""

Waiter = tuple[Opening, asyncio.Future[Receipt]]


class Anchoring:
    """`open` gives one lease to the next transaction.

    The first that comes waits `wait` seconds for company; those that come while a transaction is on its way share the
    next. A bundle with leases that the chain refuses goes without them: which they are is asked of the chain, and no
    transaction is spent on it. A lease whose client is a contract goes alone, and beside the bundles: what that program
    does in the block, what gas it takes there and how long a node runs it is nobody else's trouble.
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
        self._contracts: deque[Waiter] = deque()
        self._contract_workers: list[asyncio.Task[None]] = []

    async def open(self, opening: Opening) -> Receipt:
        """Anchor a lease. Raises what the chain says of this one, whatever becomes of the others."""
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        if self._is_by_key(opening):
            self._bundle((opening, answer))
        else:
            self._contracts.append((opening, answer))
            self._contract_workers = [task for task in self._contract_workers if not task.done()]
            if len(self._contract_workers) < CONTRACTS:
                self._contract_workers.append(asyncio.create_task(self._work_alone()))
        return await answer

    async def close(self) -> None:
        """Stop; nothing goes on when this returns. What was sent stays in the wallet's outbox, like after a kill."""
        tasks = [*self._contract_workers, *([self._worker] if self._worker else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        _give_up([*self._waiting, *self._contracts], asyncio.CancelledError())
        self._waiting = []
        self._contracts.clear()

    def _bundle(self, one: Waiter) -> None:
        if not self._waiting:
            self._since = self._clock.steady()
        self._waiting.append(one)
        if len(self._waiting) >= MOST:
            self._full.set()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        part: list[Waiter] = []
        try:
            await asyncio.sleep(0)  # whoever starts in this very moment comes along
            while self._waiting:
                await self._gather()
                part, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._send(part)
        except BaseException as error:
            _give_up([*part, *self._waiting], error)
            self._waiting = []
            raise

    async def _gather(self) -> None:
        """Wait for company: until the first has waited long enough, or a transaction is full."""
        left = self._since + self._wait - self._clock.steady()
        self._full.clear()
        if left > 0 and len(self._waiting) < MOST:
            await wait_event(self._clock, self._full, left)

    async def _work_alone(self) -> None:
        """Send one contract's lease after the other, as they came."""
        while self._contracts:
            one = self._contracts.popleft()
            try:
                await self._send_alone(one)
            except ShaleError as error:
                _answer([one], error)
            except BaseException as error:
                _give_up([one], error)
                if not isinstance(error, Exception):
                    raise
                log.exception("a contract's lease was not anchored")

    async def _send_alone(self, one: Waiter) -> None:
        """Within its time; a program that a node can't get to the end of is found out before it is priced."""
        await self._within(ASK_SECONDS, self._chain.would_open([one[0]]))
        await self._within(SEND_SECONDS, self._send([one]))

    async def _within(self, seconds: float, work: Coroutine[Any, Any, None]) -> None:
        """Do it. Raises Unavailable when it takes longer: it is stopped then."""
        task = asyncio.create_task(work)
        timer = asyncio.ensure_future(self._clock.sleep_until(self._clock.steady() + seconds))
        try:
            await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Unavailable(f"a contract's lease was not opened within {seconds:g} s", "it is tried again")
            task.result()
        finally:
            task.cancel()
            timer.cancel()
            await asyncio.gather(task, timer, return_exceptions=True)

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


def _give_up(part: Sequence[Waiter], error: BaseException) -> None:
    failure = error if isinstance(error, Exception) else asyncio.CancelledError()
    for _, answer in part:
        if not answer.done():
            answer.set_exception(failure)
