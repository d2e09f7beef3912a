"""Devnet: the desk's own chain: one anvil with Filecoin's devnet id, kept in a folder."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import platform
import select
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import shale
from shale.chain.rpc import NodeError, Rpc
from shale.errors import ConfigError, Refused, Unavailable
from shale.paths import private_dir, write_private
from shale.process import started
from shale.units import Address, AttoFil

CHAIN_ID = 31415926
DEFAULT_PORT = 8545
_START_SECONDS = 20.0
_STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class DevnetStatus:
    """Whether the chain runs, and how to reach it. `pid` and `block` are 0 when it doesn't."""

    running: bool
    rpc_url: str
    pid: int = 0
    block: int = 0


class Devnet:
    """The chain of one folder: `state.json` keeps its state, `anvil.log` what it said, `anvil.json` its pid.

    It mines a block for each transaction, at once, and lives on when the process that started it ends.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def log(self) -> Path:
        return self.folder / "anvil.log"

    async def start(self, port: int | None = None) -> DevnetStatus:
        """Start it, and return when it answers; one that runs already is left as it is, whatever its port.

        Without a port it takes the one that it had last, since networks name it.

        Raises ConfigError when the port is in use or anvil isn't there, Unavailable when it doesn't come up.
        """
        private_dir(self.folder)
        with self._locked():
            status = await self.status()
            if status.running:
                return status
            program = anvil()
            port = port or self._record()["port"] or DEFAULT_PORT
            _check_port(port)
            pid = self._spawn(program, port)
            record = {"pid": pid, "started": started(pid), "port": port}
            write_private(self.folder / "anvil.json", json.dumps(record).encode())
            try:
                await self._await_answer(pid, port)
            except BaseException:
                _kill(pid)
                raise
            return await self.status()

    async def stop(self) -> bool:
        """End it and keep its state; False if it didn't run."""
        if not self.folder.is_dir():
            return False
        with self._locked():
            pid, _ = self._living()
            if pid == 0:
                return False
            await asyncio.to_thread(_end, pid)
            return True

    async def status(self) -> DevnetStatus:
        pid, port = self._living()
        url = _url(port or DEFAULT_PORT)
        if pid == 0:
            return DevnetStatus(False, url)
        rpc = Rpc(url)
        try:
            return DevnetStatus(True, url, pid, await rpc.number("eth_blockNumber"))
        finally:
            await rpc.close()

    def _living(self) -> tuple[int, int]:
        """Pid (0 if it doesn't run) and port of the anvil that we started last."""
        record = self._record()
        _reap(record["pid"])
        alive = record["pid"] and started(record["pid"]) == record["started"]
        return record["pid"] if alive else 0, record["port"]

    def _record(self) -> dict[str, int]:
        """What the last start wrote; zeros if there was none."""
        names = ("pid", "port", "started")
        try:
            raw = json.loads((self.folder / "anvil.json").read_bytes())
            return {name: int(raw[name]) for name in names}
        except (OSError, ValueError, KeyError, TypeError):
            return dict.fromkeys(names, 0)

    def _spawn(self, program: Path, port: int) -> int:
        arguments = [str(program), "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(CHAIN_ID)]
        # FEVM has what Cancun brought (and no limit of a transaction's gas, which later forks bring).
        arguments += ["--hardfork", "cancun", "--quiet"]
        # The state is written at the end; now and then too, so that a power cut loses little.
        arguments += ["--state", str(self.folder / "state.json"), "--state-interval", "30"]
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        return os.posix_spawn(
            program,
            arguments,
            {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR") if name in os.environ},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigdef=[signal.SIGINT, signal.SIGTERM],
            setsigmask=[],
        )

    async def _await_answer(self, pid: int, port: int) -> None:
        rpc = Rpc(_url(port))
        try:
            async with asyncio.timeout(_START_SECONDS):
                while True:
                    with suppress(Unavailable):
                        if await rpc.number("eth_chainId") == CHAIN_ID:
                            return
                    if _reap(pid) or not started(pid):
                        raise Unavailable(f"anvil ended at once ({self._last_words()})", f"see {self.log}")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise Unavailable(
                f"anvil does not answer after {_START_SECONDS:g} s", f"see {self.log} and try again"
            ) from None
        finally:
            await rpc.close()

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = self.log.read_text(errors="replace")[-2000:].strip().splitlines()
            if lines:
                return lines[-1][:200]
        return "it said nothing"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Only one start or stop at a time on this folder."""
        with (self.folder / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Unavailable("the chain is being started or stopped just now", "try again") from None
            yield


async def fund(rpc_url: str, address: Address, amount: AttoFil) -> AttoFil:
    """Add money to an address on an anvil of our chain id; its new balance. Refused on any other chain."""
    rpc = Rpc(rpc_url)
    try:
        chain_id = await rpc.number("eth_chainId")
        version = await rpc.call("web3_clientVersion")
        if chain_id != CHAIN_ID or not str(version).startswith("anvil/"):
            raise Refused(f"money can't be made on chain {chain_id} at {rpc.place}", "use its faucet, or send it some")
        balance = AttoFil(await rpc.number("eth_getBalance", address, "latest")) + amount
        await rpc.call("anvil_setBalance", address, hex(balance.value))
        return AttoFil(await rpc.number("eth_getBalance", address, "latest"))
    except NodeError as error:
        raise Refused(f"the node would not fund {address} ({error.message})", "use a devnet of shale") from None
    finally:
        await rpc.close()


def anvil() -> Path:
    """The anvil program: the one that npm put beside the source tree, or one on PATH."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    tree = Path(shale.__file__).resolve().parents[2]
    ours = tree / "node_modules" / "@foundry-rs" / f"anvil-linux-{machine}" / "bin" / "anvil"
    if ours.is_file():
        return ours
    found = shutil.which("anvil")
    if found is None:
        raise ConfigError("anvil is not installed", "run make install")
    return Path(found)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            raise ConfigError(
                f"port {port} is in use", "stop what listens there, or choose another with --port"
            ) from None


def _reap(pid: int) -> bool:
    """Take our dead child's status, if it is one."""
    with suppress(ChildProcessError):
        return pid > 0 and os.waitpid(pid, os.WNOHANG)[0] == pid
    return False


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _end(pid: int) -> None:
    """Ask it to end, which writes its state, and wait for that; kill it when it won't."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], _STOP_SECONDS)[0]:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], _STOP_SECONDS)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)
        _reap(pid)
