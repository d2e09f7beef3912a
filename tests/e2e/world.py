"""World: a chain, a provider and a client, each as a user has it: the installed command, plain ssh, and homes.

What a test needs to look behind them is here too: the chain's balances, Docker's containers, the machine's mounts and
processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.e2e.lines import PATIENCE, Lines
from tests.tenants import driver_name

from shale.chain.chain import LeaseRecord
from shale.chain.fvm import FvmChain
from shale.chain.network import Network
from shale.market.review import Standing
from shale.paths import Home, keys_dir
from shale.tunnel.gateway import gateway_folder
from shale.units import checked_address, checked_lease_id

T = TypeVar("T")
Json = dict[str, Any]

SHALE = str(Path(sys.executable).with_name("shale"))
IMAGE = "shale/base:latest"
FIL = 10**18
GAS = FIL // 100
"""More than any test's transactions cost."""


class Actor:
    """Somebody with a home of their own, who runs `shale` and ssh in it."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        root.mkdir(mode=0o700)
        self.password = root / "password"
        self.password.touch(mode=0o600)
        self.password.write_text(secrets.token_hex(16))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SHALE_")}
        self.env = kept | {
            "SHALE_HOME": str(root),
            "SHALE_KEYS": str(keys_dir()),
            "SHALE_PASSWORD_FILE": str(self.password),
            "HOME": str(root),
            "NO_COLOR": "1",
        }

    def call(
        self,
        *words: str,
        stdin: str = "",
        timeout: float = PATIENCE * 2,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SHALE, *words],
            env=self.env | dict(env or {}),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def json(self, *words: str, timeout: float = PATIENCE * 2) -> Any:
        """Run a command that must go well and give its JSON: one value, alone on stdout."""
        before = words[: words.index("--")] if "--" in words else words
        done = self.call(*before, "--json", *words[len(before) :], timeout=timeout)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout[-500:]} {done.stderr[-500:]}"
        return json.loads(done.stdout)

    def refused(self, *words: str) -> str:
        """Run a command that must fail as errors do: one line on stderr that says what to do; gives that line."""
        done = self.call(*words)
        lines = [line for line in done.stderr.splitlines() if line.startswith("shale: error: ")]
        assert done.returncode == 1, (done.stdout, done.stderr)
        assert len(lines) == 1, done.stderr
        assert "Traceback" not in done.stderr
        message, colon, hint = lines[0].removeprefix("shale: error: ").rpartition(": ")
        assert colon, f"says not what to do: {lines[0]}"
        assert message, lines[0]
        assert hint, lines[0]
        return lines[0]

    def ssh(self, program: str, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Plain ssh, scp or sftp with the client's written configuration."""
        return subprocess.run(
            [program, "-F", self.ssh_config, *words],
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    @property
    def ssh_config(self) -> str:
        return str(self.home.client / "ssh" / "config")

    def agents(self) -> list[int]:
        """Processes of this home's agent."""
        return [pid for pid in processes(self.home.root) if b"shale.client.agent" in _cmdline(pid)]


@dataclass
class World:
    """Everything, up and running. `files` is what the dataset holds, by path."""

    folder: Path
    provider: Actor
    client: Actor
    ports: tuple[int, int, int]
    payout: str
    root: str
    files: dict[str, bytes]
    operator: str = ""
    owner: str = ""
    daemon: Lines = field(init=False)

    # --- the provider's daemon

    def up(self) -> int:
        """Start the daemon; returns when it serves, with how many lines it had written before."""
        self.daemon = Lines([SHALE, "provider", "up", "--json"], self.provider.env)
        line = self.daemon.wait(lambda line: line.startswith("{"))
        assert json.loads(line).get("ready"), line
        return len(self.daemon.seen)

    def down(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it by a signal and wait for that."""
        self.daemon.process.send_signal(number)
        status = self.daemon.gone()
        assert status == (0 if number == signal.SIGTERM else -number), self.daemon.seen[-8:]
        self.daemon.end()

    def kill_daemon(self) -> None:
        self.daemon.end()

    # --- leases

    def lease(self, name: str, *words: str, dataset: bool = False) -> Json:
        """Rent a small container; what `up` says of it."""
        more = ("--dataset", f"{self.root}:/data") if dataset else ()
        longest = () if "--max" in words else ("--max", "30m")
        small = ("--cpus", "0.3", "--memory", "128Mi", "--image", IMAGE)
        return dict(self.client.json("up", "--name", name, *small, "-y", *longest, *more, *words))

    def held(self, lease_id: str) -> Json:
        """The lease as the provider's books have it, and anyone may ask: state, end_reason, paid and seconds."""
        url = f"http://127.0.0.1:{self.ports[1]}/v1/leases/{lease_id}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return dict(json.loads(answer.read()))

    def rental(self, name: str) -> Json:
        """The lease as the client's books have it."""
        return dict([item for item in self.client.json("ps", "--all") if item["name"] == name][-1])

    def watch(self) -> Watch:
        return Watch(self.client.home)

    def ended_here(self, lease: Json, reason: str) -> None:
        """Wait until the provider has ended a lease and cleared up after it."""
        self.daemon.wait(f"lease {lease['lease_id'][:12]}: ended: {reason}")

    def events(self, lease: Json) -> Lines:
        """What happens to the lease's container from now on, a word a line."""
        label = f"label=org.shale.lease={lease['lease_id']}"
        now = str(int(time.time()))
        return Lines(["docker", "events", "--since", now, "--filter", label, "--format", "{{.Action}}"])

    # --- the machine

    def containers(self) -> list[str]:
        return _docker("ps", "--all", "--quiet", "--filter", f"label=org.shale.provider={self.operator}")

    def container(self, lease: Json) -> str:
        [found] = _docker("ps", "--all", "--quiet", "--filter", f"label=org.shale.lease={lease['lease_id']}")
        return found

    def volumes(self) -> list[str]:
        """What the engine shows of the provider's own volume driver."""
        driver = tomllib.loads((self.provider.home.provider / "config.toml").read_text())["docker"]["volume_driver"]
        return _docker("volume", "ls", "--quiet", "--filter", f"driver={driver}")

    def networks(self) -> list[str]:
        return _docker("network", "ls", "--quiet", "--filter", f"label=org.shale.provider={self.operator}")

    def mounts(self) -> list[str]:
        return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {self.folder}/" in line]

    @property
    def gateway(self) -> Path:
        return gateway_folder(self.provider.home.provider, self.operator)

    def traces(self) -> dict[str, list[str]]:
        """All that a lease leaves anywhere; the same before and after means nothing is left behind."""
        return {
            "containers": self.containers(),
            "mounts": self.mounts(),
            "provider's keys": _names(self.provider.home.provider / "leases"),
            "provider's mount points": _names(self.provider.home.provider / "mounts"),
            "provider's books": _rows(self.provider.home.provider / "provider.db"),
            "meters": _names(self.gateway / "meters"),
            "grants": (self.gateway / "authorized_keys").read_text().splitlines(),
            "client's keys": _names(self.client.home.client / "leases"),
            "client's books": _rows(self.client.home.client / "leases.sqlite"),
            "ssh hosts": _hosts(Path(self.client.ssh_config)),
        }

    # --- the chain

    def chain(self, question: Callable[[FvmChain], Awaitable[T]]) -> T:
        """Ask the chain itself, past all daemons."""
        network = Network.load(self.client.home)

        async def asked() -> T:
            chain = FvmChain(network.deployment, network.rpc_url, None)
            try:
                return await question(chain)
            finally:
                await chain.close()

        return asyncio.run(asked())

    def record(self, lease: Json) -> LeaseRecord:
        record = self.chain(lambda chain: chain.lease(checked_lease_id(lease["lease_id"])))
        assert record is not None, "the chain does not have the lease"
        return record

    def standing(self) -> Standing:
        return self.chain(lambda chain: chain.standing(checked_address(self.operator)))

    def wallet_of(self, address: str) -> int:
        return self.chain(lambda chain: chain.wallet_balance(checked_address(address))).value

    def ledger_of(self, address: str) -> int:
        return self.chain(lambda chain: chain.ledger_balance(checked_address(address))).value

    def money(self) -> int:
        """All that the client has, in the wallet and in the ledger."""
        return self.wallet_of(self.owner) + self.ledger_of(self.owner)


class Watch:
    """The agent's own stream of what it pays for: the views now, and again after each change."""

    def __init__(self, home: Home) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(str(home.client / "agent.sock"))
        self._socket.sendall(b'{"op": "watch"}\n')
        self._lines = self._socket.makefile("r")

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def until(self, name: str, fits: Callable[[Json], bool], changes: int = 900) -> Json:
        """The first view of that lease that fits; an assertion after so many that don't (ten a second at most)."""
        view: Json = {}
        for _ in range(changes):
            line = self._lines.readline()
            assert line, f"the agent ended; last seen: {view}"
            for view in json.loads(line)["leases"]:
                if view["name"] == name and fits(view):
                    return view
        raise AssertionError(f"it never came to that; last seen: {view}")


def build(stack: ExitStack, folder: Path, ports: tuple[int, int, int]) -> World:
    """Chain, contracts, provider with a dataset, funded client: whatever was begun is ended with the stack."""
    provider, client = Actor(folder / "p"), Actor(folder / "c")
    files = {"readme.txt": b"an e2e dataset\n", "train/part.bin": bytes(i * 7 % 251 for i in range(300_000))}
    for path, data in files.items():
        (folder / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "tree" / path).write_bytes(data)
    rpc, api, gateway = ports
    stack.callback(provider.call, "chain", "down")
    provider.json("chain", "up", "--port", str(rpc))
    provider.json("chain", "deploy")
    (client.home.root / "networks").symlink_to(provider.home.networks)
    root = provider.json("piece", "pack", str(folder / "tree"), str(folder / "set.car"))["root"]
    payout = "0x" + secrets.token_hex(20)
    world = World(folder, provider, client, ports, payout, root, files)
    world.operator = provider.json(
        "provider", "init", "--name", "e2e", "--port", str(api), "--gateway-port", str(gateway), "--image", IMAGE,
        "--tick", "1s", "--payout", payout, "--volume-driver", driver_name("shale-e2e"),
    )["operator"]  # fmt: skip
    settings(provider, grace_seconds=2, patience_seconds=120)
    provider.json("chain", "fund", world.operator, "100 FIL")
    world.owner = client.json("wallet", "new")["address"]
    provider.json("chain", "fund", world.owner, "10 FIL")
    world.up()
    stack.callback(world.kill_daemon)
    provider.json("provider", "datasets", "add", str(folder / "set.car"), "--name", "e2e")
    return world


def settings(provider: Actor, **values: int | str) -> None:
    """Edit the provider's settings, as a person would with an editor: each key stands once, or on its first line."""
    path = provider.home.provider / "config.toml"
    lines = path.read_text().splitlines()
    for key, value in values.items():
        at = next(number for number, line in enumerate(lines) if line.split(" ")[0] == key)
        lines[at] = f"{key} = {json.dumps(value)}"
    path.write_text("\n".join(lines) + "\n")


def free_ports(count: int) -> tuple[int, ...]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return tuple(int(listener.getsockname()[1]) for listener in sockets)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False


def processes(folder: Path) -> list[int]:
    """Those that were started in a home below this folder, or name a path in it."""
    word = os.fsencode(folder)
    return [pid for pid in _pids() if pid != os.getpid() and (word in _cmdline(pid) or _lives_in(pid, word))]


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _cmdline(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _lives_in(pid: int, folder: bytes) -> bool:
    with suppress(OSError):
        return any(
            line.startswith(b"SHALE_HOME=" + folder) for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        )
    return False


def _docker(*words: str) -> list[str]:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=True, timeout=PATIENCE)
    return done.stdout.split()


def _rows(books: Path) -> list[str]:
    """The leases of a side's books, as `ps --all` and `provider status` list them; those take a second each."""
    if not books.exists():
        return []
    with closing(sqlite3.connect(f"file:{books}?mode=ro", uri=True)) as connection:
        return [str(row[0]) for row in connection.execute("select lease_id from leases order by lease_id")]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _hosts(config: Path) -> list[str]:
    return [line for line in config.read_text().splitlines() if line.startswith("Host ")] if config.exists() else []
