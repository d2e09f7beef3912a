"""Anchoring: leases that wait to be written to the chain at the same time go there in one transaction."""

from __future__ import annotations

import asyncio
import logging

from shale.chain.chain import Chain, Opening, Receipt
from shale.clock import Clock
from shale.errors import Refused, ShaleError
from shale.provider.ledger_books import LedgerBooks
from shale.units import ZERO

log = logging.getLogger("shale.provider")

MOST = 32
"""Leases in one transaction: some 2 KiB each, of the 64 KiB that Filecoin's message pool takes."""


class Anchoring:
    """`open` gives one lease to the next transaction; those that come while one is on its way share the next."""

    def __init__(self, chain: Chain, books: LedgerBooks, clock: Clock) -> None:
        self._chain = chain
        self._books = books
        self._clock = clock
        self._waiting: list[tuple[Opening, asyncio.Future[Receipt]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def open(self, opening: Opening) -> Receipt:
        """Anchor a lease. Raises what the chain says of this one, whatever becomes of the others."""
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append((opening, answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        await asyncio.sleep(0)  # whoever starts in this very moment comes along
        while self._waiting:
            part, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                await self._send(part)
            except BaseException as error:
                failure = error if isinstance(error, Exception) else asyncio.CancelledError()
                for _, answer in [*part, *self._waiting]:
                    if not answer.done():
                        answer.set_exception(failure)
                self._waiting = []
                raise

    async def _send(self, part: list[tuple[Opening, asyncio.Future[Receipt]]]) -> None:
        try:
            receipt = await self._chain.open_leases([opening for opening, _ in part])
        except Refused as error:
            if len(part) > 1:
                log.info("one of %d leases would not open (%s): they go one by one", len(part), error)
                for single in part:
                    await self._send([single])
                return
            _answer(part, error)
        except ShaleError as error:
            _answer(part, error)
        else:
            try:
                await self._books.post("open", receipt, ZERO, self._clock.now())
            except ShaleError as error:  # the leases are open all the same
                log.error("the fee of transaction %s is not in the books: %s", receipt.tx, error)
            _answer(part, receipt)


def _answer(part: list[tuple[Opening, asyncio.Future[Receipt]]], outcome: Receipt | ShaleError) -> None:
    for _, answer in part:
        if answer.done():
            continue  # its lease has given up waiting
        if isinstance(outcome, ShaleError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
