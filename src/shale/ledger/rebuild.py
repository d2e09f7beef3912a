"""Rebuild: a provider's tree from the chain's events alone, proven by the root that the ledger has."""

from __future__ import annotations

from dataclasses import dataclass

from shale.chain.chain import Chain, Shard
from shale.errors import Refused
from shale.payments.batch import Leaf
from shale.payments.history import ShardHistory
from shale.proofs.prover import Prover
from shale.units import Address

_TRIES = 3
"""Between the look at the events and the one at the root a batch may be posted; and events from before may be wrong."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A tree whose root is the one on chain."""

    leaves: tuple[Leaf, ...]
    shard: Shard
    history: ShardHistory


async def rebuild(chain: Chain, prover: Prover, provider: Address) -> Rebuilt:
    """The provider's present tree.

    Raises Refused when the node's events don't lead to the root on chain; they are forgotten, unless it only moves.
    """
    for _ in range(_TRIES):
        history = await chain.shard_history(provider)
        leaves = history.tree()
        shard = await chain.shard(provider)
        root = await prover.root(leaves)
        if int(root, 16) == int(shard.root, 16):
            return Rebuilt(tuple(leaves), shard, history)
        if not history.root or int(root, 16) != int(history.root, 16):
            await chain.forget_history(provider)
    raise Refused(
        "the tree that follows from the chain's events is not the ledger's",
        "ask another node: this one lacks some of them, or invents them",
    )


async def rebuild_at(chain: Chain, prover: Prover, provider: Address, root: str) -> tuple[Leaf, ...]:
    """The provider's tree as it was when it had this root, wherever it has gone since.

    Raises Refused when the node's events don't lead to it.
    """
    for _ in range(_TRIES):
        leaves = (await chain.shard_history(provider, root)).tree()
        if int(await prover.root(leaves), 16) == int(root, 16):
            return tuple(leaves)
        await chain.forget_history(provider, root)
    raise Refused(
        "the tree that follows from the chain's events never had the root that the ledger names",
        "ask another node: this one lacks some of them, or invents them",
    )
