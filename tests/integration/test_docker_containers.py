"""Leases' containers on the real Docker: entered by ssh, held to their limits, nothing left when they fail."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from tests.cars import pack_sample
from tests.tenants import DockerBench, docker, tiny_image, write_keys

from shale.containers.docker import DockerEngine
from shale.containers.docker_config import CAPABILITIES, container_name
from shale.containers.engine import Container, Mount
from shale.datasets.fuse import FuseVolumes
from shale.errors import ConfigError, Refused, ShaleError, Unavailable
from shale.units import LeaseId

LEASE = LeaseId("0x" + "a7" * 31)
OTHER_LEASE = LeaseId("0x" + "a8" * 31)
_BITS = {
    "CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8,
    "NET_BIND_SERVICE": 10, "SYS_CHROOT": 18, "AUDIT_WRITE": 29,
}  # fmt: skip


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    with tiny_image() as name:
        yield name


@pytest_asyncio.fixture
async def bench(image: str, tmp_path: Path) -> AsyncIterator[DockerBench]:
    bench = DockerBench(write_keys(tmp_path / "keys"), image)
    yield bench
    await bench.clear()
    assert nothing_left(bench)


def nothing_left(bench: DockerBench) -> bool:
    label = f"label=org.shale.provider={bench.provider}"
    return docker("ps", "--all", "--quiet", "--filter", label) == docker("network", "ls", "-q", "--filter", label) == ""


def fetch(bench: DockerBench, container: Container, *paths: str) -> list[bytes]:
    """Files of the container, by sftp through its own SSH server, whose host key must be the lease's."""
    kind, key = (bench.keys / "host_key.pub").read_text().split()[:2]
    known = bench.keys / "known_hosts"
    known.write_text(f"[{container.address}]:{container.port} {kind} {key}\n")
    into = bench.keys / "fetched"
    into.mkdir(exist_ok=True)
    batch = "".join(f'get "{path}" "{into}/{number}"\n' for number, path in enumerate(paths))
    options = [f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "BatchMode=yes"]
    given = [argument for option in options for argument in ("-o", option)]
    subprocess.run(
        [
            "sftp",
            "-q",
            "-F",
            "none",
            "-i",
            bench.keys / "user",
            *given,
            "-P",
            str(container.port),
            "-b",
            "-",
            f"root@{container.address}",
        ],
        input=batch.encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    return [(into / str(number)).read_bytes() for number in range(len(paths))]


def status_of(text: bytes) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in text.decode().splitlines() if ":\t" in line)


async def test_the_tenant_enters_by_ssh_with_pinned_host_key(bench: DockerBench) -> None:
    container = await bench.engine.start(bench.spec(LEASE, "brave-otter"))
    hostname, passwd = fetch(bench, container, "/etc/hostname", "/etc/passwd")
    assert hostname == b"brave-otter\n"
    assert passwd.startswith(b"root:x:0:0")


async def test_the_tenants_rights_are_the_stated_ones(bench: DockerBench) -> None:
    container = await bench.engine.start(bench.spec(LEASE))
    (text,) = fetch(bench, container, "/proc/self/status")
    status = status_of(text)
    allowed = sum(1 << _BITS[name] for name in CAPABILITIES)
    assert int(status["CapBnd"], 16) == allowed
    assert int(status["CapEff"], 16) & ~allowed == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


async def test_the_limits_stand_in_the_container(bench: DockerBench) -> None:
    spec = bench.spec(LEASE)
    container = await bench.engine.start(spec)
    config = docker(
        "inspect",
        "--format",
        "{{with .HostConfig}}{{.NanoCpus}} {{.Memory}} {{.MemorySwap}} {{.PidsLimit}} {{.Privileged}}{{end}}",
        container_name(bench.provider, LEASE),
    )
    memory = spec.resources.memory_bytes
    assert config.split() == ["500000000", str(memory), str(memory), "1536", "false"]
    usage = await bench.engine.usage(LEASE)
    assert usage.memory_limit == memory
    assert 0 < usage.memory_bytes < memory
    assert usage.cpu_nanos > 0
    (mounts,) = fetch(bench, container, "/proc/self/mounts")
    guest = next(line for line in mounts.decode().splitlines() if " /.shale/bin " in line)
    assert guest.split()[3].split(",")[0] == "ro"


async def test_a_dataset_is_read_inside(bench: DockerBench, tmp_path: Path) -> None:
    sample = await pack_sample(tmp_path)
    volumes = FuseVolumes(tmp_path / "mounts")
    try:
        data = await volumes.hold(sample.holding, LEASE) / "data"
        container = await bench.engine.start(replace(bench.spec(LEASE), mounts=(Mount(data, "/data"),)))
        paths = sorted(sample.files)
        read = fetch(bench, container, *(f"/data/{path}" for path in paths))
        assert read == [sample.files[path] for path in paths]
        (table,) = fetch(bench, container, "/proc/self/mounts")
        line = next(line for line in table.decode().splitlines() if " /data " in line)
        assert line.split()[3].split(",")[0] == "ro"
        await bench.engine.remove(LEASE)
    finally:
        await volumes.release(sample.root, LEASE)
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


async def test_tenants_cannot_reach_each_other(bench: DockerBench) -> None:
    await bench.engine.start(bench.spec(LEASE))
    await bench.engine.start(bench.spec(OTHER_LEASE))
    options = docker("network", "ls", "-q", "--filter", f"label=org.shale.provider={bench.provider}").split()
    assert len(options) == 1
    described = docker("network", "inspect", "--format", "{{json .Options}}", options[0])
    assert '"com.docker.network.bridge.enable_icc":"false"' in described


async def test_a_guest_that_cannot_start_is_refused_with_its_own_words(bench: DockerBench) -> None:
    (bench.keys / "authorized_keys").write_text("this is no key\n")
    with pytest.raises(Refused, match=r"ended before its SSH server listened.*authorized_keys line 1"):
        await bench.engine.start(bench.spec(LEASE))
    assert nothing_left(bench)


async def test_missing_keys_are_told_and_nothing_is_made(bench: DockerBench) -> None:
    (bench.keys / "host_key").unlink()
    with pytest.raises(ConfigError, match="host_key is missing"):
        await bench.engine.start(bench.spec(LEASE))
    assert nothing_left(bench)


async def test_more_cpus_than_the_machine_has_are_refused(bench: DockerBench) -> None:
    spec = bench.spec(LEASE)
    with pytest.raises(Refused, match="CPUs"):
        await bench.engine.start(replace(spec, resources=replace(spec.resources, cpu_millis=4_000_000)))
    assert nothing_left(bench)


async def test_a_missing_dataset_folder_is_refused(bench: DockerBench, tmp_path: Path) -> None:
    mount = Mount(tmp_path / "not-there", "/data")
    with pytest.raises(Refused, match="bind source path does not exist"):
        await bench.engine.start(replace(bench.spec(LEASE), mounts=(mount,)))
    assert nothing_left(bench)


async def test_a_start_that_takes_too_long_is_given_up(bench: DockerBench) -> None:
    """Given up while Docker still works on it: the container that it makes all the same must go too."""
    hasty = DockerEngine(bench.provider, start_seconds=0)
    try:
        with pytest.raises(Refused, match="not ready within 0 s"):
            await hasty.start(bench.spec(LEASE))
    finally:
        await hasty.close()
    assert nothing_left(bench)


async def test_a_cancelled_start_leaves_nothing(bench: DockerBench) -> None:
    start = asyncio.create_task(bench.engine.start(bench.spec(LEASE)))
    name = container_name(bench.provider, LEASE)
    watch = await asyncio.create_subprocess_exec(
        *("docker", "events", "--since", "0", "--filter", f"container={name}", "--filter", "event=create"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert watch.stdout is not None
    assert await watch.stdout.readline()
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    watch.kill()
    await watch.communicate()
    assert nothing_left(bench)


async def test_a_half_made_container_is_made_anew(bench: DockerBench) -> None:
    """As a daemon leaves it that died between Docker's create and start."""
    label = [f"--label=org.shale.provider={bench.provider}", f"--label=org.shale.lease={LEASE}"]
    docker("create", "--name", container_name(bench.provider, LEASE), *label, bench.image, "/nothing")
    container = await bench.engine.start(bench.spec(LEASE))
    assert fetch(bench, container, "/etc/hostname") == [b"quiet-lake\n"]


async def test_no_engine_is_a_setting_to_mend(tmp_path: Path) -> None:
    engine = DockerEngine("0x" + "9" * 40, url=f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(ConfigError, match="make engine"):
        await engine.check()
    with pytest.raises(Unavailable) as caught:
        await engine.find(LEASE)
    assert isinstance(caught.value, ShaleError)
    await engine.close()
