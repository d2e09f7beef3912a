"""The agent's process: `python -m shale.client.agent [FD]`; it writes a byte to FD once it can be reached."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from shale.client.agent.service import Agent
from shale.errors import Closed
from shale.paths import Home


def main(descriptor: int | None) -> int:
    """Run the agent in the foreground; 0 when it ended in order, 1 when another one runs."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)

    def ready() -> None:
        if descriptor is not None:
            with suppress(OSError):
                os.write(descriptor, b"\n")
                os.close(descriptor)

    try:
        asyncio.run(_serve(ready))
    except Closed as error:
        logging.getLogger("shale.agent").info("%s", error)
        return 1
    return 0


async def _serve(ready: Callable[[], None]) -> None:
    await Agent(Home.default()).serve(ready)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else None))
