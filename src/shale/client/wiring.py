"""Wiring: the client's parts put together; the heavy ones are imported and started at their first use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shale.chain.network import Network
from shale.market.signing import SigningDomain
from shale.paths import Home

if TYPE_CHECKING:
    from shale.chain.fvm import FvmChain
    from shale.market.accounts import Account
    from shale.proofs.prover import Prover


def network_of(home: Home, name: str | None) -> Network:
    """The named network, or the only one."""
    return Network.load(home, name or "")


def signing_of(network: Network) -> SigningDomain:
    return SigningDomain(network.deployment.chain_id, network.deployment.market)


@asynccontextmanager
async def chain_of(network: Network, account: Account | None = None, *, keep: bool = False) -> AsyncIterator[FvmChain]:
    """The network's contracts, checked to be there, as this wallet (or nobody) sees them.

    `keep`: the events that are read are kept for the next command, without a wallet too.
    """
    from shale.chain.fvm import FvmChain

    # A wallet's transactions outlive the command that makes them.
    database = Home.default().client / "chain.db" if account or keep else None
    chain = FvmChain(
        network.deployment,
        network.rpc_url,
        account,
        database=database,
        finality=network.finality,
        max_gas_fee=network.max_gas_fee,
        checked=network.checked(Home.default()),
    )
    try:
        await chain.check()
        yield chain
    finally:
        await chain.close()


@asynccontextmanager
async def prover_of() -> AsyncIterator[Prover]:
    """The kernel's prover; its process ends with the block."""
    from shale.proofs.kernel import KernelProver

    prover = KernelProver()
    try:
        yield prover
    finally:
        await prover.close()
