"""Ssh config: the file by which plain ssh, scp and rsync find a lease: `ssh shale-<name>`; every host key is pinned.

ssh reaches the container through one shared connection to the provider's gateway, on which the agent also pays.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from shale.client.rental import Rental
from shale.errors import ConfigError
from shale.paths import Home, private_dir, write_private

_CONTROL_SUFFIX = len("/cm-") + 16 + len(".0123456789abcdef")
"""ssh binds the socket under a longer name first; the whole must fit into a Unix socket's address."""
_CONTROL_LIMIT = 104


def ssh_dir(home: Home) -> Path:
    return home.client / "ssh"


def config_path(home: Home) -> Path:
    return ssh_dir(home) / "config"


def known_hosts_path(home: Home) -> Path:
    return ssh_dir(home) / "known_hosts"


def write_ssh_config(home: Home, rentals: Iterable[Rental]) -> Path:
    """Write the file anew from the leases that can be entered: living ones whose shell is known."""
    open_ones = [rental for rental in rentals if not rental.ended and rental.shell is not None]
    private_dir(ssh_dir(home))
    hosts = "".join(
        f"{rental.host} {rental.acceptance.host_key}\nshale-gateway-{rental.name} {rental.gateway.host_key}\n"
        for rental in open_ones
    )
    # known_hosts first: a host must never be in the config before its key is pinned.
    write_private(known_hosts_path(home), hosts.encode())
    text = "# Written by shale; changes are lost.\n" + "".join(_hosts(home, rental) for rental in open_ones)
    write_private(config_path(home), text.encode())
    return config_path(home)


def is_written(home: Home, name: str) -> bool:
    """Whether a lease of that name can be entered, as far as the file says."""
    return f"Host shale-{name}" in _lines(config_path(home))


def _hosts(home: Home, rental: Rental) -> str:
    shell, gateway = rental.shell, rental.gateway
    assert shell is not None, "only leases with a shell are written"
    through = f"ssh -F {shlex.quote(str(config_path(home)))}".replace("%", "%%")
    identity = f"    IdentityFile {_path(Path(rental.ssh_key))}\n    IdentitiesOnly yes\n" if rental.ssh_key else ""
    known = (
        f"    UserKnownHostsFile {_path(known_hosts_path(home))}\n"
        "    GlobalKnownHostsFile /dev/null\n"
        "    StrictHostKeyChecking yes\n"
        "    CheckHostIP no\n"
        "    UpdateHostKeys no\n"
    )
    return (
        f"\nHost {rental.host}\n"
        f"    HostName {shell.host}\n"
        f"    Port {shell.port}\n"
        f"    User {shell.user}\n"
        f"{identity}"
        f"    HostKeyAlias {rental.host}\n"
        f"{known}"
        "    Ciphers ^aes128-gcm@openssh.com\n"
        f"    ProxyCommand {through} -W [%h]:%p shale-gateway-{rental.name}\n"
        "    ServerAliveInterval 15\n"
        "    ServerAliveCountMax 8\n"
        f"\nHost shale-gateway-{rental.name}\n"
        f"    HostName {gateway.host}\n"
        f"    Port {gateway.port}\n"
        f"    User {gateway.user}\n"
        f"    IdentityFile {_path(home.client / 'leases' / rental.name / 'gateway_key')}\n"
        "    IdentitiesOnly yes\n"
        "    IdentityAgent none\n"
        "    PreferredAuthentications publickey\n"
        "    BatchMode yes\n"
        f"    HostKeyAlias shale-gateway-{rental.name}\n"
        f"{known}"
        "    Ciphers ^aes128-gcm@openssh.com\n"
        f"{_multiplexing(home, rental)}"
        "    ForwardAgent no\n"
        "    ForwardX11 no\n"
        "    ConnectTimeout 15\n"
        "    ServerAliveInterval 15\n"
        "    ServerAliveCountMax 8\n"
        "    LogLevel ERROR\n"
    )


def _multiplexing(home: Home, rental: Rental) -> str:
    """One connection for all of a lease; where the home's path is too long for a socket, each ssh makes its own.

    It is the agent's, which alone asks to be its master: were a user's ssh to ask at the same moment, one of the two
    would complain that the socket is there. Named by the lease, not by ssh's %C: that is the same for all leases at one
    gateway, each with its own rights.
    """
    folder = ssh_dir(home)
    if len(os.fsencode(folder)) + _CONTROL_SUFFIX > _CONTROL_LIMIT:
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        folder = Path(runtime)
        if not runtime or len(os.fsencode(folder)) + _CONTROL_SUFFIX > _CONTROL_LIMIT:
            return ""
    return f"    ControlMaster no\n    ControlPath {_path(folder / f'cm-{rental.id[2:18]}')}\n    ControlPersist 10m\n"


def _path(path: Path) -> str:
    """A path as a value of ssh's configuration: quoted, its percent signs not taken for tokens."""
    text = str(path)
    if '"' in text or "\n" in text:
        raise ConfigError(f"ssh can't take the path {text!r}", "choose another --home or --ssh-key")
    return '"' + text.replace("%", "%%") + '"'


def user_config() -> Path:
    """The user's own configuration; a link is followed, so that dotfiles stay where they are."""
    path = Path.home() / ".ssh" / "config"
    return path.resolve() if path.is_symlink() else path


def include_line(home: Home) -> str:
    return f"Include {_path(config_path(home))}"


def is_installed(home: Home) -> bool:
    return include_line(home) in _lines(user_config())


def install(home: Home) -> bool:
    """Add one Include line at the top of ~/.ssh/config. Returns False if it was there."""
    if is_installed(home):
        return False
    # At the top: below a Host line it would count for that host only.
    _write_user([include_line(home), *_lines(user_config())])
    return True


def remove(home: Home) -> bool:
    """Take the Include line out again. Returns False if it wasn't there."""
    lines = _lines(user_config())
    kept = [line for line in lines if line != include_line(home)]
    if kept == lines:
        return False
    _write_user(kept)
    return True


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read ({error})", "mend it, or use ssh -F") from None


def _write_user(lines: list[str]) -> None:
    path = user_config()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        write_private(path, "".join(line + "\n" for line in lines).encode(), mode)
    except OSError as error:
        raise ConfigError(f"{path} can't be written ({error.strerror})", "use ssh -F, or mend its mode") from None
