"""A client that is a contract, on a real chain: its lease's whole way, and programs that answer as they should not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.places import FIL, Place, open_place

from shale.chain.chain import OnLedger
from shale.errors import InputRefused
from shale.market.accounts import Account
from shale.market.lease import EndReason, LeaseState
from shale.market.order import Confirmation, End
from shale.units import LeaseId, checked_address


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with open_place(tmp_path) as opened:
        yield opened


async def nothing(*_: str) -> None: ...


async def test_a_contracts_lease_goes_its_whole_way(place: Place) -> None:
    desk, chain, signing = place.desk, place.desk.chain, place.desk.signing
    secret = await place.prover.keygen()
    order = await place.order(secret)
    with pytest.raises(InputRefused, match="signed by"):
        await place.hand_in(order, Account.create())
    accepted = (await place.hand_in(order, place.key)).acceptance
    confirmation = Confirmation(accepted.order, signing.struct_hash(accepted), order.collateral, order.deadline)
    held, host_key = await desk.confirm(
        {
            "order_hash": accepted.order,
            "confirmation": {
                "acceptance": confirmation.acceptance,
                "collateral": str(order.collateral.value),
                "deadline": confirmation.deadline,
            },
            "signature": signing.sign(confirmation, place.key),
        }
    )
    await place.lifecycle.start(held, host_key, nothing)
    await anchored(place, held.id)
    record = await chain.lease(held.id)
    assert record is not None
    assert (record.client, record.state, record.deposit) == (place.contract, OnLedger.LOCKED, order.collateral)
    assert await chain.ledger_balance(place.contract) == FIL - order.collateral

    meter = place.lifecycle.meter(held.id)
    paid = order.price.over(25)
    await meter.pay(await place.prover.sign(secret, place.domain, held.id, paid, 25))
    end = End(accepted.order, paid, 25, EndReason.CLIENT_ENDED, desk.clock.now())
    with pytest.raises(InputRefused, match="signed by"):
        await meter.end_by_client(end, signing.sign(end, Account.create()))
    final = await meter.end_by_client(end, signing.sign(end, place.key))
    assert (final.amount, final.seconds, final.reason) == (paid, 25, EndReason.CLIENT_ENDED)

    [settled] = await place.settlement.run()
    assert settled.kept.proof.earned == paid
    assert (await desk.store.lease(held.id)).lease.state is LeaseState.SETTLED
    assert await chain.ledger_balance(place.contract) == FIL - paid


async def anchored(place: Place, lease: LeaseId) -> None:
    while not (await place.desk.store.lease(lease)).anchor_tx:
        await asyncio.wait(set(place.lifecycle._background), return_when=asyncio.FIRST_COMPLETED, timeout=0.1)


HOSTILE = {
    "takes all the gas": "5b600056",
    "reverts": "60006000fd",
    "answers nothing": "00",
    "answers a megabyte": "6210000060 00f3".replace(" ", ""),
    "answers yes and more": "7f1626ba7e" + "00" * 28 + "60005260406000f3",
    "answers yes cut short": "7f1626ba7e" + "00" * 28 + "60005260046000f3",
    "answers yes and a bit": "7f1626ba7e" + "00" * 27 + "01" + "60005260206000f3",
    "gives the question back": "3660006000373660 00f3".replace(" ", ""),
}


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE)
async def test_a_contract_that_answers_otherwise_than_yes_signs_nothing(place: Place, code: str) -> None:
    hostile = checked_address("0x" + "ba" * 20)
    await place.rpc.call("anvil_setCode", hostile, "0x" + code)
    assert not await place.desk.chain.contract_signed(hostile, "0x" + "11" * 32, "0x" + "22" * 65)
    with pytest.raises(InputRefused, match="signed by"):
        await place.hand_in(await place.order(await place.prover.keygen(), hostile), place.key)


async def test_the_magic_value_alone_is_yes(place: Place) -> None:
    lax = checked_address("0x" + "ba" * 20)
    await place.rpc.call("anvil_setCode", lax, "0x7f1626ba7e" + "00" * 28 + "60005260206000f3")
    assert await place.desk.chain.contract_signed(lax, "0x" + "11" * 32, "0x" + "22" * 65)
