"""The connection to a Docker Engine, and its failures as errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from shale.errors import Closed, ConfigError, Refused, Unavailable

_NOT_CONNECTED = 900
"""aiodocker's status for an engine that could not be reached."""
_START_IT = "start it (make engine), or set DOCKER_HOST"


class Connection:
    """One engine, reached when it is first needed: by `url`, else as the docker command would find it."""

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._docker: Docker | None = None
        self._connector: aiohttp.BaseConnector | None = None

    async def docker(self) -> Docker:
        """The client. Raises ConfigError when nothing says where an engine is."""
        if self._docker is None:
            timeout = aiohttp.ClientTimeout(total=60, sock_connect=5)
            try:
                self._docker = found = Docker(self._url, timeout=timeout)
            except (AssertionError, ValueError, OSError, DockerError):
                raise ConfigError("no Docker Engine was found", _START_IT) from None
            if isinstance(found.connector, aiohttp.UnixConnector):
                # A wait for an exit holds a connection as long as its lease: no limit on their number.
                self._connector = aiohttp.UnixConnector(found.connector.path, limit=0)
                self._docker = Docker("unix://localhost", connector=self._connector, timeout=timeout)
                await found.close()
        return self._docker

    async def close(self) -> None:
        docker, self._docker = self._docker, None
        connector, self._connector = self._connector, None
        if docker is not None:
            await docker.close()
        if connector is not None:
            await connector.close()


@contextmanager
def engine_errors(doing: str, missing: str = "the container is gone") -> Iterator[None]:
    """What aiodocker raises, as ours: Unavailable, Closed (`missing`), or Refused in the engine's words."""
    try:
        yield
    except DockerError as error:
        if error.status == _NOT_CONNECTED:
            raise _unreachable(error) from None
        if error.status == 404:
            raise Closed(missing) from None
        raise Refused(f"the Docker Engine did not {doing}", one_line(error.message)) from None
    except (aiohttp.ClientError, TimeoutError) as error:
        reason = one_line(str(error)) or type(error).__name__
        raise Unavailable(f"the Docker Engine did not {doing} ({reason})", "try again") from None


def _unreachable(error: DockerError) -> ConfigError | Unavailable:
    if "Permission denied" in error.message:
        return ConfigError("this user may not use the Docker Engine", "join the group docker and log in again")
    return Unavailable("the Docker Engine does not answer", _START_IT)


def one_line(text: Any) -> str:
    """The last line with something on it, printable and short: it comes from a container or the engine."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return "".join(char if char.isprintable() else "?" for char in lines[-1])[:300] if lines else ""
