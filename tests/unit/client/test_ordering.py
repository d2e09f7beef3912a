"""A lease by plain transactions, as its client makes it: whatever stops it, it goes on, and nothing is paid twice."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from tests.settlements import Killed, Steps

from shale.chain.chain import OrderStage
from shale.client import published
from shale.client.ending import refresh_settled
from shale.client.ordering import Ordering
from shale.client.plan import Wish, choose
from shale.client.published import PublishedOrder
from shale.client.rental import Shell
from shale.client.sshconfig import config_path
from shale.errors import Closed, InputRefused, Refused, Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.market.order import Acceptance, Order
from shale.market.resources import Resources
from shale.units import AttoFil, Cid

ROOT = Cid("bafybeigfpimyrrtb7aaei57vsuqcy7vyeygahidhopqey3pzdphn6o6jqy")


def quiet(_step: str, _state: str, _detail: str) -> None: ...


def ordering(bench: Any, chain: Any = None) -> Ordering:
    leasing = bench.leasing()
    return Ordering(replace(leasing, chain=chain) if chain else leasing)


async def create(bench: Any, name: str = "one", chain: Any = None) -> PublishedOrder:
    wanted = Wish(Resources(1000, 2**30), 3600, "", "")
    plan = choose([bench.door.found()], [], wanted)
    made, _ = await ordering(bench, chain).create(plan, name, None, quiet)
    return made


def accepting(bench: Any) -> None:
    """The provider writes what it answers to the chain, once."""

    def accept(order: Order, acceptance: Acceptance) -> None:
        bench.world.accept_order(bench.door.operator, order, acceptance, bench.world.moment())

    bench.door.on_accepted = accept


async def confirm(bench: Any, chain: Any = None) -> Any:
    return await ordering(bench, chain).confirm(published.find(bench.store, "one"), quiet)


async def test_an_order_is_on_the_disk_and_on_the_chain_and_locks_nothing(bench: Any) -> None:
    before = bench.world.wallets[bench.me], bench.world.balances[bench.me]
    made = await create(bench)
    assert await bench.chain.order_stage(made.id) is OrderStage.CREATED
    assert published.find(bench.store, "one") == published.find(bench.store, made.id[:10]) == made
    assert bench.store.rentals() == []
    assert (bench.world.wallets[bench.me], bench.world.balances[bench.me]) == before
    assert bench.door.calls == [], "the provider isn't needed"


async def test_an_order_that_the_chain_refuses_leaves_nothing(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no(*_: object) -> Any:
        raise Refused("no", "never")

    monkeypatch.setattr(bench.chain, "create_order", no)
    with pytest.raises(Refused):
        await create(bench)
    assert published.every(bench.store) == []
    assert not bench.store.folder("one").exists()


async def test_one_whose_fate_is_unknown_is_kept(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: object) -> Any:
        raise Unavailable("transaction 0x… is in no block yet", "it may still come")

    with monkeypatch.context() as context:
        context.setattr(bench.chain, "create_order", silent)
        with pytest.raises(Unavailable):
            await create(bench)
    [made] = published.every(bench.store)
    with pytest.raises(Unavailable, match="not on the chain yet"):
        await confirm(bench)
    await bench.chain.create_order(made.order)  # it has come
    accepting(bench)
    assert (await confirm(bench)).state is LeaseState.RUNNING


async def test_confirmed_it_is_a_lease_like_any_other(bench: Any) -> None:
    made = await create(bench)
    accepting(bench)
    rental = await confirm(bench)
    assert (rental.id, rental.state, rental.order_signature) == (made.id, LeaseState.RUNNING, "")
    record = await bench.chain.lease(made.id)
    assert record.deposit == rental.collateral
    assert bench.adopted == ["one"]
    assert "Host shale-one" in config_path(bench.home).read_text()
    assert published.every(bench.store) == []
    assert bench.store.pay_secret("one").public == made.order.pay_key


async def test_stopped_at_any_step_it_goes_on_and_locks_the_collateral_once(bench: Any) -> None:
    names = ("order_stage", "deposit", "confirm_order", "ledger_balance")
    accepting(bench)
    fatal, after, reached = 0, True, True
    while reached:
        fatal, after = (fatal + 1, False) if after else (fatal, True)
        before = bench.world.wallets[bench.me] + bench.world.balances[bench.me]
        made = await create(bench)
        steps = Steps()
        steps.fatal, steps.after = fatal, after
        chain = steps.around(bench.chain, names)
        with suppress(Killed):
            await confirm(bench, chain)
        reached = steps.count >= fatal
        if published.every(bench.store):
            await confirm(bench)
        rental = bench.store.by_id(made.id)
        assert rental.state is LeaseState.RUNNING
        after_all = bench.world.wallets[bench.me] + bench.world.balances[bench.me]
        assert before - after_all == rental.collateral
        bench.store.end(rental.id, EndReason.CLIENT_ENDED, bench.clock.now())
    assert fatal > 4


async def test_a_deposit_comes_back_when_the_confirmation_is_refused(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no(*_: object) -> Any:
        raise Refused("the deadline has passed", "start over")

    await create(bench)
    accepting(bench)
    before = bench.world.wallets[bench.me], bench.world.balances[bench.me]
    monkeypatch.setattr(bench.chain, "confirm_order", no)
    with pytest.raises(Refused):
        await confirm(bench)
    assert (bench.world.wallets[bench.me], bench.world.balances[bench.me]) == before
    assert bench.store.rentals() == []
    assert [one.name for one in published.every(bench.store)] == ["one"]


async def test_a_provider_that_never_accepts_is_given_up_at_the_deadline(bench: Any) -> None:
    made = await create(bench)
    waiting = asyncio.create_task(confirm(bench))
    await bench.clock.advance(130)
    with pytest.raises(Closed, match="did not accept"):
        await waiting
    assert await bench.chain.lease(made.id) is None
    assert await ordering(bench).cancel(published.find(bench.store, "one"), quiet) is None
    assert not bench.store.folder("one").exists()


async def test_an_acceptance_by_another_is_not_believed(bench: Any) -> None:
    await create(bench)
    bench.door.twist = lambda answer: answer | {"signature": "0x" + "11" * 64 + "1b"}
    with pytest.raises(InputRefused):
        await confirm(bench)
    assert published.find(bench.store, "one").acceptance is None


async def test_a_start_that_fails_leaves_the_lease_to_be_settled(bench: Any) -> None:
    made = await create(bench)
    accepting(bench)
    bench.door.start = [{"error": {"code": "refused", "message": "no such image", "hint": "another"}}]
    with pytest.raises(Refused, match="no such image"):
        await confirm(bench)
    rental = bench.store.by_id(made.id)
    assert (rental.state, rental.end_reason) == (LeaseState.ENDED, EndReason.START_FAILED)
    assert published.every(bench.store) == []


async def test_a_provider_that_has_not_seen_the_confirmation_yet_is_asked_again(bench: Any) -> None:
    await create(bench)
    accepting(bench)
    asked = []

    def confirmed() -> None:
        asked.append(1)
        bench.door.start = answers.pop(0)

    ready = bench.door.start
    not_yet = [{"error": {"code": "unavailable", "message": "the confirmation is not there", "hint": "again"}}]
    answers = [not_yet, not_yet, ready]
    bench.door.on_confirmed = confirmed
    running = asyncio.create_task(confirm(bench))
    await bench.clock.advance(30)
    assert (await running).state is LeaseState.RUNNING
    assert len(asked) == 3


async def test_a_cancelled_order_is_taken_back_and_its_keys_are_gone(bench: Any) -> None:
    made = await create(bench)
    assert await ordering(bench).cancel(made, quiet) is not None
    assert await bench.chain.order_stage(made.id) is OrderStage.CANCELLED
    assert not bench.store.folder("one").exists()
    with pytest.raises(InputRefused, match="shale order ls"):
        published.find(bench.store, "one")


async def test_an_order_keeps_its_keys_when_an_old_namesake_is_forgotten(bench: Any) -> None:
    ready, bench.door.start = bench.door.start, [{"error": {"code": "refused", "message": "no", "hint": "another"}}]
    with pytest.raises(Refused):
        await bench.lease("one")
    assert bench.store.rental("one").end_reason is EndReason.START_FAILED
    await bench.clock.advance(bench.store.rental("one").order.deadline + 1 - bench.clock.now())
    made = await create(bench)
    await refresh_settled(bench.store, bench.chain, "memory")
    assert bench.store.rentals() == []
    assert published.every(bench.store) == [made]
    bench.door.start = ready
    accepting(bench)
    assert (await confirm(bench)).state is LeaseState.RUNNING
    assert bench.store.pay_secret("one").public == made.order.pay_key


async def test_a_cancelled_order_goes_without_its_payment_key_but_leaves_a_namesakes(bench: Any) -> None:
    first = await create(bench)
    (bench.store.folder("one") / "pay_key.json").unlink()
    await ordering(bench).cancel(first, quiet)
    assert published.every(bench.store) == []
    second = await create(bench)
    await ordering(bench).cancel(first, quiet)
    assert published.every(bench.store) == [second]


async def killed_before_the_file_goes(bench: Any, monkeypatch: pytest.MonkeyPatch) -> PublishedOrder:
    """The lease runs, and its order is still there."""

    def killed(*_: object) -> None:
        raise Killed

    made = await create(bench)
    accepting(bench)
    with monkeypatch.context() as context:
        context.setattr(published, "begun", killed)
        with pytest.raises(Killed):
            await confirm(bench)
    assert bench.store.by_id(made.id).state is LeaseState.RUNNING
    return made


@pytest.mark.parametrize("frozen", [False, True])
async def test_a_lease_that_runs_is_not_begun_again_and_never_ended_by_a_repeat(
    bench: Any, monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    made = await killed_before_the_file_goes(bench, monkeypatch)
    if frozen:
        bench.store.set_state(made.id, LeaseState.FROZEN)
    before = bench.store.by_id(made.id)
    bench.door.start = [{"error": {"code": "refused", "message": "no", "hint": "another"}}]
    bench.door.calls.clear()
    assert await confirm(bench) == before == bench.store.by_id(made.id)
    assert (bench.door.calls, bench.door.ends) == ([], [])
    assert bench.adopted == ["one", "one"], "the kill may have come before the agent had it"
    assert published.every(bench.store) == []


async def test_a_repeat_whose_agent_does_not_start_ends_nothing(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await killed_before_the_file_goes(bench, monkeypatch)

    async def down(*_: object) -> None:
        raise Unavailable("the agent does not start", "try again")

    again = Ordering(replace(bench.leasing(), adopt=down))
    with pytest.raises(Unavailable, match="agent"):
        await again.confirm(made, quiet)
    assert bench.door.ends == []
    assert bench.store.by_id(made.id).state is LeaseState.RUNNING
    assert published.every(bench.store) != []


async def test_a_refused_start_does_not_end_what_another_command_has_entered(bench: Any) -> None:
    made = await create(bench)
    accepting(bench)

    def entered() -> None:
        bench.store.set_shell(made.id, Shell("10.0.0.1", 22, "root"))

    bench.door.on_confirmed = entered
    bench.door.start = [{"error": {"code": "refused", "message": "it runs", "hint": "look"}}]
    assert (await confirm(bench)).state is LeaseState.RUNNING
    assert bench.door.ends == []
    assert published.every(bench.store) == []


async def test_one_that_was_killed_right_after_its_entry_in_the_books_goes_on(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    made = await create(bench)
    accepting(bench)
    with monkeypatch.context() as context:
        context.setattr(bench.store, "set_state", killed)
        with pytest.raises(Killed):
            await confirm(bench)
    assert bench.store.by_id(made.id).state is LeaseState.ACCEPTED
    assert (await confirm(bench)).state is LeaseState.RUNNING
    assert bench.door.ends == []


async def test_what_is_a_lease_by_now_is_not_cancelled(bench: Any) -> None:
    made = await create(bench)
    accepting(bench)
    await confirm(bench)
    with pytest.raises(Closed, match="shale end one"):
        await ordering(bench).cancel(made, quiet)
    assert bench.store.folder("one").exists()


async def test_money_that_is_not_there_is_told_before_anything_is_locked(bench: Any) -> None:
    made = await create(bench)
    accepting(bench)
    bench.world.wallets[bench.me] = AttoFil(5)
    bench.world.balances[bench.me] = AttoFil(0)
    with pytest.raises(Exception, match="fund"):
        await confirm(bench)
    assert await bench.chain.order_stage(made.id) is OrderStage.ACCEPTED
