"""Till: takes the vouchers of all leases: those that come together are verified in one call and kept in one commit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from shale.errors import VoucherRefused
from shale.market.order import PayKey
from shale.payments.voucher import Voucher
from shale.proofs.prover import Prover
from shale.provider.store import Store

MOST = 1024
"""Vouchers in one commit."""


@dataclass(frozen=True, slots=True)
class _Item:
    key: PayKey
    voucher: Voucher
    served: float
    fresh: bool
    answer: asyncio.Future[None]


class Till:
    """A commit takes as long for one voucher as for a thousand: while one is under way, the next gathers."""

    def __init__(self, store: Store, prover: Prover, ledger_domain: str) -> None:
        self._store = store
        self._prover = prover
        self._domain = ledger_domain
        self._waiting: list[_Item] = []
        self._worker: asyncio.Task[None] | None = None

    async def take(self, key: PayKey, voucher: Voucher, served: float, fresh: bool) -> None:
        """Verify a voucher and, if it is `fresh`, keep it with the seconds served: durable when this returns.

        Raises VoucherRefused; Unavailable when prover or books don't answer: nothing was kept then.
        """
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_seen)
        self._waiting.append(_Item(key, voucher, served, fresh, answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        # What is under way for all is not undone because one of them stops waiting.
        await asyncio.shield(answer)

    async def _work(self) -> None:
        while self._waiting:
            part, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                await self._settle(part)
            except Exception as error:  # noqa: BLE001 - each of those who wait learns of it
                for item in part:
                    if not item.answer.done():
                        item.answer.set_exception(error)

    async def _settle(self, part: list[_Item]) -> None:
        if len(part) == 1:
            valid = [await self._prover.verify(part[0].key, self._domain, part[0].voucher)]
        else:
            valid = await self._prover.verify_many([(item.key, item.voucher) for item in part], self._domain)
        good = []
        for item, holds in zip(part, valid, strict=True):
            if not holds:
                why = "the voucher's signature is wrong: sign it with the lease's key"
                item.answer.set_exception(VoucherRefused("signature", why))
            elif item.fresh:
                good.append(item)
            else:
                item.answer.set_result(None)
        if not good:
            return
        refusals = await self._store.store_vouchers([(item.voucher, item.served) for item in good])
        for item, refusal in zip(good, refusals, strict=True):
            if refusal is None:
                item.answer.set_result(None)
            else:
                item.answer.set_exception(refusal)


def _seen(answer: asyncio.Future[None]) -> None:
    """Whoever waited may have gone: then nobody else asks how it went."""
    if not answer.cancelled():
        answer.exception()
