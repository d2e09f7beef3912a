"""Renting as a contract that the wallet's key signs for: its money is its own, and no other key's word counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account

from shale.client.contracts import check_contract, contract_of, use_contract
from shale.client.leasing import Leasing
from shale.client.topping import Topping
from shale.errors import ConfigError, Refused
from shale.market.lease import LeaseState
from shale.units import ZERO, AttoFil, checked_address

CONTRACT = checked_address("0x" + "c0" * 20)
FIL = AttoFil(10**18)


@pytest.fixture
def leasing(bench: Any) -> Leasing:
    bench.world.contracts[CONTRACT] = bench.door.keys[CONTRACT] = bench.me
    plain: Leasing = bench.leasing()
    return replace(plain, contract=CONTRACT)


async def test_a_contract_that_knows_the_key_is_used_and_no_other(bench: Any, leasing: Leasing) -> None:
    await check_contract(bench.chain, CONTRACT, bench.account)
    with pytest.raises(Refused, match="no contract"):
        await check_contract(bench.chain, CONTRACT, Account.create())
    with pytest.raises(Refused, match="no contract"):
        await check_contract(bench.chain, bench.me, bench.account)


def test_each_network_has_its_own(bench: Any) -> None:
    assert contract_of(bench.home, "one") is None
    use_contract(bench.home, "one", CONTRACT)
    use_contract(bench.home, "two", bench.me)
    assert (contract_of(bench.home, "one"), contract_of(bench.home, "two")) == (CONTRACT, bench.me)
    use_contract(bench.home, "one", None)
    assert (contract_of(bench.home, "one"), contract_of(bench.home, "two")) == (None, bench.me)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"one": "0x12"}', '{"one": 7}'])
def test_a_broken_file_is_told(bench: Any, text: str) -> None:
    use_contract(bench.home, "one", CONTRACT)
    (bench.home.client / "contracts.json").write_text(text)
    with pytest.raises(ConfigError, match="broken"):
        contract_of(bench.home, "one")


async def test_a_lease_of_a_contract_is_paid_out_of_its_own_balance(bench: Any, leasing: Leasing) -> None:
    bench.world.balances[CONTRACT] = FIL
    before = bench.world.wallets[bench.me], bench.world.balances[bench.me]
    rental = await bench.lease(leasing=leasing)
    assert (rental.order.client, rental.state) == (CONTRACT, LeaseState.RUNNING)
    assert (bench.world.wallets[bench.me], bench.world.balances[bench.me]) == before
    assert await leasing.free_balance() == FIL - rental.collateral, "it is spoken for until the provider anchors it"


async def test_a_contract_without_the_money_is_told_so_and_nothing_stays(bench: Any, leasing: Leasing) -> None:
    bench.world.balances[CONTRACT] = AttoFil(5)
    with pytest.raises(ConfigError, match="shale wallet deposit"):
        await leasing.check_money(FIL)
    with pytest.raises(ConfigError, match="shale wallet deposit"):
        await bench.lease(leasing=leasing)
    assert bench.store.rentals() == []
    assert bench.world.balances[CONTRACT] == AttoFil(5)


async def test_a_contracts_lease_is_topped_up_out_of_the_wallet(bench: Any, leasing: Leasing) -> None:
    bench.world.balances[CONTRACT] = FIL
    rental = await bench.lease(leasing=leasing)
    await bench.anchor(rental)

    async def told(*_: object) -> None: ...

    topping = Topping(bench.home, bench.chain, bench.account, bench.store, leasing.free_balance, told, bench.door.open)
    plan = await topping.plan(rental, 600, None)
    assert (plan.deposit, plan.ledger) == (ZERO, ZERO)
    before = bench.world.wallets[bench.me]
    topped, _ = await topping.top_up(rental, plan, lambda *_: None)
    assert topped.max_seconds == rental.max_seconds + 600
    assert before - bench.world.wallets[bench.me] == plan.amount
