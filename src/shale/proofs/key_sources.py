"""Key sources: where proving keys come from: a folder, or a server, which may break off, lie, or never end."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit, urlunsplit

import httpx

from shale.errors import ConfigError, InputRefused, Refused, Unavailable
from shale.proofs.key_files import open_regular

MAX_HOPS = 5
SECONDS = 20.0
"""For an answer's head, and for each further piece of it."""
_CHUNK = 1 << 20
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "shale"}
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.ASCII)
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)
_HINT = "check the source"


class Broken(Unavailable):
    """It broke off, or fails in passing: to be asked again."""


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of a file from `start` on; `total` is what the source says that the whole file has, or None."""

    start: int
    total: int | None
    chunks: AsyncIterator[bytes]


class KeySource(Protocol):
    """Where files are fetched from, by name. `place` says where that is, without what may be secret."""

    @property
    def place(self) -> str: ...

    def open(self, name: str, offset: int) -> AbstractAsyncContextManager[Body]:
        """The file from `offset` on, or from 0 where the source can't do that.

        Raises Refused when the source hasn't got it or is not to be believed, and Broken when it may come yet, in the
        body too.
        """
        ...


def source_of(text: str) -> KeySource:
    """What the text names: a folder, or the http(s) URL under which the files lie. Raises InputRefused."""
    if re.match(r"https?://", text, re.IGNORECASE):
        return Server(text)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        raise InputRefused(f"{text.partition('://')[0]} URLs are not read", "give a folder, or an http or https URL")
    return Folder(Path(text))


class Folder:
    """A folder on this machine, or one that is mounted."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise InputRefused(f"{path} is not a folder", "give the folder, or the URL, that holds the keys' files")
        self._path = path

    @property
    def place(self) -> str:
        return str(self._path)

    @asynccontextmanager
    async def open(self, name: str, offset: int) -> AsyncIterator[Body]:
        path = self._path / name
        try:
            handle = open_regular(path)
        except FileNotFoundError:
            raise _absent(name, self.place) from None
        except OSError as error:
            raise ConfigError(f"{path} can't be read ({error.strerror})", _HINT) from None
        if handle is None:
            raise Refused(f"{path} is not a file", _HINT)
        with handle:
            total = os.fstat(handle.fileno()).st_size
            start = offset if offset <= total else 0
            handle.seek(start)

            async def chunks() -> AsyncIterator[bytes]:
                try:
                    while chunk := await asyncio.to_thread(handle.read, _CHUNK):
                        yield chunk
                except OSError as error:
                    raise ConfigError(f"{path} can't be read ({error.strerror})", _HINT) from None

            yield Body(start, total, chunks())


class Server:
    """The files under an http(s) URL, whose query, if it has one, goes with each of them."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`transport` replaces the network, as httpx offers it. Raises InputRefused for a URL that is none."""
        try:
            self._parts = urlsplit(url)
            if not self._parts.hostname or self._parts.port == 0 or not url.isprintable() or len(url) > 2048:
                raise ValueError
        except ValueError:
            raise InputRefused("that is no http URL", "write https://HOST/FOLDER") from None
        if "@" in self._parts.netloc:
            raise InputRefused("a URL with a password in it is visible to every process", "take it out")
        self._transport = transport

    @property
    def place(self) -> str:
        return f"{self._parts.scheme}://{self._parts.netloc}{self._parts.path.rstrip('/')}"[:300]

    @asynccontextmanager
    async def open(self, name: str, offset: int) -> AsyncIterator[Body]:
        parts = self._parts
        url = urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/{quote(name)}", parts.query, ""))
        headers = _HEADERS | ({"Range": f"bytes={offset}-"} if offset else {})
        # A proxy of the environment is for the world outside, not for a server on this machine.
        local = parts.hostname in ("127.0.0.1", "::1", "localhost")
        async with httpx.AsyncClient(
            timeout=SECONDS, headers=headers, trust_env=not local, transport=self._transport
        ) as client:
            try:
                async with asyncio.timeout(SECONDS):
                    answer = await _followed(client, url)
            except (httpx.HTTPError, TimeoutError) as error:
                raise Broken(f"{self.place} does not answer ({type(error).__name__})", _HINT) from None
            except httpx.InvalidURL:
                raise Refused(f"{self.place} redirects to what is no URL", _HINT) from None
            except Refused as error:
                raise Refused(f"{self.place}: {error.message}", _HINT) from None
            try:
                yield self._read(answer, name, offset)
            finally:
                await answer.aclose()

    def _read(self, answer: httpx.Response, name: str, offset: int) -> Body:
        status, headers = answer.status_code, answer.headers
        if status in (404, 410):
            raise _absent(name, self.place)
        if status == 429 or (status >= 500 and status != 501):
            raise Broken(f"{self.place} fails with status {status}", "try again later")
        if status == 416 and offset:
            return Body(offset, offset, _nothing())  # nothing lies behind it: the digest tells whether it is whole
        if status not in (200, 206) or (status == 206 and not offset):
            raise Refused(f"{self.place} answers with status {status}, asked for {name}", _HINT)
        if (coding := headers.get("content-encoding", "")) not in ("", "identity"):
            raise Refused(f"{self.place} sends {name} encoded as {coding[:40]!r}, asked for as it is", _HINT)
        chunks = self._chunks(answer, name)
        if status == 200:
            length = headers.get("content-length", "")
            return Body(0, int(length) if _LENGTH.fullmatch(length) else None, chunks)
        told = headers.get("content-range", "")
        found = _RANGE.fullmatch(told)
        if found is None or int(found[1]) != offset:
            raise Refused(f"{self.place} sends another range of {name} than was asked for: {told[:60]!r}", _HINT)
        return Body(offset, None if found[3] == "*" else int(found[3]), chunks)

    async def _chunks(self, answer: httpx.Response, name: str) -> AsyncIterator[bytes]:
        try:
            async for chunk in answer.aiter_raw():
                yield chunk
        except httpx.HTTPError as error:
            raise Broken(f"{self.place} breaks off in {name} ({type(error).__name__})", _HINT) from None


async def _followed(client: httpx.AsyncClient, url: str) -> httpx.Response:
    """The answer, its body unread, after at most so many redirects; none leaves https."""
    request = client.build_request("GET", url)
    for _ in range(MAX_HOPS + 1):
        answer = await client.send(request, stream=True)
        if answer.next_request is None:
            return answer
        await answer.aclose()
        before, request = request.url.scheme, answer.next_request
        if request.url.scheme not in ("http", "https"):
            raise Refused("it redirects to what is no http URL")
        if (before, request.url.scheme) == ("https", "http"):
            raise Refused("it redirects from https to http")
    raise Refused(f"it redirects more than {MAX_HOPS} times")


def _absent(name: str, place: str) -> Refused:
    return Refused(f"{place} has no {name}", "name with --size the sizes that it has, or another source")


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for chunk in nothing:
        yield chunk
