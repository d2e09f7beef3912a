"""Meter sockets: one Unix socket a lease, which the gateway's forced command joins; the newest connection counts."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from shale.errors import ConfigError
from shale.tunnel.link import Link
from shale.tunnel.messages import MAX_LINE
from shale.units import LeaseId

OnLink = Callable[[Link, int], Awaitable[None]]
"""Called for each connection with its link and the pid of the joined command; the link is closed when it returns."""

_SEND_SECONDS = 5.0
"""A client that takes nothing for this long is gone: the meter, which serves unpaid meanwhile, waits no longer."""


class MeterSockets:
    """The sockets under `folder`, which group `gid` may connect to."""

    def __init__(self, folder: Path, gid: int) -> None:
        self._folder = folder
        self._gid = gid
        self._servers: dict[LeaseId, asyncio.Server] = {}

    def path(self, lease: LeaseId) -> Path:
        # A socket's path holds at most 107 bytes: 16 hex digits of the lease id are enough to be unique here.
        return self._folder / lease[2:18]

    async def open(self, lease: LeaseId, on_link: OnLink) -> Path:
        """Listen for one lease. Returns the socket's path."""
        await self.close(lease)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        os.chown(self._folder, -1, self._gid)
        self._folder.chmod(0o750)
        path = self.path(lease)
        if len(os.fsencode(path)) > 107:
            raise ConfigError(f"the path {path} is too long for a socket", "set SHALE_HOME to a shorter one")

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await on_link(Link(reader, writer, _SEND_SECONDS), _peer_pid(writer))
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(serve, path, limit=MAX_LINE)
        os.chown(path, -1, self._gid)
        path.chmod(0o660)
        self._servers[lease] = server
        return path

    async def close(self, lease: LeaseId) -> None:
        """Stop listening for a lease and remove its socket; none is fine."""
        server = self._servers.pop(lease, None)
        if server is not None:
            server.close()
        self.path(lease).unlink(missing_ok=True)

    async def close_all(self) -> None:
        for lease in list(self._servers):
            await self.close(lease)


def _peer_pid(writer: asyncio.StreamWriter) -> int:
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, _uid, _gid = struct.unpack("3i", raw)
    return int(pid)
