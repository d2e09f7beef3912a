"""The in-memory chain passes the published suite."""

import pytest
from eth_account import Account

from shale.chain.bench import Bench
from shale.chain.chain import Deployment
from shale.chain.checks import FIL, ChainChecks
from shale.chain.memory import MemoryChain, MemoryWorld
from shale.clock import ManualClock
from shale.proofs.memory import MemoryProver
from shale.units import Address, checked_address


class TestMemoryChain(ChainChecks):
    @pytest.fixture
    def bench(self) -> Bench:
        prover, clock = MemoryProver(), ManualClock()
        places = [checked_address("0x" + f"{n:040x}") for n in range(1, 5)]
        world = MemoryWorld(prover, clock, Deployment(31415926, *places[:3], (places[3],) * 4, block=0))
        accounts = [Account.create() for _ in range(3)]
        for account in accounts:
            world.wallets[Address(account.address)] = FIL * 10

        async def now() -> int:
            return clock.now()

        async def pass_time(seconds: int) -> None:
            await clock.advance(seconds)

        async def wallet() -> Address:
            contract = checked_address(Account.create().address)
            world.contracts[contract] = Address(accounts[0].address)
            world.balances[contract] = FIL
            return contract

        wallets = [MemoryChain(world, Address(account.address)) for account in accounts]
        return Bench(*wallets, MemoryChain(world), *accounts, prover, now, pass_time, wallet)
