"""A lease is topped up while it runs: neither side restarts, and spending goes on past the first deposit."""

from __future__ import annotations

import json
import time

from tests.e2e.lines import PATIENCE
from tests.e2e.world import Json, World

FIRST, MORE = 25, 20


def test_spending_goes_on_past_what_was_ordered(alone: World) -> None:
    world = alone
    lease = world.lease("longer", "--max", f"{FIRST}s")
    topped = anchored_and_topped_up(world)
    price = int(lease["price_per_second_attofil"])
    assert (topped["max_seconds"], int(topped["collateral_attofil"])) == (FIRST + MORE, price * (FIRST + MORE))
    with world.watch() as watch:
        view = watch.until("longer", lambda view: view["seconds"] > FIRST + 2)
        assert view["state"] == "running"
        assert int(view["paid_attofil"]) > int(lease["collateral_attofil"])
        watch.until("longer", lambda view: view["state"] == "ended")
    world.ended_here(lease, "collateral_spent")
    world.provider.json("provider", "settle", "--now")
    record = world.record(lease)
    assert record.deposit.value == price * (FIRST + MORE)
    assert record.closed
    assert FIRST < record.seconds <= FIRST + MORE
    assert "has ended" in world.client.refused("topup", "longer", "--hours", "1", "-y")


def anchored_and_topped_up(world: World) -> Json:
    """As soon as the lease is on chain, which is a moment after its shell answers."""
    until = time.monotonic() + PATIENCE
    while True:
        done = world.client.call("topup", "longer", "--hours", f"{MORE}s", "-y", "--json")
        if done.returncode == 0:
            return dict(json.loads(done.stdout))
        assert "not on the chain yet" in done.stdout, done.stdout
        assert time.monotonic() < until
