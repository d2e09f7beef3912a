"""What a Docker Engine remembers of its drivers' volumes: forgotten when no container has them any more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError
from aiodocker.volumes import DockerVolume

_SECONDS = 10.0
"""A name that the engine doesn't know it asks every driver for, one after the other, dead ones too."""


async def forget_volumes(docker: Docker, names: Sequence[str]) -> None:
    """Let the engine forget these names; one that it doesn't know, or that a container has, is left as it is.

    It is only a name in the engine's list: one that stays takes no room, and is no reason for a lease not to end.
    """
    await asyncio.gather(*(_forget(docker, name) for name in names))


async def _forget(docker: Docker, name: str) -> None:
    untyped: Any = DockerVolume  # aiodocker has no types for this one
    with suppress(TimeoutError, aiohttp.ClientError, DockerError):
        async with asyncio.timeout(_SECONDS):
            await untyped(docker, name).delete()
