"""SSH liveness: is the container's SSH server there, and how long until it speaks, by the client's own clock.

It opens a channel through the gateway to the server and reads its banner (RFC 4253, section 4.2): that needs neither
the user's key nor anything that the container could answer for the server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from shale.process import put_down
from shale.quality.hookspecs import Probe, Session, impl
from shale.quality.verdict import Status, Verdict

_SLOW_MILLIS = 2000
_BANNER_BYTES = 255


class SshLiveness:
    """See the module."""

    name = "ssh-liveness"
    interval = 10.0
    timeout = 15.0

    async def run(self, session: Session) -> Verdict:
        address = f"[{session.address}]" if ":" in session.address else session.address
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            "ssh",
            "-F",
            str(session.ssh_config),
            "-W",
            f"{address}:{session.port}",
            session.gateway,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None, "asked for a pipe"
            # The first bytes tell; whoever sends more, or never ends the line, gains nothing.
            banner = await process.stdout.read(_BANNER_BYTES)
            micros = int((time.monotonic() - began) * 1e6)
        finally:
            await put_down(process)
        now = int(time.time())
        if not banner.startswith(b"SSH-2.0-"):
            return Verdict(self.name, Status.FAIL, "the container's SSH server does not answer", now)
        status = Status.OK if micros < _SLOW_MILLIS * 1000 else Status.WARN
        return Verdict(self.name, status, f"answered in {micros / 1000:.1f} ms", now, {"rtt_us": micros})


@impl
def shale_probes() -> Sequence[Probe]:
    return [SshLiveness()]
