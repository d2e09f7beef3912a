"""A lease by plain transactions as a user has it: created, accepted, confirmed, entered, ended, settled."""

from __future__ import annotations

import json
import signal

from tests.e2e.lines import Lines
from tests.e2e.world import GAS, IMAGE, SHALE, World

from shale.chain.chain import OrderStage
from shale.units import checked_lease_id

SMALL = ("--cpus", "0.3", "--memory", "128Mi", "--image", IMAGE, "--max", "30m", "-y")


def test_a_lease_by_transactions_goes_its_whole_way(alone: World) -> None:
    world = alone
    made = world.client.json("order", "create", "--name", "plain", *SMALL, "--dataset", f"{world.root}:/data")
    [listed] = world.client.json("order", "ls")
    assert (listed["name"], listed["lease_id"], listed["state"]) == ("plain", made["lease_id"], "created")
    assert made["lease_id"] in world.client.call("order", "ls", "--json").stdout
    before = world.ledger_of(world.operator), world.money()

    lease = world.client.json("order", "confirm", made["lease_id"][:12])
    assert (lease["name"], lease["lease_id"], lease["state"]) == ("plain", made["lease_id"], "running")
    assert world.client.json("order", "ls") == []
    assert world.record(lease).deposit.value == int(lease["collateral_attofil"])
    done = world.client.ssh("ssh", "shale-plain", "cat /data/readme.txt")
    assert (done.stdout, done.returncode) == ("an e2e dataset\n", 0), done.stderr
    with world.watch() as watch:
        watch.until("plain", lambda view: view["seconds"] >= 3)
    assert "no order" in world.client.refused("order", "cancel", "plain")
    world.client.json("end", "plain")
    world.provider.json("provider", "settle", "--now")
    record = world.record(lease)
    assert record.closed
    assert record.seconds >= 3
    assert before[1] - GAS * 2 < world.money() + record.paid.value <= before[1]
    fees = world.provider.json("provider", "earnings")["fees_by_kind_attofil"]
    assert int(fees["accept"]) > 0


def test_a_daemon_killed_while_it_accepts_goes_on_and_the_client_too(alone: World) -> None:
    world = alone
    made = world.client.json("order", "create", "--name", "killed", *SMALL)
    waiting = Lines([SHALE, "order", "confirm", "killed", "--json"], world.client.env)
    world.daemon.wait(f"order {made['lease_id'][:12]}: taken")
    world.down(signal.SIGKILL)
    world.up()
    lease = json.loads(waiting.wait(lambda line: line.startswith("{")))
    assert (lease["lease_id"], lease["state"]) == (made["lease_id"], "running")
    assert world.client.ssh("ssh", "shale-killed", "true").returncode == 0
    waiting.end()
    world.client.json("end", "killed")
    world.ended_here(lease, "client_ended")


def test_a_cancelled_order_is_nobodys(alone: World) -> None:
    world = alone
    before = world.traces()
    made = world.client.json("order", "create", "--name", "undone", *SMALL)
    assert world.client.json("order", "cancel", "undone")["state"] == "cancelled"
    stage = world.chain(lambda chain: chain.order_stage(checked_lease_id(made["lease_id"])))
    assert stage is OrderStage.CANCELLED
    assert "no order" in world.client.refused("order", "confirm", "undone")
    assert world.traces() == before
