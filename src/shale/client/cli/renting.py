"""Renting: what each command that rents opens, and its plan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shale.client.cli.context import Context

if TYPE_CHECKING:
    from shale.client.agent.link import Waking
    from shale.client.leasing import Leasing
    from shale.client.plan import Plan, Wish
    from shale.client.store import Store
    from shale.market.accounts import Account
    from shale.units import Address, AttoFil


@asynccontextmanager
async def renting(
    context: Context, network_name: str | None, store: Store, account: Account
) -> AsyncIterator[tuple[Leasing, Waking]]:
    """The parts that it takes, on one network, and the agent that is woken; closed together."""
    from shale.client.agent.link import Waking
    from shale.client.contracts import contract_of
    from shale.client.leasing import Leasing
    from shale.client.wiring import chain_of, network_of, prover_of, signing_of
    from shale.clock import SystemClock

    network, waking = network_of(context.home, network_name), Waking()
    contract = contract_of(context.home, network.name)
    async with chain_of(network, account) as chain, prover_of() as prover:
        leasing = Leasing(
            context.home, network.name, chain, prover, account, signing_of(network), store, SystemClock(), waking.adopt,
            contract=contract,
        )  # fmt: skip
        yield leasing, waking


async def planned(leasing: Leasing, wish: Wish, only: Address | None) -> tuple[Plan, AttoFil, AttoFil]:
    """The cheapest that fits, and what wallet and ledger have for it."""
    from shale.client.discovery import discover
    from shale.client.plan import choose

    found, unusable = await discover(leasing.chain, leasing.signing, leasing.clock.now(), only=only)
    plan = choose(found, unusable, wish)
    return plan, *await leasing.check_money(plan.collateral)
