"""Orders by transactions: what the daemon takes, and that it goes on from wherever it was killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from tests.desks import FIL, TOTAL
from tests.houses import House, open_house
from tests.settlements import Killed, Shop, Steps

from shale.chain.chain import OrderStage
from shale.chain.memory import MemoryChain
from shale.client.api import ProviderApi
from shale.client.rental import Shell
from shale.containers.engine import Container
from shale.errors import Closed, InputRefused, Refused, ShaleError, Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.market.order import End, Order, order_to_json
from shale.provider.api import PublicApi
from shale.provider.desk import ACCEPTANCE_SECONDS, HOLD_SECONDS, LATE_SECONDS, Accepted, Desk
from shale.provider.ledger_books import LedgerBooks
from shale.provider.lifecycle import Lifecycle
from shale.provider.published import LOOK_SECONDS, PublishedOrders
from shale.provider.store import Held
from shale.units import ZERO, AttoFil, LeaseId, Price, checked_address, lease_id_of

CHAIN_STEPS = ("heads", "lease", "order_stage", "accept_order", "ledger_balance")
STORE_STEPS = ("add_accepted", "confirmed_on_chain", "running")


@dataclass
class Scene:
    """A house that takes published orders, and a client that sends transactions."""

    house: House
    steps: Steps = field(default_factory=Steps)
    desk: Desk = field(init=False)
    orders: PublishedOrders = field(init=False)
    told: list[tuple[str, str, str]] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    @property
    def client(self) -> MemoryChain:
        counter = self.house.counter
        return MemoryChain(counter.world, checked_address(counter.client.address))

    def restart(self) -> None:
        """All that the daemon has in memory is gone."""
        old, lifecycle = self.house.counter.desk, self.house.lifecycle
        chain = self.steps.around(old.chain, CHAIN_STEPS)
        store = self.steps.around(old.store, STORE_STEPS)
        self.house.lifecycle = Lifecycle(replace(lifecycle._parts, store=store, chain=chain))
        self.desk = Desk(
            old.config, old.total, store, old.shelf, old.engine, chain, old.prover, old.clock, old.account, old.signing,
            old.signatures, old.keys,
        )  # fmt: skip
        self.orders = PublishedOrders(self.desk, self.house.lifecycle, LedgerBooks(old.store))

    def lease_of(self, order: Order) -> LeaseId:
        return lease_id_of(self.desk.signing.order_hash(order))

    async def created(self, **changes: Any) -> Order:
        order = self.house.counter.order(**changes)
        await self.client.create_order(order)
        return order

    async def hand_in(self, order: Order) -> Accepted:
        return await self.desk.accept({"order": order_to_json(order), "mount": "/data", "signature": None})

    async def accepted(self, **changes: Any) -> Held:
        """An order that is accepted on chain."""
        order = await self.created(**changes)
        await self.hand_in(order)
        held = await self.kept(self.lease_of(order))
        await self.orders.look(held)
        assert await self.client.order_stage(held.id) is OrderStage.ACCEPTED
        return held

    async def kept(self, lease: LeaseId) -> Held:
        return await self.house.counter.desk.store.lease(lease)

    async def progress(self, step: str, state: str, detail: str) -> None:
        self.told.append((step, state, detail))

    async def begin(self, held: Held) -> Container:
        return await self.orders.begin(held.id, self.progress)

    def run(self) -> None:
        """As the daemon does by itself."""
        self.tasks.append(asyncio.create_task(self.orders.run()))

    async def pass_time(self, seconds: float) -> None:
        await self.house.clock.advance(seconds)


@pytest_asyncio.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    async with open_house(tmp_path, monkeypatch) as house:
        scene = Scene(house)
        yield scene
        for task in scene.tasks:
            task.cancel()
        await asyncio.gather(*scene.tasks, return_exceptions=True)


async def test_an_order_that_stands_on_chain_is_taken_without_a_signature(scene: Scene) -> None:
    order = await scene.created()
    accepted = await scene.hand_in(order)
    scene.desk.signing.check(accepted.acceptance, accepted.signature, order.provider)
    assert accepted.acceptance.deadline == min(order.deadline, scene.house.clock.now() + ACCEPTANCE_SECONDS)
    assert (await scene.desk.free()).cpu_millis == TOTAL.cpu_millis - order.resources.cpu_millis
    assert await scene.hand_in(order) == accepted, "the same answer, for one may be lost"
    assert len(await scene.desk.store.leases()) == 1


async def test_two_that_hand_the_same_order_in_at_once_get_one_answer(scene: Scene) -> None:
    order = await scene.created()
    one, two = await asyncio.gather(scene.hand_in(order), scene.hand_in(order))
    assert one == two


async def test_an_order_that_is_neither_signed_nor_on_chain_is_refused(scene: Scene) -> None:
    with pytest.raises(InputRefused, match="neither signed nor on the chain"):
        await scene.hand_in(scene.house.counter.order())
    assert await scene.desk.store.leases() == []


async def test_one_that_was_cancelled_or_signed_is_not_taken(scene: Scene) -> None:
    cancelled = await scene.created()
    await scene.client.cancel_order(cancelled)
    with pytest.raises(Closed, match="cancelled"):
        await scene.hand_in(cancelled)
    signed = scene.house.counter.order()
    await scene.house.counter.hand_in(signed)
    with pytest.raises(Closed, match="accepted already"):
        await scene.hand_in(signed)


async def test_what_the_desk_asks_of_signed_orders_it_asks_of_these(scene: Scene) -> None:
    good = scene.house.counter.good
    for changes, words in (
        ({"price": Price(good.price.per_second - AttoFil(1))}, "below"),
        ({"image": "no/such:image"}, "no/such:image"),
        ({"dataset": good.dataset[:-1] + "a"}, "isn't here"),
        ({"tick_seconds": 1}, "tick"),
        ({"max_seconds": 25 * 3600}, "at most"),
    ):
        with pytest.raises(Refused, match=words):
            await scene.hand_in(await scene.created(**changes))
    scene.house.counter.world.wallets[good.client] = scene.house.counter.world.balances[good.client] = AttoFil(1)
    with pytest.raises(Refused, match="collateral"):
        await scene.hand_in(await scene.created())
    assert await scene.desk.store.leases() == []


async def test_they_do_not_crowd_out_the_signed_ones(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shale.provider.desk._MAX_PUBLISHED", 1)
    await scene.hand_in(await scene.created())
    with pytest.raises(Refused, match="by transactions"):
        await scene.hand_in(await scene.created())
    await scene.house.counter.hand_in(scene.house.counter.order())


async def test_it_is_accepted_on_chain_and_its_fee_is_in_the_books(scene: Scene) -> None:
    await scene.accepted()
    [posting] = await LedgerBooks(scene.house.counter.desk.store).postings(0)
    assert posting["kind"] == "accept"


async def test_once_confirmed_it_starts_by_itself(scene: Scene) -> None:
    scene.run()
    order = await scene.created()
    accepted = await scene.hand_in(order)
    await scene.pass_time(1)
    await scene.client.confirm_order(order, accepted.acceptance)
    await scene.pass_time(LOOK_SECONDS)
    held = await scene.kept(scene.lease_of(order))
    assert held.lease.state is not LeaseState.ACCEPTED, "nobody has asked for it"
    await scene.begin(held)
    held = await scene.kept(held.id)
    assert (held.lease.state, held.anchor_tx) == (LeaseState.RUNNING, "known")
    assert [grant.key for grant in scene.house.door.grants] == [order.gateway_key]


async def test_a_client_that_asks_first_follows_the_start_and_a_later_one_comes_along(scene: Scene) -> None:
    held = await scene.accepted()
    with pytest.raises(Unavailable, match="not on the chain yet"):
        await scene.begin(held)
    await scene.client.confirm_order(held.order, held.acceptance)
    one, two = await asyncio.gather(scene.begin(held), scene.begin(held))
    assert one == two == await scene.begin(held)
    told = [step for step, _, _ in scene.told]
    # Who comes along late hears of what is left.
    assert all(2 <= told.count(step) <= 4 for step in ("dataset", "container", "gateway")), told
    assert len(scene.house.engine.host.containers) == 1


async def test_over_http_a_client_hands_it_in_and_follows_its_start(scene: Scene) -> None:
    nobody: Any = None
    app = PublicApi(scene.desk, scene.house.lifecycle, nobody, nobody, nobody, scene.orders, CollectorRegistry()).app()
    order = await scene.created()
    async with ProviderApi("http://fjord.example:8420", httpx.ASGITransport(app)) as api:
        acceptance, _ = await api.order(order, "/data", None)
        held = await scene.kept(scene.lease_of(order))
        await scene.orders.look(held)
        with pytest.raises(Unavailable, match="not on the chain yet"):
            async with api.begin(acceptance.order):
                pass
        await scene.client.confirm_order(order, acceptance)
        async with api.begin(acceptance.order) as items:
            seen = [item async for item in items]
    assert isinstance(seen[-1], Shell)
    assert (await scene.kept(held.id)).lease.state is LeaseState.RUNNING


async def test_stock_is_held_until_the_acceptances_deadline_and_then_let_go(scene: Scene) -> None:
    scene.run()
    order = await scene.created()
    accepted = await scene.hand_in(order)
    await scene.pass_time(accepted.acceptance.deadline - scene.house.clock.now())
    assert (await scene.desk.free()).cpu_millis == TOTAL.cpu_millis - order.resources.cpu_millis
    await scene.pass_time(LOOK_SECONDS * 2 + 1)
    held = await scene.kept(scene.lease_of(order))
    assert (held.lease.state, held.lease.end_reason) == (LeaseState.ENDED, EndReason.ANCHOR_FAILED)
    assert await scene.desk.free() == TOTAL
    with pytest.raises(Closed, match="ended already"):
        await scene.begin(held)
    with pytest.raises(ShaleError):
        await scene.client.confirm_order(order, accepted.acceptance)


async def test_one_that_may_still_be_begun_holds_its_stock_until_it_is(scene: Scene) -> None:
    held = await scene.accepted(resources=TOTAL, price=scene.desk.config.tariff.quote(TOTAL), max_seconds=60)
    await scene.client.confirm_order(held.order, held.acceptance)
    for later in (HOLD_SECONDS + 1, LATE_SECONDS):
        await scene.pass_time(held.acceptance.deadline + later - scene.house.clock.now())
        other = scene.house.counter.order(deadline=scene.house.clock.now() + 600)
        with pytest.raises(Refused, match="CPU"):
            await scene.house.counter.hand_in(other)
    await scene.orders.look(held)
    assert (await scene.kept(held.id)).lease.state is LeaseState.RUNNING
    assert (await scene.desk.free()).cpu_millis == 0


async def test_one_that_nobody_may_begin_any_more_gives_its_stock_back(scene: Scene) -> None:
    held = await scene.accepted()
    await scene.client.confirm_order(held.order, held.acceptance)
    late = held.acceptance.deadline + LATE_SECONDS + HOLD_SECONDS + 1
    await scene.pass_time(late - scene.house.clock.now())
    assert await scene.desk.free() == TOTAL
    with pytest.raises(Closed):
        await scene.begin(held)
    assert (await scene.kept(held.id)).lease.end_reason is EndReason.START_FAILED


async def test_a_cancelled_one_gives_its_stock_back(scene: Scene) -> None:
    held = await scene.accepted()
    await scene.client.cancel_order(held.order)
    await scene.orders.look(held)
    assert (await scene.kept(held.id)).lease.end_reason is EndReason.ANCHOR_FAILED
    assert await scene.desk.free() == TOTAL


async def test_one_that_the_chain_cannot_take_now_is_tried_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.run()

    async def silent(*_: object) -> Any:
        raise Unavailable("the node does not answer", "try again later")

    chain = scene.house.counter.desk.chain
    with monkeypatch.context() as context:
        context.setattr(chain, "accept_order", silent)
        order = await scene.created()
        await scene.hand_in(order)
        await scene.pass_time(5)
        assert await scene.client.order_stage(scene.lease_of(order)) is OrderStage.CREATED
    await scene.pass_time(60)
    assert await scene.client.order_stage(scene.lease_of(order)) is OrderStage.ACCEPTED


async def test_one_confirmed_while_the_daemon_was_away_starts_or_is_refunded(scene: Scene) -> None:
    soon, late = await scene.accepted(), await scene.accepted()
    for held in (soon, late):
        await scene.client.confirm_order(held.order, held.acceptance)
    scene.restart()
    await scene.pass_time(soon.acceptance.deadline - scene.house.clock.now() + LATE_SECONDS)
    await scene.orders.look(soon)
    assert (await scene.kept(soon.id)).lease.state is LeaseState.RUNNING
    await scene.pass_time(2)
    with pytest.raises(Closed):
        await scene.orders.look(late)
    assert (await scene.kept(late.id)).lease.end_reason is EndReason.START_FAILED
    before = await scene.client.ledger_balance(late.order.client)
    await open_settlement(scene).settle(redeem=False)
    record = await scene.client.lease(late.id)
    assert record is not None
    assert record.closed
    assert await scene.client.ledger_balance(late.order.client) == before + late.order.collateral


async def test_one_that_its_client_ended_on_chain_does_not_start(scene: Scene) -> None:
    held = await scene.accepted()
    await scene.client.confirm_order(held.order, held.acceptance)
    end = End(held.lease.order, ZERO, 0, EndReason.CLIENT_ENDED, scene.house.clock.now())
    await scene.client.end_lease(end, scene.desk.signing.sign(end, scene.house.counter.client))
    with pytest.raises(Closed):
        await scene.begin(held)
    assert (await scene.kept(held.id)).lease.end_reason is EndReason.CLIENT_ENDED
    assert scene.house.engine.host.containers == {}


async def test_a_start_that_fails_gives_the_locked_deposit_back(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> Container:
        raise Refused("the container was not ready", "try another image")

    held = await scene.accepted()
    await scene.client.confirm_order(held.order, held.acceptance)
    monkeypatch.setattr(scene.house.engine, "start", broken)
    with pytest.raises(Refused, match="not ready"):
        await scene.begin(held)
    assert (await scene.kept(held.id)).lease.end_reason is EndReason.START_FAILED
    await open_settlement(scene).settle(redeem=False)
    assert await scene.client.ledger_balance(held.order.client) == FIL


async def test_a_settlement_leaves_a_confirmed_one_that_has_not_started_alone(scene: Scene) -> None:
    held = await scene.accepted()
    await scene.client.confirm_order(held.order, held.acceptance)
    await open_settlement(scene).settle()
    assert (await scene.kept(held.id)).lease.state is LeaseState.ACCEPTED
    await scene.begin(held)


async def test_a_confirmation_that_a_fork_took_out_is_waited_for(scene: Scene) -> None:
    back, gone = await scene.accepted(), await scene.accepted()
    mark = scene.house.counter.world.mark()
    for held in (back, gone):
        await scene.client.confirm_order(held.order, held.acceptance)
        await scene.begin(held)
    scene.house.counter.world.rewind(mark)
    for held in (back, gone):
        await scene.house.lifecycle.lost(held.id)
    await scene.pass_time(20)
    await scene.client.confirm_order(back.order, back.acceptance)
    await scene.pass_time(ACCEPTANCE_SECONDS)
    assert (await scene.kept(back.id)).anchor_tx == "known"
    assert (await scene.kept(gone.id)).lease.end_reason is EndReason.ANCHOR_FAILED


async def test_a_daemon_killed_at_any_step_accepts_once_and_loses_neither_lease_nor_money(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fatal, after = 0, False
    while True:
        fatal, after = (fatal, True) if fatal and not after else (fatal + 1, False)
        folder = tmp_path / f"{fatal}-{after}"
        folder.mkdir()
        async with open_house(folder, monkeypatch) as house:
            scene = Scene(house)
            order = await scene.created()
            scene.steps.fatal, scene.steps.after = fatal, after
            for _ in range(3):
                try:
                    await whole_way(scene, order)
                    break
                except Killed:
                    await scene.house.lifecycle.rest()
                    scene.restart()
                    await scene.house.lifecycle.recover()
            reached = scene.steps.count >= fatal
            await check_outcome(scene, order)
        if not reached:
            break
    assert fatal > 12


async def whole_way(scene: Scene, order: Order) -> None:
    """What client and daemon do; each goes on from where it is."""
    lease = scene.lease_of(order)
    try:
        await scene.hand_in(order)
    except Closed:
        return  # it runs, or its start was cut short
    held = await scene.kept(lease)
    if await scene.client.order_stage(lease) is OrderStage.CREATED:
        await scene.orders.look(held)
    if await scene.client.order_stage(lease) is OrderStage.ACCEPTED:
        await scene.client.confirm_order(order, held.acceptance)
    await scene.orders.look(held)


async def check_outcome(scene: Scene, order: Order) -> None:
    lease = scene.lease_of(order)
    held, record = await scene.kept(lease), await scene.client.lease(lease)
    assert record is not None
    assert record.deposit == order.collateral
    assert [name for name in scene.steps.named if name == "accept_order"] in (["accept_order"], ["accept_order"] * 2)
    postings = await LedgerBooks(scene.house.counter.desk.store).postings(0)
    assert [posting["kind"] for posting in postings] in (["accept"], []), "one at most: the other was refused"
    if held.lease.state is LeaseState.RUNNING:
        assert set(scene.house.engine.host.containers) == {lease}
        return
    assert held.lease.end_reason is EndReason.START_FAILED
    assert scene.house.engine.host.containers == {}
    await open_settlement(scene).settle(redeem=False)
    assert await scene.client.ledger_balance(order.client) == FIL


def open_settlement(scene: Scene) -> Any:
    """The house's settlement."""
    return Shop(scene.house.counter)
