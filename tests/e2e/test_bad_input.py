"""Bad input at the command line: one line that says what to do, nothing left behind, the money where it was."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.world import GAS, IMAGE, SHALE, Actor, World, free_ports, is_free, processes, settings

NOBODYS = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"


@contextmanager
def nothing_happens(world: World, cost: int = 0) -> Iterator[None]:
    """What happens inside leaves no trace on either side and costs no money (beyond `cost` for gas)."""
    traces, money = world.traces(), world.money()
    yield
    assert world.traces() == traces
    assert 0 <= money - world.money() <= cost


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--max-price", "0.000001 FIL/h"], "over the limit of"),
        (["--cpus", "4000"], "not enough CPU"),
        (["--memory", "90Ti"], "not enough memory"),
        (["--gpus", "64"], "not enough GPU"),
        (["--dataset", f"{NOBODYS}:/data"], f"no provider holds the dataset {NOBODYS}"),
        (["--dataset", "bafynotacid:/data"], "is not a CID"),
        (["--image", "shale-e2e/never-made:1"], "shale-e2e/never-made:1"),
        (["--max", "8000h"], "at most"),
        (["--provider", "0x" + "11" * 20], "is not an active provider"),
    ],
)
def test_an_order_that_cannot_be_filled_is_refused(world: World, words: list[str], why: str) -> None:
    with nothing_happens(world):
        small = ["--cpus", "0.3", "--memory", "128Mi"]
        assert why.lower() in world.client.refused("up", "-y", "--name", "never", *small, *words).lower()


def test_an_unfunded_wallet_is_told_what_to_fund(world: World) -> None:
    poor = Actor(world.folder / "poor")
    (poor.home.root / "networks").symlink_to(world.provider.home.networks)
    owner = poor.json("wallet", "new")["address"]
    with nothing_happens(world):
        line = poor.refused("up", "-y", "--cpus", "0.3", "--memory", "128Mi")
    assert f"fund {owner}" in line
    assert not list((poor.home.client / "leases").glob("*"))
    assert not poor.agents()


def test_a_container_that_cannot_start_leaves_nothing_and_the_deposit_comes_back(world: World) -> None:
    wanted = ["--dataset", f"{world.root}:/data", "--max", "999m", "--cpus", "0.3", "--memory", "128Mi"]
    traces, money = world.traces(), world.money()
    for _ in range(3):
        with unmountable(world):
            said = world.client.refused("up", "-y", "--name", "never", *wanted)
        # The daemon looks at its datasets every ten seconds; where it was faster than we, there was no start.
        if "no provider holds" not in said:
            break
    # Both sides remember that it failed, the client while the chain may yet take it; nothing else is left of it.
    books: dict[str, list[str]] = {"provider's books": [], "client's books": []}
    assert world.traces() | books == traces | books
    assert 0 < money - world.money() <= GAS


@contextmanager
def unmountable(world: World) -> Iterator[None]:
    """The dataset's file is junk, though it has the size and time that it had: only a mount finds out."""
    car = world.folder / "set.car"
    right, stat = car.read_bytes(), car.stat()
    index = world.provider.home.provider / "indexes" / world.root
    aside = index.rename(world.folder / "index-aside")

    def write(content: bytes) -> None:
        car.write_bytes(content)
        os.utime(car, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    write(b"x" * len(right))
    try:
        yield
    finally:
        write(right)
        aside.rename(index)
        # The daemon may have looked meanwhile: what it found faulty is offered again after a check alone.
        done = world.provider.call("provider", "datasets", "check", world.root)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def other_id(world: World) -> Path:
    """The network's file, with the id of another chain."""
    [path] = world.provider.home.networks.glob("*.json")
    raw = json.loads(path.read_text()) | {"chain_id": 314}
    wrong = world.folder / "wrong.json"
    wrong.write_text(json.dumps(raw))
    return wrong


def test_a_network_of_another_chain_id_is_refused_by_the_client(world: World, other_id: Path) -> None:
    with nothing_happens(world):
        line = world.client.refused("network", "add", "wrong", "--file", str(other_id))
        assert "31415926" in line
        assert "314" in line
        assert [item["name"] for item in world.client.json("network", "list")] == ["devnet"]
        lost = Actor(world.folder / "lost")
        lost.home.networks.mkdir()
        shutil.copy(other_id, lost.home.networks / "devnet.json")
        lost.json("wallet", "new")
        for words in (["ls"], ["wallet", "balance"], ["up", "-y"]):
            assert "31415926" in lost.refused(*words)


@pytest.fixture(scope="module")
def stranger(world: World) -> Actor:
    """A provider that is set up and can't run, each time for another reason."""
    found = Actor(world.folder / "q")
    shutil.copytree(world.provider.home.networks, found.home.networks)
    api, gateway = free_ports(2)
    ports = ["--port", str(api), "--gateway-port", str(gateway), "--volume-driver", "shale-e2e-stranger"]
    operator = found.json("provider", "init", *ports, "--image", IMAGE)["operator"]
    world.provider.json("chain", "fund", operator, "1 FIL")
    return found


def refused_up(stranger: Actor, env: Mapping[str, str] | None = None) -> str:
    """`provider up` fails with one line, and leaves no process, socket or lock."""
    done = stranger.call("provider", "up", env=env)
    return _refusal(stranger, done)


def _refusal(stranger: Actor, done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("shale: error: ")]
    assert "Traceback" not in done.stderr
    assert not processes(stranger.home.root)
    assert not [path for path in stranger.home.root.rglob("*") if path.is_socket()]
    return line


def test_a_provider_on_the_wrong_chain_does_not_start(stranger: Actor, other_id: Path) -> None:
    path = stranger.home.networks / "devnet.json"
    right = path.read_bytes()
    shutil.copy(other_id, path)
    try:
        assert "31415926" in refused_up(stranger)
    finally:
        path.write_bytes(right)


@pytest.mark.parametrize("key", ["port", "gateway_port"])
def test_a_port_in_use_is_named_with_its_setting(stranger: Actor, key: str) -> None:
    config = stranger.home.provider / "config.toml"
    before = config.read_text()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings(stranger, **{key: taken.getsockname()[1]})
        try:
            line = refused_up(stranger)
        finally:
            config.write_text(before)
        assert f"port {taken.getsockname()[1]}" in line
        assert f"listen.{key}" in line


def test_without_docker_the_provider_does_not_start(stranger: Actor) -> None:
    line = refused_up(stranger, {"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    assert "Docker Engine" in line
    assert "start it" in line


NO_FUSE = """
set -e
mount -t tmpfs -o mode=755 none "$1"
for node in null zero full random urandom tty; do touch "$1/$node"; mount --bind "/dev/$node" "$1/$node"; done
mount --rbind "$1" /dev
shift
exec "$@"
"""


def test_without_fuse_the_provider_does_not_start(stranger: Actor, tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", NO_FUSE, "sh", str(tmp_path / "dev"), SHALE, "provider", "up"],
        env=stranger.env, stdin=subprocess.PIPE, capture_output=True, text=True, check=False, timeout=90,
    )  # fmt: skip
    line = _refusal(stranger, done)
    assert "/dev/fuse" in line
    assert "modprobe fuse" in line


def test_a_second_daemon_of_one_home_is_refused(world: World) -> None:
    with nothing_happens(world):
        assert "runs already" in world.provider.refused("provider", "up")


def test_a_wrong_password_opens_no_key(world: World, tmp_path: Path) -> None:
    wrong = tmp_path / "password"
    wrong.touch(mode=0o600)
    wrong.write_text("not this one")
    with nothing_happens(world):
        line = world.client.refused("up", "-y", "--password-file", str(wrong))
        assert "password" in line
        assert "not this one" not in line


def test_a_devnet_on_a_taken_port_is_refused(world: World, tmp_path: Path) -> None:
    fresh = Actor(tmp_path / "f")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} is in use" in fresh.refused("chain", "up", "--port", str(port))
    assert is_free(port)
    assert not processes(fresh.home.root)


def hostile(port: int, path: str, body: bytes) -> tuple[int, Any]:
    """What the provider's API answers to a raw request."""
    request = f"POST {path} HTTP/1.1\r\nHost: p\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(request.encode() + body)
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, tail = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(tail)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"\xff\xfe", b"[" * 60_000, b'{"order": 7}', b'{"order": {"client": "0x00"}}', b"x" * 70_000],
)
def test_junk_at_the_providers_api_is_refused_in_one_line(world: World, body: bytes) -> None:
    for path in ("/v1/orders", "/v1/leases", "/v1/leases/0x00/end"):
        status, answer = hostile(world.ports[1], path, body)
        assert 400 <= status < 500
        assert answer["error"]["code"] in ("refused", "closed")
        assert "\n" not in answer["error"]["message"] + answer["error"]["hint"]
