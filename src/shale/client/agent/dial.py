"""Dial: how a session reaches its lease's meter: by ssh to the gateway, whose forced command joins the meter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shale.errors import ConfigError, Unavailable
from shale.process import put_down
from shale.tunnel.link import Link
from shale.tunnel.messages import MAX_LINE

HangUp = Callable[[], Awaitable[None]]
"""Ends the connection and returns when nothing of it is left."""

_LEAVE_SECONDS = 5.0


class Dial(Protocol):
    """Connects to the gateway of that name in the ssh config.

    Raises Unavailable when it can't now, ConfigError when this machine never can.
    """

    async def __call__(self, gateway: str) -> tuple[Link, HangUp]: ...


@dataclass(frozen=True, slots=True)
class SshDial:
    """Plain ssh with Shale's config: it pins the gateway's host key, and shares the connection with the user's own."""

    ssh_config: Path

    async def __call__(self, gateway: str) -> tuple[Link, HangUp]:
        try:
            process = await asyncio.create_subprocess_exec(
                "ssh",
                "-F",
                str(self.ssh_config),
                "-o",
                "ControlMaster=auto",
                "-T",
                gateway,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=MAX_LINE,
            )
        except FileNotFoundError:
            raise ConfigError("ssh is not installed", "install the OpenSSH client") from None
        except OSError as error:
            raise Unavailable(f"ssh does not start ({error.strerror})", "look at the machine's load") from None
        assert process.stdin is not None, "asked for pipes"
        assert process.stdout is not None, "asked for pipes"
        link = Link(process.stdout, process.stdin)

        async def hang_up() -> None:
            link.close()
            await put_down(process, _LEAVE_SECONDS)

        return link, hang_up
