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

_SECONDS = 20.0
"""A name that the engine doesn't know it asks every driver for, one after the other, dead ones too."""
_MISSING, _IN_USE = 404, 409


async def forget_volumes(docker: Docker, names: Sequence[str]) -> None:
    """Let the engine forget these names; one that it doesn't know, or that a container has, is left as it is.

    It is only a name in the engine's list: one that stays takes no room, and is no reason for a lease not to end.
    """
    for name in names:
        with suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(_SECONDS):
                untyped: Any = DockerVolume  # aiodocker has no types for this one
                try:
                    await untyped(docker, name).delete()
                except DockerError as error:
                    if error.status not in (_MISSING, _IN_USE, 500):
                        raise
