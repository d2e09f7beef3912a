"""Servers for tests: of one file, by ranges or without; and one that takes a request and says nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextmanager
def served(path: Path, *, ranges: bool = True, piece: str = "x", redirects: int = 0, head: int = 501) -> Iterator[str]:
    """The URL of a file, under the name `piece`, on a server that serves ranges, or ignores that they are asked for.

    It redirects so many times first, and answers HEAD with the status `head`, without a length.
    """
    content = path.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(head)
            self.end_headers()

        def do_GET(self) -> None:
            hops = self.path.count("/from") + 1
            if hops <= redirects:
                self.send_response(302)
                self.send_header("Location", self.path + "/from")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            first, last = 0, len(content) - 1
            if ranges:
                asked = self.headers["Range"].removeprefix("bytes=").split("-")
                first, last = int(asked[0]), min(int(asked[1]), last)
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(last - first + 1))
            self.end_headers()
            self.wfile.write(content[first : last + 1])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/piece/{piece}"
        finally:
            server.shutdown()
            thread.join()


@asynccontextmanager
async def hanging(*, first_byte: bool = False) -> AsyncIterator[str]:
    """The URL of a server that never answers, or of a piece only with its first byte."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if first_byte and b"bytes=0-0\r\n" in head:
            said = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-0/4096\r\nContent-Length: 1\r\n\r\nx"
            writer.write(said.encode())
        await over.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/piece/x"
    finally:
        over.set()
        server.close()


@asynccontextmanager
async def answering(answer: Callable[[str], tuple[int, dict[str, str]]]) -> AsyncIterator[str]:
    """The URL of a server that answers each request's head as `answer` says, with one byte where it names a length."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        status, headers = answer((await reader.readuntil(b"\r\n\r\n")).decode())
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {status} x\r\nConnection: close\r\n{lines}\r\n".encode())
        writer.write(b"x" * int(headers.get("Content-Length", "0")))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/piece/x"
    finally:
        server.close()
