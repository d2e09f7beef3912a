"""Leaving on a real chain with a real prover: the provider settles in every block, and the money still comes back."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.devnets import open_own_bench

from shale.chain.bench import Bench, Lease, is_refused
from shale.chain.network import Network
from shale.chain.rpc import Rpc
from shale.client.exiting import WINDOW_SECONDS, Exited, Exiting, Way
from shale.client.rental import Gateway, Rental
from shale.client.store import Store
from shale.clock import SystemClock
from shale.errors import Refused
from shale.ledger.rebuild import rebuild
from shale.market.lease import EndReason, LeaseState
from shale.market.order import End
from shale.paths import Home
from shale.payments.batch import Leaf, Operation
from shale.units import ZERO, LeaseId

STEPS = ("lease", "demanded_root", "demand_close", "shard_history", "settle")


class Watched:
    """The client's chain. Before each of its steps something happens: others act in the blocks between."""

    def __init__(self, chain: Any, before: Callable[[str], Awaitable[None]]) -> None:
        self._chain = chain
        self._before = before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._chain, name)
        if name not in STEPS:
            return found

        async def step(*given: Any) -> Any:
            await self._before(name)
            return await found(*given)

        return step


@dataclass
class Scene:
    """A provider's tree as it has it, and the books of its client."""

    bench: Bench
    rpc: Rpc
    home: Home
    store: Store
    tree: dict[int, Leaf] = field(default_factory=dict)

    async def insert(self, lease: Lease, index: int, seconds: int = 0) -> None:
        voucher = await self.bench.voucher(lease, seconds) if seconds else None
        await self.settle(Operation(Leaf(index, lease.id, lease.order.pay_key), True, False, voucher))

    async def settle(self, *operations: Operation) -> None:
        """As the provider: prove a batch on its tree and post it."""
        await self.bench.settle(list(self.tree.values()), operations)
        for operation in operations:
            self.tree.pop(operation.leaf.index, None)
            if (after := operation.after()) is not None:
                self.tree[after.index] = after

    async def end(self, lease: Lease) -> None:
        end = End(lease.hash, ZERO, 0, EndReason.CLIENT_ENDED, await self.bench.now())
        await self.bench.client.end_lease(end, self.bench.signing.sign(end, self.bench.client_account))

    def rental(self, lease: Lease) -> Rental:
        """The lease in its client's books, ended there."""
        rental = Rental(
            name="one", network="devnet", order=lease.order, order_hash=lease.hash,
            order_signature=lease.order_signature, acceptance=lease.acceptance,
            acceptance_signature=lease.acceptance_signature, provider_name="Fjord", endpoint="http://fjord.example",
            gateway=Gateway("fjord.example", 8422, "shale-gateway", "ssh-ed25519 DDDD"), shell=None, mount="",
            ssh_key="", state=LeaseState.RUNNING, paid=ZERO, seconds=0, end_reason=EndReason.NONE,
            created_at=1, first_paid_at=0, ended_at=0, settled_paid=None, settled_seconds=None, reviewed=False,
        )  # fmt: skip
        self.store.add(rental)
        return self.store.end(lease.id, EndReason.CLIENT_ENDED, 2)

    async def exit(self, rental: Rental, before: Callable[[str], Awaitable[None]]) -> Exited:
        bench = self.bench
        chain: Any = Watched(bench.client, before)
        prover: Any = bench.prover
        exiting = Exiting(chain, prover, bench.client_account, bench.signing, self.store, SystemClock())
        return await exiting.exit(rental, lambda *_: None)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_own_bench(tmp_path) as (bench, rpc, url):
        home = Home(tmp_path / "home")
        Network("devnet", url, bench.client.deployment).save(home)
        with closing(Store(home)) as store:
            yield Scene(bench, rpc, home, store)


async def test_the_money_comes_back_though_the_provider_settles_before_every_step(scene: Scene) -> None:
    """It demands the close of a lease of its own just before we demand ours, so that it is bound to nothing more."""
    bench, me = scene.bench, scene.bench.provider_address
    ours, own = await bench.opened(), await bench.opened()
    await scene.insert(ours, 3, 50)
    await scene.insert(own, 4)
    for lease in (ours, own):
        await scene.end(lease)
    await bench.pass_time(WINDOW_SECONDS)
    purse = await bench.opened()
    await scene.insert(purse, 5)
    roots = [(await bench.reader.shard(me)).root]

    async def outrun(step: str) -> None:
        if step == "demand_close":
            await bench.provider.demand_close(own.id)
            return
        batch = [Operation(scene.tree[5], False, False, await bench.voucher(purse, len(roots)))]
        if (await bench.reader.shard(me)).demanded == own.id:
            batch.insert(0, Operation(scene.tree[4], False, True, None))
        await scene.settle(*batch)
        roots.append((await bench.reader.shard(me)).root)

    done = await scene.exit(scene.rental(ours), outrun)
    paid = ours.order.price.over(50)
    assert (done.way, done.back, done.leaves) == (Way.PROOF, ours.order.collateral - paid, 3)
    assert done.proof is not None
    assert len(roots) == len(set(roots)) > 5
    assert done.proof.old_root in roots[:-2], "it stands on a root that was left behind more than once"
    record = await bench.reader.lease(ours.id)
    assert record is not None
    assert (record.closed, record.paid, record.seconds, record.end_reason) == (True, paid, 50, EndReason.CLIENT_ENDED)
    back = await bench.reader.ledger_balance(bench.client_address)
    assert back == ours.order.collateral - paid + own.order.collateral
    await bench.client.withdraw(back)

    rebuilt = await rebuild(bench.reader, _prover(bench), me)
    assert list(rebuilt.leaves) == [scene.tree[3], scene.tree[5]], "our leaf lies there"
    assert (rebuilt.history.exited, rebuilt.shard.root) == ({ours.id}, roots[-1])
    await check_shown(scene, ours.id, purse.id)
    await scene.settle(Operation(scene.tree[5], False, True, await bench.voucher(purse, 90)))
    await is_refused(bench.settle(list(scene.tree.values()), [Operation(scene.tree[3], False, True, None)]), "closed")
    fresh = await bench.opened()
    with pytest.raises(Refused, match="index 3 is taken"):
        await scene.insert(fresh, 3)
    await scene.insert(fresh, 5)
    assert [leaf.lease for leaf in (await rebuild(bench.reader, _prover(bench), me)).leaves] == [ours.id, fresh.id]


async def test_a_provider_whose_own_batch_is_faster_is_told(scene: Scene) -> None:
    """Its batch closes the lease between our proof and its block."""
    bench = scene.bench
    ours = await bench.opened()
    await scene.insert(ours, 3, 50)
    await scene.end(ours)
    await bench.pass_time(WINDOW_SECONDS)
    steps: list[str] = []

    async def faster(step: str) -> None:
        steps.append(step)
        if step == "settle":
            await scene.settle(Operation(scene.tree[3], False, True, await bench.voucher(ours, 70)))

    done = await scene.exit(scene.rental(ours), faster)
    assert steps.count("settle") == 1
    assert (done.way, done.proof) == (Way.CLOSED, None)
    assert done.back == ours.order.collateral - ours.order.price.over(70)
    assert (done.rental.state, done.rental.settled_seconds) == (LeaseState.SETTLED, 70)
    assert await bench.reader.ledger_balance(bench.client_address) == done.back


async def check_shown(scene: Scene, ours: LeaseId, purse: LeaseId) -> None:
    """The command tells which of the leaves nobody moves any more."""
    command = ["--home", str(scene.home.root), "ledger", "rebuild", "--provider", scene.bench.provider_address]
    leaves = json.loads(await shale(*command, "--json"))["leaves"]
    assert {leaf["lease_id"]: leaf["exited"] for leaf in leaves} == {ours: True, purse: False}
    assert "1 of them" in await shale(*command)


async def shale(*arguments: str) -> str:
    """What the installed program prints."""
    program = str(Path(sys.executable).with_name("shale"))
    process = await asyncio.create_subprocess_exec(program, *arguments, stdout=asyncio.subprocess.PIPE)
    printed, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    return printed.decode()


def _prover(bench: Bench) -> Any:
    return bench.prover
