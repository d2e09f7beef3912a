"""Devnets: a chain of the test's own with the contracts on it, and the four who see it, with the real prover."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.wallets import make_wallet

from shale.chain.bench import Bench
from shale.chain.chain import Deployment
from shale.chain.deploy import deploy
from shale.chain.devnet import Devnet, fund
from shale.chain.fvm import FvmChain
from shale.chain.rpc import Rpc
from shale.market.accounts import Account
from shale.proofs.kernel import KernelProver
from shale.units import Address, AttoFil

FUNDS = AttoFil(10 * 10**18)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def open_devnet(folder: Path) -> AsyncIterator[tuple[str, Deployment]]:
    """An anvil with the contracts: where it answers, and where they are."""
    devnet = Devnet(folder)
    try:
        url = (await devnet.start(free_port())).rpc_url
        yield url, await deploy(url, None)
    finally:
        await devnet.stop()


@asynccontextmanager
async def open_prover() -> AsyncIterator[KernelProver]:
    prover = KernelProver()
    try:
        yield prover
    finally:
        await prover.close()


@asynccontextmanager
async def open_bench(
    url: str, deployment: Deployment, prover: KernelProver, finality: int | None = None
) -> AsyncIterator[tuple[Bench, Rpc]]:
    """Three funded wallets and a reader on it, and a line to its node."""
    async with AsyncExitStack() as stack:
        accounts = [Account.create() for _ in range(3)]
        for account in accounts:
            await fund(url, Address(account.address), FUNDS)
        chains = [FvmChain(deployment, url, account, finality=finality) for account in (*accounts, None)]
        for chain in chains:
            stack.push_async_callback(chain.close)
        rpc = Rpc(url)
        stack.push_async_callback(rpc.close)

        async def now() -> int:
            return int((await rpc.call("eth_getBlockByNumber", "latest", False))["timestamp"], 16)

        async def pass_time(seconds: int) -> None:
            await rpc.call("evm_increaseTime", seconds)
            await rpc.call("evm_mine")

        wallet_owner = accounts[0]
        yield Bench(*chains, *accounts, prover, now, pass_time, lambda: make_wallet(url, deployment, wallet_owner)), rpc


@asynccontextmanager
async def open_own_bench(folder: Path, finality: int | None = None) -> AsyncIterator[tuple[Bench, Rpc, str]]:
    """The same on a chain that is nobody else's; and where it answers."""
    async with (
        open_devnet(folder) as (url, deployment),
        open_prover() as prover,
        open_bench(url, deployment, prover, finality) as (bench, rpc),
    ):
        yield bench, rpc, url
