"""Reach: whether the servers that sources are read from answer at all, before anything waits for them for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import httpx

from shale.datasets.served import trusted
from shale.datasets.stamp import innermost
from shale.errors import Unavailable

ATTEMPTS = 3
SECONDS = 10.0
"""Within which the first byte must come, in each attempt."""

Attempt = Callable[[str, int], None]
"""Called with a server and the number of the attempt on it that begins, from 1."""


def server_of(source: str) -> str:
    """The server that a source is read from, without what may be secret of its URL; empty for a file."""
    inner = innermost(source)
    if not inner.startswith(("http://", "https://")):
        return ""
    try:
        parts = urlsplit(inner)
    except ValueError:
        return ""  # its reader says why
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2][:200]}"


def servers_of(sources: Iterable[str]) -> str:
    """The servers behind sources, to be shown; empty when all are files."""
    return ", ".join(dict.fromkeys(filter(None, map(server_of, sources))))[:300]


async def reach(sources: Iterable[str], attempt: Attempt = lambda server, number: None) -> None:
    """Return when each server has sent a first byte, or has said no at once: its reader then says why.

    Raises Unavailable, naming the server, if one takes the request and stays silent.
    """
    urls: dict[str, str] = {}
    for source in sources:
        if server := server_of(source):
            urls.setdefault(server, innermost(source))
    tries = [_reach(server, url, attempt) for server, url in urls.items()]
    for outcome in await asyncio.gather(*tries, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def _reach(server: str, url: str, attempt: Attempt) -> None:
    for number in range(1, ATTEMPTS + 1):
        attempt(server, number)
        try:
            async with asyncio.timeout(SECONDS):
                return await _first_byte(url)
        except (TimeoutError, httpx.TimeoutException):
            continue
        except (httpx.HTTPError, httpx.InvalidURL):
            return None
    raise Unavailable(
        f"{server} takes requests but doesn't answer: {ATTEMPTS} attempts, {SECONDS:g} s each", "check the server"
    )


async def _first_byte(url: str) -> None:
    headers = {"Range": "bytes=0-0", "Accept-Encoding": "identity"}
    async with (
        httpx.AsyncClient(timeout=SECONDS, headers=headers, verify=trusted()) as client,
        client.stream("GET", url) as answer,
    ):
        async for _ in answer.aiter_raw():
            return
