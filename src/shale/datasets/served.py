"""Served: what a server says of a piece when asked for its first byte, by the rules by which the kernel reads it."""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from urllib.parse import urlsplit

import httpx

from shale.errors import Refused, Unavailable

MAX_HOPS = 5
MAX_SIZE = 64 << 30
PAUSES = (0.2, 0.4)
"""Before a server that fails in passing is asked once more."""
_MAX_TAG = 200
_HEADERS = {"Range": "bytes=0-0", "Accept-Encoding": "identity", "User-Agent": "shale"}
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", re.ASCII)
_HINT = "check the server"


async def look(url: str, seconds: float) -> tuple[int, str]:
    """The piece's size and the server's tag of its version, which may be empty; no wait is longer than `seconds`.

    Raises Refused, or Unavailable where it may pass, with what keeps the piece from being read.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise Refused(f"{shown(url)} is not an HTTP URL", "write http://HOST/piece/CID") from None
    if "@" in parts.netloc:
        raise Refused(f"{shown(url)}: a URL with a password in it is visible to every process", "take it out")
    async with httpx.AsyncClient(timeout=seconds, headers=_HEADERS, verify=trusted()) as client:
        for pause in PAUSES:
            try:
                return await _look(client, url)
            except Unavailable:
                await asyncio.sleep(pause)
        return await _look(client, url)


@functools.cache
def trusted() -> ssl.SSLContext:
    """The certificates by which servers are known: read once, which takes longer than to ask a server."""
    return httpx.create_ssl_context()


def shown(source: str) -> str:
    """Without what may be secret: a URL's query, and who asks."""
    return re.sub(r"(https?://)[^/?#]*@", r"\1", source.partition("?")[0])[:300]


async def _look(client: httpx.AsyncClient, url: str) -> tuple[int, str]:
    try:
        request = first = client.build_request("GET", url)
        hops = 0
        while True:
            answer = await client.send(request, stream=True)
            # Its head says all: of a server that ignores the range the whole piece would follow.
            await answer.aclose()
            if answer.next_request is None:
                return _read(answer)
            hops += 1
            request = _checked_hop(first, answer.next_request, hops)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"{shown(url)} does not answer ({type(error).__name__})", _HINT) from None
    except Refused as error:
        raise Refused(f"{shown(url)}: {error.message}", _HINT) from None
    except Unavailable as error:
        raise Unavailable(f"{shown(url)}: {error.message}", _HINT) from None


def _checked_hop(first: httpx.Request, following: httpx.Request, hops: int) -> httpx.Request:
    if following.url.scheme not in ("http", "https"):
        raise Refused("the server redirects to what is no HTTP URL")
    if hops > MAX_HOPS:
        raise Refused(f"more than {MAX_HOPS} redirects")
    if (first.url.scheme, following.url.scheme) == ("https", "http"):
        raise Refused("redirected from https to http")
    return following


def _read(answer: httpx.Response) -> tuple[int, str]:
    status, headers = answer.status_code, answer.headers
    tag = (headers.get("etag") or headers.get("last-modified", ""))[:_MAX_TAG]
    told = headers.get("content-range", "")
    if status == 416 and told == "bytes */0":
        return 0, tag
    if status != 206:
        raise _refusal(status)
    if (coding := headers.get("content-encoding", "")) not in ("", "identity"):
        raise Refused(f"the server sent it encoded as {coding[:40]!r}, asked for as it is")
    if (found := _RANGE.fullmatch(told)) is None:
        raise Refused(f"the server's Content-Range {told[:60]!r} doesn't say how long the piece is")
    first, last, size = map(int, found.groups())
    if (first, last) != (0, 0):
        raise Refused(f"the server sends another range than was asked for: {told[:60]!r}")
    if not 1 <= size <= MAX_SIZE:
        raise Refused(f"the server says that the piece has {size} bytes, pieces have at most {MAX_SIZE}")
    return size, tag


def _refusal(status: int) -> Refused | Unavailable:
    if status == 200:
        return Refused("the server ignores Range: pieces are read by ranges")
    if status in (404, 410):
        return Refused(f"the server has no such piece ({status})")
    if status in (401, 403):
        return Refused(f"the server refuses it ({status})")
    if status == 429 or (status >= 500 and status != 501):
        return Unavailable(f"the server fails ({status})")
    return Refused(f"the server answers {status}, not 206")
