"""The whole lease as a user has it: rent, enter by plain ssh, use the dataset, pay by the tick, end, settle, review."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.lines import Lines
from tests.e2e.world import GAS, Json, World, free_ports

SERVER = """
import socket
listener = socket.create_server(("127.0.0.1", 7007))
print("listening", flush=True)
connection, _ = listener.accept()
connection.sendall(connection.recv(100).upper())
"""


@pytest.fixture(scope="module")
def lease(alone: World) -> Json:
    """A living lease with the dataset in it."""
    return alone.lease("walk", dataset=True)


@dataclass(frozen=True)
class Settled:
    """Two leases that ended in two ways, redeemed by one proof, and the money around it."""

    leases: tuple[Json, Json]
    batches: list[Json]
    received: int
    refunded: int
    ends: tuple[Json, Json]


@pytest.fixture(scope="module")
def settled(world: World, lease: Json) -> Settled:
    other = world.lease("second")
    with world.watch() as watch:
        for name in ("walk", "second"):
            watch.until(name, lambda view: view["seconds"] >= 3)
        mine = world.client.json("end", "walk")
        theirs = world.provider.json("provider", "end", other["lease_id"])
        assert theirs == {"end_reason": "provider_ended"}
        seen = watch.until("second", lambda view: view["state"] == "ended")
    before = world.wallet_of(world.payout), world.ledger_of(world.owner)
    batches = world.provider.json("provider", "settle", "--now")
    return Settled(
        (lease, other),
        batches,
        world.wallet_of(world.payout) - before[0],
        world.ledger_of(world.owner) - before[1],
        (mine, seen),
    )


def test_a_provider_is_found_by_its_dataset(world: World) -> None:
    raw = world.client.json("ls", "--dataset", world.root)
    [found] = raw["providers"] if isinstance(raw, dict) else raw
    assert world.operator in json.dumps(found)
    assert [item["root"] for item in world.client.json("datasets")] == [world.root]


def test_a_command_by_plain_ssh_has_its_output_and_its_exit_status(world: World, lease: Json) -> None:
    done = world.client.ssh("ssh", "shale-walk", "echo out; echo err >&2; cat; exit 7", stdin="typed")
    assert (done.stdout, done.stderr, done.returncode) == ("out\ntyped", "err\n", 7)


def test_the_dataset_of_a_lease_is_proven_from_outside(world: World, lease: Json) -> None:
    answer = world.client.json("verify", "walk", "--sample", "16")
    [dataset] = world.client.json("datasets")
    assert (answer["ok"], answer["leaves"], answer["as_ordered"]) == (True, 16, True)
    assert (answer["root"], answer["piece"]) == (world.root, dataset["piece"])


def test_run_passes_words_and_exit_status_on(world: World, lease: Json) -> None:
    done = world.client.call("run", "walk", "--", "sh", "-c", 'echo "$0 $1"; exit 7', "two words", "$HOME")
    assert (done.stdout, done.returncode) == ("two words $HOME\n", 7)
    answer = world.client.json("run", "walk", "--", "echo", "hi")
    assert (answer["exit_status"], answer["stdout"]) == (0, "hi\n")


def test_the_dataset_is_there_byte_for_byte_and_can_only_be_read(world: World, lease: Json) -> None:
    listed = world.client.ssh("ssh", "shale-walk", "cd /data && find . -type f | xargs sha256sum")
    found = {line.split()[1].removeprefix("./"): line.split()[0] for line in listed.stdout.splitlines()}
    assert found == {path: hashlib.sha256(data).hexdigest() for path, data in world.files.items()}
    for attempt in ("touch /data/new", "rm /data/readme.txt", "echo x >> /data/readme.txt"):
        done = world.client.ssh("ssh", "shale-walk", attempt)
        assert done.returncode != 0
        assert "Read-only file system" in done.stderr


def test_scp_copies_both_ways(world: World, lease: Json, tmp_path: Path) -> None:
    source, back = tmp_path / "a file.bin", tmp_path / "back.bin"
    source.write_bytes(bytes(range(256)) * 4000)
    assert world.client.ssh("scp", "-q", str(source), "shale-walk:there.bin").returncode == 0
    assert world.client.ssh("scp", "-q", "shale-walk:there.bin", str(back)).returncode == 0
    assert back.read_bytes() == source.read_bytes()


def test_sftp_works(world: World, lease: Json, tmp_path: Path) -> None:
    (tmp_path / "up").write_text("by sftp")
    commands = f"mkdir box\nput {tmp_path / 'up'} box/it\nrename box/it box/that\nget box/that {tmp_path / 'down'}\n"
    done = world.client.ssh("sftp", "-q", "-b", "-", "shale-walk", stdin=commands)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "down").read_text() == "by sftp"


def test_a_port_of_the_container_can_be_forwarded(world: World, lease: Json) -> None:
    [port] = free_ports(1)
    through = ["ssh", "-F", world.client.ssh_config, "-L", f"127.0.0.1:{port}:127.0.0.1:7007", "shale-walk"]
    with Lines([*through, f"python3 -u -c '{SERVER}'"], world.client.env) as forward:
        forward.wait("listening")
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            connection.sendall(b"through the tunnel")
            assert connection.recv(100) == b"THROUGH THE TUNNEL"


def test_the_container_has_the_limits_that_were_ordered(world: World, lease: Json) -> None:
    # Control groups in version 2, else in version 1.
    files = "cat memory.max cpu.max || cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us"
    done = world.client.ssh("ssh", "shale-walk", f"cd /sys/fs/cgroup && {files}")
    memory, quota, period = map(int, done.stdout.split())
    assert memory == 128 << 20
    assert quota * 10 == period * 3


def test_the_agent_shows_what_it_pays_and_the_probes_verdict(world: World, lease: Json) -> None:
    with world.watch() as watch:
        view = watch.until("walk", lambda view: view["verdict"] is not None and view["memory_bytes"] > 0)
    assert view["verdict"]["status"] == "ok"
    assert int(view["paid_attofil"]) == view["seconds"] * int(view["price_attofil_per_second"])
    # The agent still shows what ended before, in other tests' leases.
    [shown] = world.client.json("watch", "walk", "--once")["leases"]
    [listed] = [row for row in world.client.json("ps") if row["name"] == "walk"]
    assert (shown["name"], shown["state"], shown["connected"]) == ("walk", "running", True)
    assert (listed["name"], listed["state"], listed["collateral_attofil"]) == (
        "walk", "running", lease["collateral_attofil"],
    )  # fmt: skip


def test_a_password_or_key_is_in_no_process_list_and_no_log(world: World, lease: Json) -> None:
    secret = json.loads((world.client.home.client / "leases" / "walk" / "pay_key.json").read_text())["secret"]
    words = [actor.password.read_text() for actor in (world.client, world.provider)] + [secret]
    shown = "".join(path.read_bytes().decode(errors="replace") for path in _told())
    shown += (world.client.home.client / "agent.log").read_text() + "\n".join(world.daemon.seen)
    assert not [word for word in words if word in shown]


def _told() -> Iterator[Path]:
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                (process / name).read_bytes()
            except OSError:
                continue
            yield process / name


def test_two_leases_are_settled_by_one_proof(world: World, settled: Settled) -> None:
    [batch] = settled.batches
    assert sorted(batch["leases"]) == sorted(item["lease_id"] for item in settled.leases)
    assert batch["operations"] == 2
    assert world.held(settled.leases[0]["lease_id"])["state"] == "settled"


def test_collateral_is_what_was_received_and_refunded_to_the_attofil(world: World, settled: Settled) -> None:
    records = [world.record(item) for item in settled.leases]
    assert all(record.closed for record in records)
    assert sum(record.deposit.value for record in records) == settled.received + settled.refunded
    assert sum(record.paid.value for record in records) == settled.received
    for record, item in zip(records, settled.leases, strict=True):
        assert record.paid.value == record.seconds * int(item["price_per_second_attofil"]) > 0
        assert record.deposit.value == int(item["collateral_attofil"])


def test_each_side_says_why_a_lease_ended(world: World, settled: Settled) -> None:
    mine, theirs = settled.ends
    assert (mine["end_reason"], mine["way"]) == ("client_ended", "agent")
    assert theirs["end_reason"] == "provider_ended"
    assert [world.held(item["lease_id"])["end_reason"] for item in settled.leases] == ["client_ended", "provider_ended"]
    assert [world.record(item).end_reason.text for item in settled.leases] == ["client_ended", "provider_ended"]
    assert world.rental("second")["end_reason"] == "provider_ended"


def test_both_sides_books_agree_with_the_chain(world: World, settled: Settled) -> None:
    for item in settled.leases:
        record, held, rental = world.record(item), world.held(item["lease_id"]), world.rental(item["name"])
        assert (int(held["paid"]), held["seconds"]) == (record.paid.value, record.seconds)
        assert (int(rental["settled_paid_attofil"]), rental["settled_seconds"]) == (record.paid.value, record.seconds)
        assert int(rental["paid_attofil"]) >= record.paid.value


def test_nothing_of_an_ended_lease_is_left(world: World, settled: Settled) -> None:
    traces = world.traces()
    kept = {"provider's books", "client's books"}
    assert {name: value for name, value in traces.items() if value and name not in kept} == {}
    assert "has ended" in world.client.refused("run", "walk", "--", "true")


def test_what_a_running_lease_was_redeemed_of_is_rebuilt_from_the_chain(world: World, settled: Settled) -> None:
    lease = world.lease("stands")
    with world.watch() as watch:
        watch.until("stands", lambda view: view["seconds"] >= 2)
    [batch] = world.provider.json("provider", "settle", "--now")
    rebuilt = world.client.json("ledger", "rebuild", "--provider", world.operator)
    assert rebuilt["root"] == batch["new_root"]
    [leaf] = [leaf for leaf in rebuilt["leaves"] if leaf["lease_id"] == lease["lease_id"]]
    assert leaf["amount_attofil"] == batch["earned_attofil"]
    earnings = world.provider.json("provider", "earnings")
    assert earnings["batches"][0]["tx"] == batch["tx"]
    assert int(earnings["fees_attofil"]) > 0
    assert int(earnings["collected_attofil"]) == int(earnings["earned_attofil"])
    world.client.json("end", "stands")


def test_the_daemon_says_what_it_waits_for(world: World, settled: Settled) -> None:
    lease = world.lease("later")
    world.client.json("end", "later")
    said = world.provider.json("provider", "settle")
    assert said["stage"] == "idle"
    assert said["ended"] >= 1
    assert world.held(lease["lease_id"])["state"] == "ended", "it waits for company"
    world.provider.json("provider", "settle", "--now")
    assert world.provider.json("provider", "settle")["ended"] == 0


def test_an_ended_lease_is_not_ended_again(world: World, settled: Settled) -> None:
    assert "has ended already (client_ended)" in world.client.refused("end", "walk")


def test_a_review_weighs_the_proven_seconds_and_is_taken_once(world: World, settled: Settled) -> None:
    before = world.standing()
    said = world.client.json("review", "walk", "--stars", "4", "--comment", "as promised")
    after = world.standing()
    record = world.record(settled.leases[0])
    seconds = min(record.seconds, record.closed_at - record.opened_at)
    assert seconds > 0
    assert said["weight_seconds"] == seconds
    assert (after.reviews - before.reviews, after.weight_seconds - before.weight_seconds) == (1, seconds)
    assert after.weighted_stars - before.weighted_stars == 4 * seconds
    shown = world.client.json("reviews", "e2e")["reviews"][0]
    assert (shown["lease_id"], shown["stars"], shown["comment"]) == (settled.leases[0]["lease_id"], 4, "as promised")
    assert (shown["weight_seconds"], shown["paid_attofil"]) == (seconds, str(record.paid.value))
    assert "is reviewed already" in world.client.refused("review", "walk", "--stars", "1")
    assert world.standing() == after


def test_a_lease_ends_when_its_collateral_is_spent(world: World) -> None:
    lease = world.lease("short", "--max", "4s")
    with world.watch() as watch:
        view = watch.until("short", lambda view: view["state"] == "ended")
    assert view["end_reason"] == "collateral_spent"
    world.ended_here(lease, "collateral_spent")
    world.provider.json("provider", "settle", "--now")
    record = world.record(lease)
    # All four seconds were served; of the last ones a slow payer may owe as much as the grace, here two.
    assert 4 - 2 < record.seconds <= 4
    assert record.closed
    assert record.paid.value == record.seconds * int(lease["price_per_second_attofil"])


def test_a_lease_ended_at_once_gives_its_money_back(world: World) -> None:
    before = world.money()
    lease = world.lease("brief")
    ended = world.client.json("end", "brief")
    world.provider.json("provider", "settle", "--now")
    record = world.record(lease)
    assert record.closed
    assert record.paid.value <= int(ended["paid_attofil"])
    assert 0 <= before - record.paid.value - world.money() < GAS


@pytest.mark.parametrize("words", [["ls"], ["network", "list"], ["ssh-config"], ["wallet", "balance"]])
def test_json_is_one_value(world: World, words: list[str]) -> None:
    assert world.client.json(*words)
