"""Datasets that break while leases read them: an error for the reader, a notice for the client, no more offers."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.e2e.world import IMAGE, Json, World, processes

from shale.datasets.place import Place

LEAF = 1 << 20


@pytest.fixture(scope="module")
def broken(world: World) -> Json:
    """A dataset of two leaves, the second of which changes on the disk under a running lease."""
    tree, car = world.folder / "fragile", world.folder / "fragile.car"
    tree.mkdir()
    data = os.urandom(2 * LEAF)
    (tree / "part.bin").write_bytes(data)
    root = world.provider.json("piece", "pack", str(tree), str(car))["root"]
    world.provider.json("provider", "datasets", "add", str(car), "--name", "fragile")
    small = ("--cpus", "0.3", "--memory", "128Mi", "--image", IMAGE, "--max", "30m")
    world.client.json("up", "--name", "reader", *small, "-y", "--dataset", f"{root}:/data")
    at = car.read_bytes().index(data[LEAF : LEAF + 64])
    with car.open("r+b") as handle:
        handle.seek(at)
        handle.write(bytes([data[LEAF] ^ 1]))
    return {"root": root, "at": at, "car": str(car), "data": data.hex()}


def read(world: World, skip: int) -> subprocess.CompletedProcess[str]:
    return world.client.ssh("ssh", "shale-reader", f"dd if=/data/part.bin bs=1M count=1 skip={skip} | sha256sum")


def test_a_lease_has_its_dataset_and_what_proves_it_from_the_driver(world: World, broken: Json) -> None:
    done = world.client.ssh("ssh", "shale-reader", f"wc -c < /.shale/dataset/blocks/{broken['root']}")
    assert int(done.stdout) > 0, done.stderr
    assert "Read-only" in world.client.ssh("ssh", "shale-reader", "touch /.shale/dataset/x").stderr
    described = subprocess.run(
        ["docker", "inspect", "--format", "{{json .Mounts}}", world.container(world.rental("reader"))],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert described.count('"Type":"volume"') == 2


def test_a_corrupt_byte_is_an_error_for_the_reader_and_told_to_the_client(world: World, broken: Json) -> None:
    with world.watch() as watch:
        done = read(world, 1)
        assert "Input/output error" in done.stderr, done.stdout
        assert read(world, 0).stderr.count("error") == 0, "the sound leaf is still read"
        # That the file changed under its mount is told too, before anybody reads.
        view = watch.until("reader", lambda view: "corrupt" in view["fault"])
    fault = f"dataset fault at part.bin, offset {broken['at']} of the piece: corrupt block"
    assert view["fault"] == fault
    assert world.rental("reader")["fault"] == fault
    assert f"reader: {fault}" in world.client.call("ps").stdout
    assert fault in world.client.call("watch", "reader", "--once").stdout.replace("\n", " ")


def test_a_dataset_with_a_fault_is_offered_no_more(world: World, broken: Json) -> None:
    assert world.client.json("ls", "--dataset", broken["root"])["providers"] == []
    assert broken["root"] not in world.client.call("datasets", "--json").stdout


def test_a_mount_that_dies_ends_its_lease_as_the_hosts_failure(world: World, broken: Json) -> None:
    place = Place(world.provider.home.provider / "mounts" / broken["root"])
    process = place.process
    assert process is not None
    lease = world.rental("reader")
    os.kill(process.pid, signal.SIGKILL)
    world.ended_here(lease, "host_failure")
    assert not place.folder.exists()
    assert not [pid for pid in processes(world.folder) if b"fragile" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert not [name for name in world.volumes() if name.startswith(broken["root"])]
