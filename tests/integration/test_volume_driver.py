"""The volume driver under a real Docker Engine: any container of any client, and a daemon that is killed meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from tests.cars import Sample, pack_sample
from tests.e2e.lines import Lines
from tests.tenants import docker, driver_name

from shale.datasets.checks import ABSENT
from shale.datasets.driver_socket import place_of

IMAGE = "shale/base:latest"


@dataclass
class Stand:
    """A driver in a process of its own, the samples that it shows, and the containers begun with it."""

    folder: Path
    name: str
    sample: Sample
    containers: list[str] = field(default_factory=list)
    volumes: set[str] = field(default_factory=set)
    daemon: Lines = field(init=False)

    def up(self) -> None:
        at = [self.sample.root, str(self.sample.car)]
        datasets = json.dumps({self.sample.root: at, self.sample.piece: at})
        command = [sys.executable, "-m", "tests.volume_daemon", self.name, str(self.folder / "mounts"), datasets]
        self.daemon = Lines(command)
        self.daemon.wait("ready")

    def kill(self) -> None:
        self.daemon.process.send_signal(signal.SIGKILL)
        self.daemon.gone()
        self.daemon.end()

    def mount(self, source: str, target: str = "/data") -> list[str]:
        if source.startswith((self.sample.root, self.sample.piece)):
            self.volumes.add(source)
        return ["--mount", f"type=volume,volume-driver={self.name},src={source},dst={target},readonly"]

    def run(self, *words: str, mounts: list[str]) -> subprocess.CompletedProcess[bytes]:
        """A container that runs to its end."""
        command = ["docker", "run", "--rm", "--network", "none", *mounts, "--entrypoint", words[0], IMAGE, *words[1:]]
        return subprocess.run(command, capture_output=True, check=False, timeout=120)

    def start(self, source: str) -> str:
        """A container that stays."""
        words = ["run", "--detach", "--network", "none", *self.mount(source), "--entrypoint", "sleep", IMAGE, "600"]
        self.containers.append(docker(*words).strip())
        return self.containers[-1]

    def read(self, container: str, path: str) -> bytes:
        command = ["docker", "exec", container, "cat", f"/data/{path}"]
        return subprocess.run(command, capture_output=True, check=True, timeout=120).stdout

    def holders(self) -> list[str]:
        with suppress(FileNotFoundError):
            return list(json.loads((self.folder / "mounts" / self.sample.root / "holders.json").read_bytes()))
        return []

    def mounted(self) -> list[str]:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line for line in lines if f" {self.folder}/" in line]

    def clear(self) -> None:
        if self.containers:
            docker("rm", "--force", *self.containers)
        for volume in self.volumes:
            subprocess.run(["docker", "volume", "rm", "--force", volume], capture_output=True, check=False)
        self.kill()
        place_of(self.name).unlink(missing_ok=True)
        assert self.mounted() == []
        assert list((self.folder / "mounts").glob("*")) == []


@pytest_asyncio.fixture
async def sample(tmp_path: Path) -> Sample:
    return await pack_sample(tmp_path, 7)


@pytest.fixture
def stand(tmp_path: Path, sample: Sample) -> Iterator[Stand]:
    stand = Stand(tmp_path, driver_name("shale-test"), sample)
    stand.up()
    try:
        yield stand
    finally:
        stand.clear()


def test_any_container_reads_a_dataset_by_root_and_by_piece(stand: Stand) -> None:
    for source in (stand.sample.root, stand.sample.piece):
        read = stand.run("cat", "/data/train/images.bin", mounts=stand.mount(source))
        assert read.stdout == stand.sample.files["train/images.bin"], read.stderr
        written = stand.run("touch", "/data/new", mounts=stand.mount(source))
        assert b"Read-only" in written.stderr
    assert stand.mounted() == []


def test_what_proves_it_is_a_volume_too(stand: Stand) -> None:
    root = stand.sample.root
    read = stand.run("cat", f"/proofs/blocks/{root}", mounts=stand.mount(f"{root}.proofs", "/proofs"))
    assert read.stdout
    assert read.stdout in stand.sample.car.read_bytes()


def test_a_dataset_that_is_not_here_is_refused_in_one_line_that_says_what_to_do(stand: Stand) -> None:
    for source, word in ((ABSENT, "isn't here: see"), ("etc", "isn't here"), ("a b", "name the volume by a root")):
        done = stand.run("true", mounts=stand.mount(source))
        assert done.returncode == 125
        assert word in done.stderr.decode().splitlines()[0]
    assert stand.mounted() == []


def test_containers_share_one_mount_and_the_last_takes_it_away(stand: Stand) -> None:
    one, two = stand.start(stand.sample.root), stand.start(f"{stand.sample.root}.mine")
    assert len(stand.mounted()) == 1
    assert len(stand.holders()) == 2
    docker("rm", "--force", one)
    assert stand.read(two, "readme.txt") == stand.sample.files["readme.txt"]
    docker("rm", "--force", two)
    stand.containers.clear()
    assert stand.mounted() == []


@pytest.mark.parametrize("tag", ["", ".mine", ".proofs.mine"])
def test_a_container_that_ends_while_its_dataset_is_away_leaves_no_mount(stand: Stand, tag: str) -> None:
    container = stand.start(f"{stand.sample.root}{tag}")
    assert len(stand.mounted()) == 1
    away = stand.sample.car.rename(stand.sample.car.with_suffix(".away"))
    try:
        docker("rm", "--force", container)
        stand.containers.clear()
        assert stand.mounted() == []
    finally:
        away.rename(stand.sample.car)


def test_a_container_reads_on_while_the_daemon_is_killed_and_started_again(stand: Stand) -> None:
    container = stand.start(stand.sample.root)
    held = stand.holders()
    stand.kill()
    assert stand.read(container, "train/images.bin") == stand.sample.files["train/images.bin"]
    stand.up()
    assert stand.holders() == held
    assert stand.read(container, "train/labels.csv") == stand.sample.files["train/labels.csv"]
    docker("rm", "--force", container)
    stand.containers.clear()
    assert stand.mounted() == []


def test_docker_lists_the_catalogue(stand: Stand) -> None:
    listed = docker("volume", "ls", "--quiet", "--filter", f"driver={stand.name}").split()
    assert listed == [stand.sample.root]


def test_a_second_daemon_of_that_name_is_told_so(stand: Stand) -> None:
    command = [sys.executable, "-m", "tests.volume_daemon", stand.name, str(stand.folder / "mounts"), "{}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert f"another process serves the volume driver {stand.name}" in done.stderr
    assert stand.run("true", mounts=stand.mount(stand.sample.root)).returncode == 0
