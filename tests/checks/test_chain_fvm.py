"""The chain over JSON-RPC passes the published suite, on a real anvil with the real contracts and prover."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from eth_account import Account
from tests.wallets import make_wallet

from shale.chain.bench import Bench
from shale.chain.chain import Deployment
from shale.chain.checks import FIL, ChainChecks
from shale.chain.deploy import deploy
from shale.chain.devnet import Devnet, fund
from shale.chain.fvm import FvmChain
from shale.chain.rpc import Rpc
from shale.proofs.kernel import KernelProver
from shale.units import Address


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[str, Deployment]]:
    devnet = Devnet(tmp_path_factory.mktemp("devnet"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    status = await devnet.start(port)
    try:
        yield status.rpc_url, await deploy(status.rpc_url, None)
    finally:
        await devnet.stop()


# One process for all: loading the proving key takes longer than the tests.
@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prover() -> AsyncIterator[KernelProver]:
    prover = KernelProver()
    yield prover
    await prover.close()


@pytest_asyncio.fixture(loop_scope="module")
async def bench(deployed: tuple[str, Deployment], prover: KernelProver) -> AsyncIterator[Bench]:
    url, deployment = deployed
    accounts = [Account.create() for _ in range(3)]
    for account in accounts:
        await fund(url, Address(account.address), FIL * 10)
    async with AsyncExitStack() as stack:
        rpc = Rpc(url)
        stack.push_async_callback(rpc.close)

        async def now() -> int:
            return int((await rpc.call("eth_getBlockByNumber", "latest", False))["timestamp"], 16)

        async def pass_time(seconds: int) -> None:
            await rpc.call("evm_increaseTime", seconds)
            await rpc.call("evm_mine")

        chains = [FvmChain(deployment, url, account) for account in (*accounts, None)]
        for chain in chains:
            stack.push_async_callback(chain.close)
        yield Bench(*chains, *accounts, prover, now, pass_time, lambda: make_wallet(url, deployment, accounts[0]))


@pytest.mark.asyncio(loop_scope="module")
class TestFvmChain(ChainChecks):
    pass
