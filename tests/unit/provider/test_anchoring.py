"""Anchoring: leases that start together share a transaction, and none of them suffers for another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.desks import FIL, Counter
from tests.settlements import opening_of

from shale.chain.chain import Opening, Receipt
from shale.chain.memory import MemoryChain
from shale.errors import Refused, Unavailable
from shale.provider.anchoring import MOST, Anchoring
from shale.provider.ledger_books import LedgerBooks
from shale.units import checked_address


class Counting(MemoryChain):
    """Notes how many leases each transaction opens; fails with `trouble` while there is one."""

    def __init__(self, counter: Counter) -> None:
        super().__init__(counter.world, checked_address(counter.operator.address))
        self.opened: list[int] = []
        self.trouble: Exception | None = None

    async def open_leases(self, openings: Sequence[Opening]) -> Receipt:
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble
        receipt = await super().open_leases(openings)
        self.opened.append(len(openings))
        return receipt


@pytest.fixture
def chain(counter: Counter) -> Counting:
    counter.world.balances[checked_address(counter.client.address)] = FIL * 2
    return Counting(counter)


def anchoring_of(counter: Counter, chain: Counting) -> Anchoring:
    return Anchoring(chain, LedgerBooks(counter.desk.store), counter.clock)


async def openings(counter: Counter, many: int) -> list[Opening]:
    return [opening_of(await counter.lease(counter.order())) for _ in range(many)]


async def test_leases_that_wait_together_go_in_one_transaction(counter: Counter, chain: Counting) -> None:
    anchoring = anchoring_of(counter, chain)
    receipts = await asyncio.gather(*(anchoring.open(one) for one in await openings(counter, 3)))
    assert chain.opened == [3]
    assert len({receipt.tx for receipt in receipts}) == 1
    [posting] = await LedgerBooks(counter.desk.store).postings(0)
    assert (posting["kind"], posting["tx"]) == ("open", receipts[0].tx)


async def test_one_that_comes_while_another_is_on_its_way_takes_the_next(counter: Counter, chain: Counting) -> None:
    anchoring, (one, two, three) = anchoring_of(counter, chain), await openings(counter, 3)
    first = asyncio.create_task(anchoring.open(one))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.gather(first, anchoring.open(two), anchoring.open(three))
    assert chain.opened == [1, 2]


async def test_one_that_the_chain_refuses_spoils_no_other(counter: Counter, chain: Counting) -> None:
    anchoring, (one, two, three) = anchoring_of(counter, chain), await openings(counter, 3)
    bad = replace(two, confirmation=replace(two.confirmation, deadline=1))
    bad = replace(bad, confirmation_signature=counter.desk.signing.sign(bad.confirmation, counter.client))
    outcomes = await asyncio.gather(*(anchoring.open(each) for each in (one, bad, three)), return_exceptions=True)
    assert [isinstance(outcome, Refused) for outcome in outcomes] == [False, True, False]
    assert chain.opened == [1, 1]


async def test_a_node_that_does_not_answer_is_everybodys_trouble_once(counter: Counter, chain: Counting) -> None:
    anchoring, parts = anchoring_of(counter, chain), await openings(counter, 2)
    chain.trouble = Unavailable("the node does not answer")
    outcomes = await asyncio.gather(*(anchoring.open(one) for one in parts), return_exceptions=True)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    chain.trouble = None
    await asyncio.gather(*(anchoring.open(one) for one in parts))
    assert chain.opened == [2]


async def test_a_transaction_takes_no_more_than_the_message_pool(counter: Counter, chain: Counting) -> None:
    anchoring, [one] = anchoring_of(counter, chain), await openings(counter, 1)
    chain.trouble = Refused("no")
    outcomes = await asyncio.gather(*(anchoring.open(one) for _ in range(MOST + 3)), return_exceptions=True)
    assert len([outcome for outcome in outcomes if isinstance(outcome, Refused)]) == MOST + 3
