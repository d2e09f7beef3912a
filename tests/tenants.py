"""What tests need to start real containers: a nearly empty image, a lease's keys, a provider of their own."""

from __future__ import annotations

import io
import secrets
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shale.containers.docker import DockerEngine
from shale.containers.docker_config import container_name
from shale.containers.engine import ContainerSpec
from shale.datasets.driver_socket import is_served, place_of
from shale.market.resources import Resources
from shale.paths import binary
from shale.units import LeaseId


@contextmanager
def tiny_image() -> Iterator[str]:
    """An image with a passwd file and empty folders: Shale's guest brings all else that a lease needs."""
    name = f"shale-test/tiny:{secrets.token_hex(4)}"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for folder in ("etc", "root", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        passwd = b"root:x:0:0:root:/root:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size, entry.mode = len(passwd), 0o644
        tar.addfile(entry, io.BytesIO(passwd))
    docker("import", "-", name, stdin=archive.getvalue())
    try:
        yield name
    finally:
        docker("image", "rm", "--force", name)


def docker(*arguments: str, stdin: bytes = b"") -> str:
    """Standard output of the docker command; its words are the error when it fails."""
    ended = subprocess.run(["docker", *arguments], input=stdin, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout.decode()


def driver_name(base: str) -> str:
    """A name for a volume driver that nobody serves now.

    One of a few: an engine asks every driver that it ever heard of, and waits long for those that are gone.
    """
    names = [base, *(f"{base}-{number}" for number in range(2, 10))]
    return next(name for name in names if not is_served(place_of(name)))


def write_keys(folder: Path) -> Path:
    """A lease's keys as the provider writes them; `user` beside them is the private key that may log in."""
    folder.mkdir(mode=0o700)
    for name in ("host_key", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder / name], check=True)
    (folder / "authorized_keys").write_bytes((folder / "user.pub").read_bytes())
    return folder


@dataclass
class DockerBench:
    """Bench of the published suite on the real Docker, as a provider that nobody else is."""

    keys: Path
    image: str
    provider: str = field(default_factory=lambda: "0x" + secrets.token_hex(20))
    engine: DockerEngine = field(init=False)
    engines: list[DockerEngine] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = self.another()

    def spec(self, lease: LeaseId, name: str = "quiet-lake") -> ContainerSpec:
        resources = Resources(500, 128 << 20)
        return ContainerSpec(lease, name, self.image, resources, binary("shale-guest").parent, self.keys)

    def another(self) -> DockerEngine:
        return self._opened(self.provider)

    def strangers(self) -> DockerEngine:
        return self._opened("0x" + "5" * 40)

    async def exit_inside(self, lease: LeaseId, code: int) -> None:
        assert code == 137, "the guest ends by a signal only"
        docker("kill", container_name(self.provider, lease))

    async def clear(self) -> None:
        sweeper = self.another()
        for container in await sweeper.all():
            await sweeper.remove(container.lease)
        for engine in self.engines:
            await engine.close()

    def _opened(self, provider: str) -> DockerEngine:
        engine = DockerEngine(provider)
        self.engines.append(engine)
        return engine
