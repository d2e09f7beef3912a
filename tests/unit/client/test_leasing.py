"""Leasing: the steps in their order, and nothing left behind when one of them fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from shale.client.sshconfig import config_path
from shale.errors import ConfigError, InputRefused, Refused, ShaleError, Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.units import ZERO, AttoFil

START_FAILS = {"error": {"code": "refused", "message": "no such image", "hint": "name another"}}


def nothing_is_left(bench: Any) -> None:
    """No money, no key, no host; a row only where the provider holds a confirmation that the chain may still take."""
    assert all(rental.end_reason is EndReason.START_FAILED for rental in bench.store.rentals())
    leases = bench.home.client / "leases"
    assert not leases.exists() or list(leases.iterdir()) == []
    assert bench.world.balances[bench.me] == ZERO
    assert bench.world.wallets[bench.me].value == 10 * 10**18
    assert bench.adopted == []
    assert not config_path(bench.home).exists() or "shale-one" not in config_path(bench.home).read_text()


async def test_a_lease_is_ordered_confirmed_entered_and_handed_to_the_agent(bench: Any) -> None:
    rental = await bench.lease()
    assert bench.door.calls == ["POST /v1/orders", "POST /v1/leases"]
    assert (rental.state, rental.name, rental.paid) == (LeaseState.RUNNING, "one", ZERO)
    assert bench.adopted == ["one"]
    assert "Host shale-one" in config_path(bench.home).read_text()
    assert bench.world.balances[bench.me] == rental.collateral == AttoFil(1_250_000 * 3600)
    assert bench.door.order == rental.order
    assert rental.order.ssh_key != rental.order.gateway_key
    bench.signing.check(rental.acceptance, rental.acceptance_signature, bench.door.operator)
    await bench.anchor(rental)
    assert bench.world.balances[bench.me] == ZERO


async def test_without_a_key_of_the_user_one_is_made_for_this_lease(bench: Any) -> None:
    rental = await bench.lease()
    assert rental.ssh_key == str(bench.store.folder("one") / "user_key")
    assert (bench.store.folder("one") / "user_key").stat().st_mode & 0o777 == 0o600


async def test_only_what_the_ledger_lacks_is_deposited(bench: Any) -> None:
    await bench.chain.deposit(AttoFil(1_000))
    rental = await bench.lease()
    assert bench.world.balances[bench.me] == rental.collateral


async def test_a_deposit_that_still_waits_is_not_made_again_and_one_that_is_not_needed_not_waited_for(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    async def take_up(*, to_send: bool) -> None:
        asked.append(to_send)
        if to_send and len(asked) == 2:
            await bench.chain.deposit(AttoFil(1_250_000 * 3600))

    monkeypatch.setattr(bench.chain, "take_up", take_up)
    rental = await bench.lease()
    assert bench.world.balances[bench.me] == rental.collateral
    assert asked[:2] == [False, True]
    await bench.chain.deposit(rental.collateral)
    asked.clear()
    await bench.leasing().check_money(rental.collateral)
    assert asked == [False]


async def test_collaterals_that_are_not_anchored_yet_are_not_used_twice(bench: Any) -> None:
    first = await bench.lease("one")
    second = await bench.lease("two")
    assert bench.world.balances[bench.me] == first.collateral + second.collateral
    await bench.anchor(first)
    await bench.anchor(second)
    assert await bench.leasing().free_balance() == ZERO
    await bench.chain.deposit(AttoFil(5))
    assert await bench.leasing().free_balance() == AttoFil(5)


async def test_a_wallet_that_cannot_pay_the_collateral_is_told_so_before_anything_happens(bench: Any) -> None:
    await bench.chain.deposit(AttoFil(3))
    with pytest.raises(ConfigError, match="the ledger 3 attoFIL, the collateral is 11 FIL"):
        await bench.leasing().check_money(AttoFil(11 * 10**18))


async def test_a_refused_order_leaves_nothing(bench: Any) -> None:
    bench.door.refusal = {"code": "refused", "message": "the provider is full", "hint": "choose another"}
    with pytest.raises(Refused, match="the provider says: the provider is full"):
        await bench.lease()
    assert bench.door.calls == ["POST /v1/orders"]
    nothing_is_left(bench)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("acceptance", {"order": "0x" + "12" * 32, "deadline": 1_700_000_100}),
        ("acceptance", None),
        ("host_key", "ssh-ed25519 AAAA\nHost *"),
        ("host_key", "ssh-ed25519 AAAABBBB"),
        ("signature", "0x" + "00" * 65),
        ("signature", 5),
    ],
)
async def test_an_acceptance_that_is_not_ours_leaves_nothing(bench: Any, field: str, value: object) -> None:
    bench.door.twist = lambda answer: answer | {field: value}
    with pytest.raises(ShaleError):
        await bench.lease()
    assert bench.door.calls == ["POST /v1/orders"]
    nothing_is_left(bench)


@pytest.mark.parametrize("deadline", [1_700_000_000, 1_700_000_601, 2**70])
async def test_an_acceptance_with_an_improper_deadline_leaves_nothing(bench: Any, deadline: int) -> None:
    bench.door.twist = lambda answer: answer | {"acceptance": answer["acceptance"] | {"deadline": deadline}}
    with pytest.raises(InputRefused):
        await bench.lease()
    nothing_is_left(bench)


@pytest.mark.parametrize(
    "lines",
    [
        [START_FAILS],
        [],
        [{"step": "container", "state": "started"}],
        [{"ready": {"host": "10.0.0.1\nHost *", "port": 22, "user": "root"}}],
        [{"ready": {"host": "10.0.0.1", "port": 0, "user": "root"}}],
        [{"ready": {"host": "10.0.0.1", "port": 22, "user": "-oProxyCommand=x"}}],
        [{"step": "a", "state": "b", "seconds": "c"}],
        [{"step": "x", "state": "done", "seconds": 1}] * 2000,
    ],
)
async def test_a_start_that_fails_gives_the_deposit_back_and_sends_an_end(bench: Any, lines: list[Any]) -> None:
    bench.door.start = lines
    with pytest.raises(ShaleError):
        await bench.lease()
    nothing_is_left(bench)
    assert [end.reason for end in bench.door.ends] == [EndReason.CLIENT_ENDED]


async def test_the_providers_own_words_are_shown_when_a_start_fails(bench: Any) -> None:
    bench.door.start = [START_FAILS]
    with pytest.raises(ShaleError, match="the provider says: no such image: name another"):
        await bench.lease()


async def test_a_deposit_that_fails_leaves_nothing_and_is_not_withdrawn(bench: Any) -> None:
    bench.world.wallets[bench.me] = AttoFil(7)
    with pytest.raises(ConfigError, match="fund it"):
        await bench.lease()
    assert bench.world.wallets[bench.me] == AttoFil(7)
    assert bench.store.rentals() == []
    assert bench.door.calls == ["POST /v1/orders"]


async def test_an_interrupted_start_waits_for_the_provider_then_ends_the_lease(bench: Any) -> None:
    bench.door.holding = asyncio.Event()
    confirmed = asyncio.Event()
    bench.door.on_confirmed = confirmed.set
    task = asyncio.create_task(bench.lease())
    await confirmed.wait()
    assert bench.world.balances[bench.me] != ZERO
    task.cancel()
    await asyncio.sleep(0)
    bench.door.holding.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [end.reason for end in bench.door.ends] == [EndReason.CLIENT_ENDED]
    nothing_is_left(bench)


async def test_money_that_the_chain_has_locked_stays_in_the_books_when_a_start_fails(bench: Any) -> None:
    """A hostile provider anchors, then says that the start failed: the lease must stay to be seen and settled."""

    original = bench.door.stream

    async def stream() -> Any:
        await bench.anchor(bench.store.rental("one"))
        async for line in original():
            yield line

    bench.door.start = [START_FAILS]
    bench.door.stream = stream
    with pytest.raises(ShaleError):
        await bench.lease()
    kept = bench.store.rental("one")
    assert (kept.state, kept.end_reason) == (LeaseState.ENDED, EndReason.START_FAILED)
    assert not bench.store.folder("one").exists()


async def test_an_agent_that_does_not_take_the_lease_ends_it(bench: Any) -> None:
    async def adopt(home: object, name: str) -> None:
        raise Unavailable("the agent did not start", "see its log")

    with pytest.raises(Unavailable, match="agent did not start"):
        await bench.lease(leasing=replace(bench.leasing(), adopt=adopt))
    assert [end.reason for end in bench.door.ends] == [EndReason.CLIENT_ENDED]
    assert bench.store.rental("one").end_reason is EndReason.CLIENT_ENDED
    assert "shale-one" not in config_path(bench.home).read_text()
    assert not bench.store.folder("one").exists()
