"""Gateway: stock sshd with a generated, hardened configuration; each lease's key may do two things and nothing else.

The key of a lease runs one forced command, which joins that lease's meter socket, and may open one address, that of the
lease's own SSH server. sshd runs in its own session, as an unprivileged user where the daemon is root, and outlives the
daemon, so that a restart of the daemon cuts nobody off.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shale.errors import ConfigError, Unavailable
from shale.market.offer import key_line
from shale.paths import binary, write_private

GATEWAY_USER = "shale-gateway"
_SSHD_PATHS = ("/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd")


@dataclass(frozen=True, slots=True)
class Grant:
    """What one lease's gateway key may reach."""

    key: str
    meter_socket: Path
    address: str
    port: int

    def line(self, relay: Path) -> str:
        """Its line of authorized_keys. Paths are ours and hold no quotes; the key is checked again."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return (
            f'restrict,port-forwarding,permitopen="{host}:{self.port}",'
            f'command="{relay} {self.meter_socket}" {key_line(self.key)}'
        )


class Gateway:
    """sshd under `folder`, listening at `host`:`port`. The folder must not be below a folder closed to others."""

    def __init__(self, folder: Path, host: str, port: int, host_key: bytes) -> None:
        self._folder = folder
        self._host = host
        self._port = port
        self._host_key = host_key
        self._account = _account()

    @property
    def user(self) -> str:
        """The login name that clients use."""
        return self._account.pw_name

    @property
    def gid(self) -> int:
        """The group that must be able to reach the meter sockets."""
        return self._account.pw_gid

    async def up(self) -> None:
        """Start sshd, or find the one that an earlier daemon left. Returns when it accepts connections."""
        self._lay_out()
        if self._running_pid() is not None and await self._answers():
            return
        await self.down()
        self._check_port()
        sshd = next((path for path in _SSHD_PATHS if Path(path).exists()), None)
        if sshd is None:
            raise ConfigError("there is no OpenSSH server", "install the package openssh-server")
        log = self._folder / "sshd.log"
        own = self._account.pw_uid == os.getuid()
        process = await asyncio.create_subprocess_exec(
            sshd, "-D", "-e", "-f", str(self._folder / "sshd_config"),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=log.open("ab"),
            start_new_session=True,
            user=None if own else self._account.pw_uid, group=None if own else self._account.pw_gid,
            extra_groups=None if own else [],
        )  # fmt: skip
        self._pid_file.write_text(str(process.pid))
        for _ in range(100):
            if await self._answers():
                return
            if process.returncode is not None:
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(process.wait()), 0.05)
        await self.down()
        tail = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise Unavailable(f"the gateway's sshd did not start ({tail[0][:200]})", f"see {log}")

    def allow(self, grants: Iterable[Grant]) -> None:
        """Write the key list anew: sshd reads it at each login."""
        text = "".join(grant.line(self._relay) + "\n" for grant in grants)
        write_private(self._folder / "authorized_keys", text.encode(), 0o644)

    def connection_of(self, pid: int) -> int | None:
        """The process that serves the connection whose forced command has this pid; None if it isn't one of ours."""
        listener = self._running_pid()
        ancestor: int | None = pid
        # The relay, perhaps its shell, sshd's unprivileged and its monitoring process: more would be no connection.
        for _ in range(6):
            if ancestor is None or listener is None:
                return None
            parent = _parent(ancestor)
            if parent == listener:
                return ancestor
            ancestor = parent
        return None

    async def cut(self, connections: Iterable[int], patience: float = 5.0) -> None:
        """End these connections, whose lease is over, and with them what they forward.

        They have `patience` seconds to end by themselves: the final state may still be on its way to the client.
        """
        ours = [connection for connection in connections if self._is_connection(connection)]
        try:
            await asyncio.gather(*(_exited(connection, patience) for connection in ours))
        finally:
            for connection in ours:
                # A pid may be somebody else's by now; a child of our listener is a connection of ours.
                if self._is_connection(connection):
                    with suppress(ProcessLookupError, PermissionError):
                        os.kill(connection, signal.SIGTERM)

    def _is_connection(self, pid: int) -> bool:
        listener = self._running_pid()
        return listener is not None and _parent(pid) == listener

    async def down(self) -> None:
        """Stop sshd and every connection through it."""
        pid = self._running_pid()
        if pid is not None:
            for child in _children(pid):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(child, signal.SIGTERM)
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGTERM)
            await _gone(pid)
        self._pid_file.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _relay(self) -> Path:
        return self._folder / "shale-join"

    @property
    def _pid_file(self) -> Path:
        return self._folder / "sshd.pid"

    def _running_pid(self) -> int | None:
        try:
            pid = int(self._pid_file.read_text())
        except (OSError, ValueError):
            return None
        return pid if _comm(pid) == "sshd" and str(self._folder) in _command_line(pid) else None

    def _lay_out(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        self._folder.chmod(0o755)
        key = self._folder / "host_key"
        write_private(key, self._host_key)
        os.chown(key, self._account.pw_uid, self._account.pw_gid)
        # sshd's login user can't reach a checkout below a closed home: the relay is copied beside its configuration.
        source, relay = binary("shale-join").read_bytes(), self._relay
        if not relay.exists() or relay.read_bytes() != source:
            write_private(relay, source, 0o755)
        if not (self._folder / "authorized_keys").exists():
            self.allow(())
        write_private(self._folder / "sshd_config", self._config().encode(), 0o644)

    def _config(self) -> str:
        listen = f"[{self._host}]" if ":" in self._host else self._host
        return f"""\
# Written by Shale's provider daemon; changes are lost.
ListenAddress {listen}:{self._port}
HostKey {self._folder}/host_key
PidFile none
AuthorizedKeysFile {self._folder}/authorized_keys
AllowUsers {self.user}
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PermitRootLogin {"forced-commands-only" if self._account.pw_uid == 0 else "no"}
AllowTcpForwarding local
AllowStreamLocalForwarding no
AllowAgentForwarding no
X11Forwarding no
PermitTunnel no
PermitUserRC no
PermitUserEnvironment no
PermitTTY no
GatewayPorts no
MaxAuthTries 3
MaxStartups 64:30:256
MaxSessions 64
LoginGraceTime 20
ClientAliveInterval 15
ClientAliveCountMax 8
UseDNS no
PrintMotd no
LogLevel INFO
"""

    def _check_port(self) -> None:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._host, self._port))
            except OSError as error:
                raise ConfigError(
                    f"port {self._port} for the gateway is not free ({error.strerror})",
                    "set listen.gateway_port to another one, or stop what uses it",
                ) from None

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(self._host, self._port), 2)
        except (OSError, TimeoutError):
            return False
        try:
            return (await asyncio.wait_for(reader.readline(), 5)).startswith(b"SSH-2.0-")
        except (OSError, TimeoutError):
            return False
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def gateway_folder(home: Path, provider: str) -> Path:
    """Where a gateway keeps its files: with root, a place that its unprivileged user can reach."""
    return Path("/var/lib/shale") / provider[2:10].lower() if os.getuid() == 0 else home / "gateway"


def _account() -> pwd.struct_passwd:
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    try:
        return pwd.getpwnam(GATEWAY_USER)
    except KeyError:
        raise ConfigError(f"there is no user {GATEWAY_USER}", "run shale provider init") from None


async def ensure_gateway_user() -> bool:
    """With root, make the system user that sshd runs as. Returns whether it was made now."""
    from shale.process import run

    if os.getuid() != 0:
        return False
    try:
        pwd.getpwnam(GATEWAY_USER)
    except KeyError:
        await run(
            ["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/sh",
             "--user-group", "--password", "*", GATEWAY_USER]
        )  # fmt: skip
        return True
    return False


async def _gone(pid: int) -> None:
    """Return when the process is gone; it is killed when it takes too long."""
    if not await _exited(pid, 10):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def _exited(pid: int, seconds: float) -> bool:
    """Whether the process, which needn't be our child, ends within that time: an event of its pidfd, not a poll."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return True
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def note() -> None:
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(descriptor, note)
    try:
        await asyncio.wait_for(ended, seconds)
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return True


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def _children(pid: int) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [child for child in pids if _parent(child) == pid]
