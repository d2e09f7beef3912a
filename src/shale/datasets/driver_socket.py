"""The socket of the volume driver: where a Docker Engine looks for it, and only one living process serves it.

Places and specs: https://docs.docker.com/engine/extend/plugin_api/. A socket may also come from systemd, which then
answers the engine while the provider starts (sd_listen_fds(3)).
"""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from shale.errors import ConfigError
from shale.paths import private_dir

SOCKETS = Path("/run/docker/plugins")
SPECS = (Path("/etc/docker/plugins"), Path("/usr/lib/docker/plugins"))
_FIRST_PASSED = 3
"""SD_LISTEN_FDS_START."""
_LONGEST = 107


@contextmanager
def driver_socket(name: str) -> Iterator[socket.socket]:
    """The bound socket of the driver, for the time of the context.

    Raises ConfigError when another process serves it, or the engine would not find it.
    """
    passed = passed_socket(os.environ)
    if passed is not None:
        with passed:
            yield passed
        return
    path = place_of(name)
    if os.geteuid() != 0:
        check_spec_file(name, path)
    with _bound(path, name) as listener:
        yield listener


def place_of(name: str) -> Path:
    """Where this user's driver of that name listens: the same for every provider home, as an engine remembers it."""
    if os.geteuid() == 0:
        return SOCKETS / f"{name}.sock"
    home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    return home / ".cache" / "shale" / "plugins" / f"{name}.sock"


def check_spec_file(name: str, path: Path, specs: tuple[Path, ...] = SPECS) -> None:
    """Raises ConfigError, with the command to run, unless a spec file tells the engine of this socket."""
    address = f"unix://{path}"
    for folder in specs:
        try:
            if (folder / f"{name}.spec").read_text(errors="replace").strip() == address:
                return
        except OSError:
            continue
    folder = specs[0]
    raise ConfigError(
        f"the Docker Engine doesn't know the volume driver {name}",
        f"run once: sudo mkdir -p {folder} && echo {address} | sudo tee {folder}/{name}.spec",
    )


def passed_socket(environment: MutableMapping[str, str]) -> socket.socket | None:
    """The socket that systemd gave to this very process, taken out of the environment; None without one."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = environment.get("LISTEN_FDS", "")
    for key in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environment.pop(key, None)
    mend = "let the socket unit pass one Unix stream socket"
    if count != "1":
        raise ConfigError(f"systemd passed {count or 'no'} sockets", mend)
    try:
        os.set_inheritable(_FIRST_PASSED, False)
        listener = socket.socket(fileno=_FIRST_PASSED)
    except OSError as error:
        raise ConfigError(f"the socket from systemd can't be used ({error.strerror})", mend) from None
    if listener.family != socket.AF_UNIX or listener.type != socket.SOCK_STREAM:
        listener.close()
        raise ConfigError("the socket from systemd is no Unix stream socket", mend)
    return listener


@contextmanager
def _bound(path: Path, name: str) -> Iterator[socket.socket]:
    if len(os.fsencode(path)) > _LONGEST:
        raise ConfigError(f"{path} is too long for a socket", "set docker.volume_driver to a shorter name")
    if os.geteuid() == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
    else:
        private_dir(path.parent)
    if is_served(path):
        raise ConfigError(
            f"another process serves the volume driver {name} ({path})",
            "stop it, or set docker.volume_driver to another name",
        )
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
        listener.listen()  # from here on it isn't stale
    except OSError as error:
        listener.close()
        raise ConfigError(f"no socket at {path} ({error.strerror})", "see who made it, or take another name") from None
    finally:
        os.umask(mask)
    ours = path.lstat().st_ino
    try:
        with listener:
            yield listener
    finally:
        if path.exists() and path.lstat().st_ino == ours:
            path.unlink()


def is_served(path: Path) -> bool:
    """Whether a process answers at this socket. Raises ConfigError for what is no socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return False
        except OSError as error:
            if isinstance(error, ConnectionRefusedError) and path.is_socket():
                return False
            raise ConfigError(
                f"{path} is in the way ({error.strerror or error})", "see what it is, and remove it"
            ) from None
    return True
