"""Faults in the middle of a lease: daemons killed, containers killed, tunnels cut; the lease and its money survive."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from tests.e2e.lines import Lines
from tests.e2e.world import Json, World, settings


@pytest.fixture(scope="module")
def lease(world: World) -> Json:
    """One lease with its dataset that outlives all the faults but the last ones."""
    found = world.lease("tough", dataset=True)
    with world.watch() as watch:
        watch.until("tough", lambda view: view["seconds"] >= 2)
    return found


def paid_on(world: World, name: str, past: int) -> Json:
    """Wait until the client has paid for more than these seconds, and the lease runs."""
    with world.watch() as watch:
        return watch.until(name, lambda view: view["seconds"] > past and view["state"] == "running")


def test_a_killed_daemon_leaves_the_shell_and_the_next_one_takes_the_lease_up(world: World, lease: Json) -> None:
    container = world.container(lease)
    with Lines(["ssh", "-F", world.client.ssh_config, "shale-tough", "cat"], world.client.env) as shell:
        shell.say("before\n")
        shell.wait("before")
        stored = world.held(lease["lease_id"])["seconds"]
        world.down(signal.SIGKILL)
        shell.say("without a daemon\n")
        shell.wait("without a daemon")
        fresh = world.client.ssh("ssh", "shale-tough", "head -c 6 /data/readme.txt")
        assert fresh.stdout == "an e2e"
        world.up()
        world.daemon.wait("taken up again")
        held = world.held(lease["lease_id"])
        assert held["seconds"] >= stored
        paid_on(world, "tough", held["seconds"])
        shell.say("after\n")
        shell.wait("after")
    assert world.container(lease) == container


def test_a_stopped_daemon_leaves_living_leases_to_its_next_start(world: World, lease: Json) -> None:
    with Lines(["ssh", "-F", world.client.ssh_config, "shale-tough", "cat"], world.client.env) as shell:
        shell.say("before\n")
        shell.wait("before")
        world.down()
        shell.say("without a daemon\n")
        shell.wait("without a daemon")
        world.up()
        paid_on(world, "tough", world.held(lease["lease_id"])["seconds"])
        shell.say("after\n")
        shell.wait("after")


def test_a_killed_agent_gets_the_container_frozen_and_its_restart_thaws_it(world: World, lease: Json) -> None:
    with world.events(lease) as events:
        for pid in world.client.agents():
            os.kill(pid, signal.SIGKILL)
        events.wait("pause")
        held = world.held(lease["lease_id"])
        world.client.json("agent", "status")
        events.wait("unpause")
    paid_on(world, "tough", held["seconds"])
    assert world.client.ssh("ssh", "shale-tough", "echo thawed").stdout == "thawed\n"
    # The grace was served, and is paid; the frozen time is not.
    assert world.client.json("agent", "status")["leases"][0]["note"] == ""


def ssh_gateway(world: World, *words: str, program: str = "ssh") -> subprocess.CompletedProcess[str]:
    """The lease's gateway key on a connection of its own, past the shared one."""
    alone = ["-o", "ControlPath=none", "-o", "ControlMaster=no"]
    return world.client.ssh(program, *alone, *words)


def test_the_gateways_key_opens_no_other_address(world: World, lease: Json) -> None:
    config = Path(world.client.ssh_config).read_text().splitlines()
    address = next(line.split()[1] for line in config if line.strip().startswith("HostName"))
    port = next(line.split()[1] for line in config if line.strip().startswith("Port"))
    rpc, api, gateway = world.ports
    for target in (f"127.0.0.1:{rpc}", f"127.0.0.1:{api}", f"127.0.0.1:{gateway}", f"{address}:22", "1.1.1.1:53"):
        done = ssh_gateway(world, "-W", target, "shale-gateway-tough")
        assert (done.returncode, done.stdout) == (255, "")
        assert "stdio forwarding failed" in done.stderr
    assert ssh_gateway(world, "-W", f"{address}:{port}", "shale-gateway-tough").stdout.startswith("SSH-2.0-")


def test_the_gateways_key_gives_no_shell_no_terminal_no_files_no_listener(world: World, lease: Json) -> None:
    asked = ssh_gateway(world, "shale-gateway-tough", "id; cat /etc/passwd")
    assert "uid=" not in asked.stdout
    assert "root:" not in asked.stdout
    terminal = ssh_gateway(world, "-tt", "shale-gateway-tough", "id")
    assert "PTY allocation request failed" in terminal.stderr
    assert "uid=" not in terminal.stdout
    back = ssh_gateway(world, "-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "shale-gateway-tough")
    assert back.returncode == 255
    assert "remote port forwarding failed" in back.stderr
    files = ssh_gateway(world, "-q", "-b", "/dev/null", "shale-gateway-tough", program="sftp")
    assert files.returncode != 0


def test_the_gateways_key_opens_no_unix_socket(world: World, lease: Json, tmp_path: Path) -> None:
    alone = ["-o", "ControlPath=none", "-o", "LogLevel=DEBUG1", "-N"]
    forward = ["-L", f"{tmp_path / 'here'}:/var/run/docker.sock", "shale-gateway-tough"]
    with Lines(["ssh", "-F", world.client.ssh_config, *alone, *forward], world.client.env) as tunnel:
        tunnel.wait("Entering interactive session")
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(60)
            door.connect(str(tmp_path / "here"))
            with suppress(ConnectionResetError, BrokenPipeError):
                door.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                assert door.recv(100) == b""
    assert "refused streamlocal port forward" in (world.gateway / "sshd.log").read_text()


def test_a_settlement_redeems_a_living_lease_once_and_leaves_it_living(world: World, lease: Json) -> None:
    before = world.wallet_of(world.payout)
    batches = world.provider.json("provider", "settle", "--now")
    assert [batch["leases"].count(lease["lease_id"]) for batch in batches] == [1]
    assert world.wallet_of(world.payout) - before == sum(int(batch["earned_attofil"]) for batch in batches) > 0
    paid_on(world, "tough", world.held(lease["lease_id"])["seconds"])


def test_after_all_that_the_lease_ends_and_settles_to_the_attofil(world: World, lease: Json) -> None:
    before = world.money()
    ended = world.client.json("end", "tough")
    [batch] = world.provider.json("provider", "settle", "--now")
    record = world.record(lease)
    assert record.closed
    assert record.paid.value == int(ended["paid_attofil"])
    assert int(batch["refunded_attofil"]) == int(lease["collateral_attofil"]) - record.paid.value
    assert world.money() - before == int(batch["refunded_attofil"])


def test_a_container_killed_from_outside_ends_the_lease_at_both_sides(world: World) -> None:
    lease = world.lease("victim")
    with world.watch() as watch:
        watch.until("victim", lambda view: view["connected"] and view["seconds"] >= 1)
        subprocess.run(["docker", "kill", world.container(lease)], check=True, capture_output=True, timeout=60)
        view = watch.until("victim", lambda view: view["state"] == "ended")
    assert view["end_reason"] == "host_failure"
    world.ended_here(lease, "host_failure")
    assert world.held(lease["lease_id"])["end_reason"] == "host_failure"


def test_a_daemon_that_finds_the_container_dead_ends_the_lease(world: World) -> None:
    lease = world.lease("orphan")
    with world.watch() as watch:
        watch.until("orphan", lambda view: view["connected"] and view["seconds"] >= 1)
        world.down(signal.SIGKILL)
        subprocess.run(["docker", "kill", world.container(lease)], check=True, capture_output=True, timeout=60)
        world.up()
        view = watch.until("orphan", lambda view: view["state"] == "ended")
    assert view["end_reason"] == "host_failure"
    world.ended_here(lease, "host_failure")


def test_a_lease_that_nobody_pays_any_more_ends_and_is_cleared_away(world: World) -> None:
    world.down()
    settings(world.provider, patience_seconds=2)
    world.up()
    try:
        lease = world.lease("left", dataset=True)
        with world.watch() as watch:
            watch.until("left", lambda view: view["seconds"] >= 1)
        for pid in world.client.agents():
            os.kill(pid, signal.SIGKILL)
        world.ended_here(lease, "unpaid")
        held = world.held(lease["lease_id"])
        traces = world.traces()
        assert [traces[name] for name in ("containers", "mounts", "provider's keys", "meters", "grants")] == [[]] * 5
        world.client.json("agent", "status")
        with world.watch() as watch:
            view = watch.until("left", lambda view: view["state"] == "ended")
        assert view["end_reason"] == "unpaid"
        world.provider.json("provider", "settle", "--now")
        assert str(world.record(lease).paid.value) == held["paid"]
    finally:
        world.down()
        settings(world.provider, patience_seconds=120)
        world.up()
