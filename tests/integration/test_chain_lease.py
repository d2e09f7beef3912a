"""The money of leases on real parts: two leases, one real proof, and every attoFIL where it belongs."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.devnets import open_own_bench

from shale.chain.abi import artifact
from shale.chain.bench import Bench
from shale.chain.fvm import FvmChain
from shale.errors import ShaleError
from shale.ledger.rebuild import rebuild
from shale.market.lease import EndReason
from shale.market.order import End
from shale.market.review import Review
from shale.payments.batch import Claimable, Leaf, Operation, plan_batch
from shale.payments.history import tree_of
from shale.units import ZERO


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_own_bench(tmp_path) as (opened, _, _):
        yield opened


async def test_the_money_of_two_leases_adds_up_to_the_attofil(bench: Bench) -> None:
    chain, me, ledger = bench.reader, bench.provider_address, bench.reader.deployment.ledger
    payout = bench.fresh_address()
    await bench.provider.register(0, "http://one.example", "0x" + "ab" * 32, "0x" + "cd" * 32, payout)
    assert await chain.keys_hash() == (await bench.prover.circuit()).keys_hash

    ended, running = await bench.opened(), await bench.opened()
    collateral = ended.order.collateral
    assert await chain.wallet_balance(ledger) == collateral * 2
    paid, part = await bench.voucher(ended, 123), await bench.voucher(running, 45)
    final = End(ended.hash, paid.amount, paid.seconds, EndReason.CLIENT_ENDED, await bench.now())
    await bench.provider.end_lease(final, bench.signing.sign(final, bench.client_account))

    shard = await chain.shard(me)
    claimables = []
    for lease, voucher in ((running, part), (ended, paid)):
        record = await chain.lease(lease.id)
        assert record is not None
        key = lease.order.pay_key
        claimables.append(
            Claimable(lease.id, key, record.deposit, record.ended_at > 0, voucher, None, record.end_reason)
        )
    batch = plan_batch(claimables, [], (1, 8))
    assert batch is not None
    operations = batch.operations
    proof = await bench.prove([], operations, batch.size, batch.window)
    await bench.pass_time(130)
    assert proof.old_root == shard.root
    await bench.provider.settle(me, operations, proof)

    earned = paid.amount + part.amount
    refund = collateral - paid.amount
    assert (await chain.shard(me)).owed == earned
    assert await chain.ledger_balance(bench.client_address) == refund
    # Nothing is made or lost: the contract holds what is free, owed and still locked.
    locked = collateral - part.amount
    assert await chain.wallet_balance(ledger) == refund + earned + locked

    await bench.provider.collect(me)
    await bench.client.withdraw(refund)
    assert await chain.wallet_balance(payout) == earned
    assert await chain.ledger_balance(bench.client_address) == ZERO
    assert await chain.wallet_balance(ledger) == locked

    await bench.client.review(ended.order, Review(ended.hash, 5, "down to the last attoFIL"))
    standing = await chain.standing(me)
    assert (standing.reviews, standing.weight_seconds, standing.stars_tenths) == (1, 123, 50)
    index = next(operation.leaf.index for operation in operations if operation.leaf.lease == running.id)
    left = Leaf(index, running.id, running.order.pay_key, part.amount, part.seconds)
    assert (await chain.shard(me)).root == await bench.prover.root([left])
    assert tree_of((await chain.shard_history(me)).events) == [left]


def _lies() -> dict[str, Callable[[list[Any]], list[Any]]]:
    """What a node may answer in place of the logs that it was asked for."""
    kinds = {name: entry.topic for name, entry in artifact("Ledger").events.items()}

    def of(kind: str, log: Any) -> bool:
        return bool(log["topics"][0] == kinds[kind])

    def other_key(log: Any) -> Any:
        return log | {"data": log["data"][:-1] + "01"[log["data"][-1] == "0"]} if of("Locked", log) else log

    return {
        "no index of events": lambda logs: [],
        "an index that lags": lambda logs: [log for log in logs if log["blockNumber"] != logs[-1]["blockNumber"]],
        "no operations": lambda logs: [log for log in logs if not of("Operation", log)],
        "the last operation missing": lambda logs: [
            log for log in logs if log not in [each for each in logs if of("Operation", each)][-1:]
        ],
        "operations cut short": lambda logs: [
            log | {"data": log["data"][:-64]} if of("Operation", log) else log for log in logs
        ],
        "another key": lambda logs: [other_key(log) for log in logs],
    }


async def test_events_that_one_node_left_out_or_bent_are_had_from_the_next(bench: Bench, tmp_path: Path) -> None:
    lease, other = await bench.opened(), await bench.opened()
    leaf, beside = Leaf(0, lease.id, lease.order.pay_key), Leaf(1, other.id, other.order.pay_key)
    await bench.settle([], [Operation(leaf, True, False, await bench.voucher(lease, 45))])
    standing = replace(leaf, amount=(await bench.voucher(lease, 45)).amount, seconds=45)
    await bench.settle([standing], [Operation(beside, True, False, await bench.voucher(other, 9))])
    me, asked = bench.provider_address, bench.reader
    assert isinstance(asked, FvmChain)
    for name, lie in _lies().items():
        places, url, database = asked.deployment, asked._node.rpc.url, tmp_path / f"{name}.db"
        chain = FvmChain(places, url, None, database=database)
        honest = chain._node.rpc.call

        async def bent(method: str, *params: Any, honest: Any = honest, lie: Any = lie) -> Any:
            answer = await honest(method, *params)
            return lie(answer) if method == "eth_getLogs" and answer else answer

        chain._node.rpc.call = bent  # type: ignore[method-assign]
        for _ in range(2):
            with pytest.raises(ShaleError, match="another node"):
                await rebuild(chain, bench.prover, me)
        await chain.close()
        chain = FvmChain(places, url, None, database=database)
        rebuilt = await rebuild(chain, bench.prover, me)
        assert [leaf.lease for leaf in rebuilt.leaves] == [lease.id, other.id], name
        await chain.close()
