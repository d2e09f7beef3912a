"""Lease keys: the files that make a lease's container itself to its client: the host key, and who may come in."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from shale.paths import private_dir, write_private
from shale.provider.identity import SshKey, load_ssh_key
from shale.units import LeaseId


class LeaseKeys:
    """A private folder for each lease."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, lease: LeaseId, host_key: SshKey, authorized: str = "") -> Path:
        """Write the host key, and the client's key if it is given; durable when it returns. Gives their folder."""
        keys = private_dir(self._of(lease))
        write_private(keys / "host_key", host_key.private)
        if authorized:
            write_private(keys / "authorized_keys", (authorized + "\n").encode())
        return keys

    def host_key(self, lease: LeaseId) -> SshKey:
        """The one that was kept. Raises ConfigError when it is gone or broken."""
        return load_ssh_key(self._of(lease) / "host_key")

    def remove(self, lease: LeaseId) -> None:
        keys = self._of(lease)
        with suppress(OSError):
            for name in ("host_key", "authorized_keys"):
                (keys / name).unlink(missing_ok=True)
            keys.rmdir()

    def _of(self, lease: LeaseId) -> Path:
        return self._folder / lease[2:18]
