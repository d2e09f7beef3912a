"""Ending: by the agent, by the provider, by the chain; and never for more than was signed."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from shale.client.ending import Ending, refresh_settled, refund
from shale.client.rental import Rental
from shale.client.sshconfig import config_path
from shale.errors import Closed, Refused, ShaleError, Unavailable
from shale.market.lease import EndReason, LeaseState
from shale.market.order import End
from shale.units import AttoFil


def ending(bench: Any, agent: Any = None) -> Ending:
    async def down(*_: object) -> None:
        raise Unavailable("the agent does not run")

    @asynccontextmanager
    async def chain() -> Any:
        yield bench.chain

    return Ending(
        bench.home, bench.account, bench.signing, bench.store, bench.clock, agent or down, chain, bench.door.open
    )


async def paid_lease(bench: Any, seconds: int = 10) -> Rental:
    rental = await bench.lease()
    bench.door.remote = {"state": "running", "paid": str(rental.price.over(seconds).value), "seconds": seconds}
    return bench.store.raise_paid(rental.id, rental.price.over(seconds), seconds, at=1)  # type: ignore[no-any-return]


async def test_the_agent_gets_a_signed_end_over_what_was_paid(bench: Any) -> None:
    rental = await paid_lease(bench)
    seen: list[Any] = []

    async def agent(home: object, name: str, end: dict[str, Any], signature: str) -> None:
        given = End(end["order"], AttoFil(int(end["amount"])), end["seconds"], EndReason(end["reason"]), end["at"])
        bench.signing.check(given, signature, bench.me)
        seen.append(given)
        bench.store.end(rental.id, given.reason, given.at)

    ended, way = await ending(bench, agent).end(rental)
    assert (way, ended.end_reason, seen[0].amount) == ("agent", EndReason.CLIENT_ENDED, rental.paid)
    assert bench.door.ends == []
    assert "Host" not in config_path(bench.home).read_text()


async def test_without_an_agent_the_provider_gets_the_end(bench: Any) -> None:
    rental = await paid_lease(bench)
    ended, way = await ending(bench).end(rental)
    assert (way, ended.end_reason, bench.door.ends[0].amount) == ("provider", EndReason.CLIENT_ENDED, rental.paid)


async def test_a_voucher_that_never_arrived_is_left_out_of_the_end(bench: Any) -> None:
    rental = await paid_lease(bench, 15)
    bench.door.remote = {"state": "running", "paid": str(rental.price.over(10).value), "seconds": 10}
    await ending(bench).end(rental)
    assert (bench.door.ends[0].amount, bench.door.ends[0].seconds) == (rental.price.over(10), 10)


async def test_a_provider_that_claims_more_than_was_signed_is_left_by_way_of_the_chain(bench: Any) -> None:
    rental = await paid_lease(bench)
    await bench.anchor(rental)

    def more(raw: dict[str, Any]) -> dict[str, Any]:
        claimed = End(raw["order"], rental.paid + AttoFil(1), 11, EndReason.CLIENT_ENDED, raw["at"])
        signature = bench.signing.sign(claimed, bench.door.account)
        return raw | {"amount": str(claimed.amount.value), "seconds": 11, "signature": signature}

    bench.door.twist = more
    ended, way = await ending(bench).end(rental)
    assert (way, ended.paid, ended.end_reason) == ("chain", rental.paid, EndReason.CLIENT_ENDED)


async def test_an_end_that_the_provider_did_not_sign_does_not_count(bench: Any) -> None:
    rental = await paid_lease(bench)
    await bench.anchor(rental)
    bench.door.twist = lambda raw: raw | {"at": raw["at"] + 1}
    _, way = await ending(bench).end(rental)
    assert way == "chain"


async def test_a_silent_provider_is_left_by_way_of_the_chain(bench: Any) -> None:
    rental = await paid_lease(bench)
    await bench.anchor(rental)
    bench.door.silent = True
    ended, way = await ending(bench).end(rental)
    record = await bench.chain.lease(rental.id)
    assert (way, ended.end_reason, record.end_reason) == ("chain", EndReason.CLIENT_ENDED, EndReason.CLIENT_ENDED)


async def test_an_earlier_end_of_ours_that_lands_first_is_as_good(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed command left it with the sender, which lands it before the second one is sent."""
    rental = await paid_lease(bench)
    await bench.anchor(rental)
    bench.door.silent = True
    send = bench.chain.end_lease

    async def resume(end: End, signature: str) -> None:
        await send(end, signature)
        await send(end, signature)

    monkeypatch.setattr(bench.chain, "end_lease", resume)
    ended, way = await ending(bench).end(rental)
    assert (way, ended.end_reason) == ("chain", EndReason.CLIENT_ENDED)


async def test_an_end_that_the_chain_refuses_leaves_the_lease_as_it_is(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rental = await paid_lease(bench)
    await bench.anchor(rental)
    bench.door.silent = True

    async def refuse(*_: object) -> None:
        raise Refused("0 is not an end reason", "give 1 to 9")

    monkeypatch.setattr(bench.chain, "end_lease", refuse)
    with pytest.raises(Refused):
        await ending(bench).end(rental)
    assert not bench.store.by_id(rental.id).ended


async def test_a_provider_that_denies_the_lease_is_left_by_way_of_the_chain(bench: Any) -> None:
    """Over plain HTTP anybody on the way may say so."""
    rental = await paid_lease(bench)
    await bench.anchor(rental)
    bench.door.refusal = {"code": "closed", "message": "this provider has no such lease", "hint": ""}
    _, way = await ending(bench).end(rental)
    record = await bench.chain.lease(rental.id)
    assert (way, bool(record.ended_at)) == ("chain", True)


async def test_a_lease_that_nobody_has_is_closed_in_the_books(bench: Any) -> None:
    rental = await paid_lease(bench)
    bench.door.silent = True
    ended, way = await ending(bench).end(rental)
    assert (way, ended.ended) == ("books", True)


async def test_an_ended_lease_is_not_ended_again(bench: Any) -> None:
    rental = await paid_lease(bench)
    ended, _ = await ending(bench).end(rental)
    with pytest.raises(Closed, match="ended already"):
        await ending(bench).end(ended)


async def test_what_the_chain_has_proven_is_taken_over(bench: Any) -> None:
    rental = await paid_lease(bench)
    await bench.anchor(rental)
    await ending(bench).end(rental)
    await refresh_settled(bench.store, bench.chain, "memory")
    assert bench.store.by_id(rental.id).state is LeaseState.ENDED
    record = bench.world.leases[rental.id]
    bench.world.leases[rental.id] = replace(record, closed=True, paid=rental.price.over(5), seconds=5)
    await refresh_settled(bench.store, bench.chain, "another network")
    assert bench.store.by_id(rental.id).state is LeaseState.ENDED
    await refresh_settled(bench.store, bench.chain, "memory")
    settled = bench.store.by_id(rental.id)
    assert (settled.state, settled.settled_seconds) == (LeaseState.SETTLED, 5)
    assert refund(settled) == rental.collateral - rental.price.over(5)


async def test_collateral_locked_after_a_failed_start_is_freed_by_way_of_the_chain(bench: Any) -> None:
    """A hostile provider says that the start failed, and anchors the confirmation later."""
    failed = await failed_start(bench)
    await bench.chain.deposit(failed.collateral)  # for another lease
    assert await refresh_settled(bench.store, bench.chain, "memory") == []
    with pytest.raises(Closed, match="ended already"):
        await ending(bench).end(failed)
    await bench.anchor(failed)
    [locked] = await refresh_settled(bench.store, bench.chain, "memory")
    _, way = await ending(bench).end(locked)
    record = await bench.chain.lease(failed.id)
    assert (way, bool(record.ended_at)) == ("chain", True)
    assert await refresh_settled(bench.store, bench.chain, "memory") == []


async def test_a_failed_start_is_forgotten_once_the_chain_cannot_lock_its_collateral(bench: Any) -> None:
    failed = await failed_start(bench)
    await bench.clock.advance(failed.order.deadline - bench.clock.now())
    await refresh_settled(bench.store, bench.chain, "memory")
    assert bench.store.rentals() == [failed]
    await bench.clock.advance(1)
    await refresh_settled(bench.store, bench.chain, "memory")
    assert bench.store.rentals() == []


async def failed_start(bench: Any) -> Rental:
    bench.door.start = [{"error": {"code": "refused", "message": "no", "hint": "try another"}}]
    with pytest.raises(ShaleError):
        await bench.lease()
    return bench.store.rental("one")  # type: ignore[no-any-return]
