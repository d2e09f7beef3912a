"""A client that is a contract, as its user has it: named once, then rented, entered, topped up and ended as ever."""

from __future__ import annotations

import asyncio

from tests.e2e.world import GAS, World
from tests.wallets import make_wallet

from shale.chain.network import Network
from shale.client.wallet import open_wallet
from shale.units import Address

FIL = 10**18


def test_a_contracts_lease_goes_its_whole_way(alone: World) -> None:
    world = alone
    network = Network.load(world.client.home)
    account = open_wallet(world.client.home, world.client.password.read_text())
    contract: Address = asyncio.run(make_wallet(network.rpc_url, network.deployment, account))

    assert "no contract" in world.client.refused("wallet", "use-contract", world.operator)
    assert world.client.json("wallet", "use-contract", contract)["contract"] == contract
    try:
        purse = world.client.json("wallet", "balance")
        assert (purse["contract"], int(purse["ledger_attofil"])) == (contract, FIL)
        assert "withdraw(uint256)" in world.client.refused("wallet", "withdraw", "--all")
        assert "by itself" in world.client.refused("order", "create", "-y")
        world.client.json("wallet", "deposit", "0.5 FIL")
        assert world.ledger_of(contract) == FIL * 3 // 2

        before = world.money()
        lease = world.lease("ours")
        assert world.client.ssh("ssh", "shale-ours", "echo in").stdout == "in\n"
        with world.watch() as watch:
            watch.until("ours", lambda view: view["seconds"] >= 3)
        world.client.json("end", "ours")
        world.ended_here(lease, "client_ended")
        world.provider.json("provider", "settle", "--now")
        record = world.record(lease)
        assert (record.client, record.closed) == (contract, True)
        assert record.seconds >= 3
        assert world.ledger_of(contract) == FIL * 3 // 2 - record.paid.value
        world.client.json("review", "ours", "--stars", "5")
        said = world.client.json("reviews", world.operator)["reviews"]
        assert (said[0]["client"], said[0]["stars"]) == (contract, 5)
        assert before - GAS < world.money() <= before, "the key's own account pays for nothing"
    finally:
        world.client.json("wallet", "use-contract", "--none")
