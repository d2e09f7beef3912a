"""Link: a stream of tunnel messages over a pair of byte streams, bounded in line length and in waiting."""

from __future__ import annotations

import asyncio
from typing import Protocol

from shale.errors import Closed, InputRefused
from shale.tunnel.messages import MAX_LINE, Message, decode, encode


class ByteWriter(Protocol):
    """What a link needs of an asyncio stream writer."""

    def write(self, data: bytes) -> None: ...
    async def drain(self) -> None: ...
    def close(self) -> None: ...


class Link:
    """Sends and receives messages. `receive` raises Closed at the end of the stream, InputRefused on junk."""

    def __init__(self, reader: asyncio.StreamReader, writer: ByteWriter, send_timeout: float = 30.0) -> None:
        self._reader = reader
        self._writer = writer
        self._send_timeout = send_timeout
        self._sending = asyncio.Lock()

    async def send(self, message: Message) -> None:
        """Raises Closed when the other side is gone or takes nothing for `send_timeout` seconds."""
        async with self._sending:
            try:
                self._writer.write(encode(message))
                await asyncio.wait_for(self._writer.drain(), self._send_timeout)
            except (OSError, TimeoutError) as error:
                raise Closed(f"the tunnel is cut ({type(error).__name__})") from None

    async def receive(self) -> Message:
        try:
            line = await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise InputRefused("a tunnel message is too long", f"keep it within {MAX_LINE} bytes") from None
        except (asyncio.IncompleteReadError, OSError):
            raise Closed("the tunnel is closed") from None
        return decode(line)

    def close(self) -> None:
        self._writer.close()
