"""A server of proving keys that a test makes break off, lie, redirect or never end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class KeyServer:
    """What it serves, and how; to be changed between requests."""

    def __init__(self) -> None:
        self.url = ""
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.cuts: list[int | None] = []
        """After how many bytes of a body the next answers break off; None for a whole one, as later ones are."""
        self.piece = 0
        """How many bytes of a range are sent at a time, where not all that was asked for is."""
        self.says: int | None = None
        """The length that answers claim, in place of their own."""
        self.endless = False
        self.chunked = False
        self.status = 0
        """Answered in place of a file."""
        self.hops = 0
        """So many redirects come before each answer."""
        self.held: threading.Event | None = None
        """What answers wait for, once they have broken off, before the connection goes."""
        self.asked: list[tuple[str, str | None]] = []
        """The names of the files that were asked for, with their Range."""
        self.sent = 0
        """Bytes of bodies."""


@contextmanager
def key_server() -> Iterator[KeyServer]:
    plan = KeyServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hops = self.path.count("/hop")
            if hops < plan.hops:
                return self._head(302, {"Location": "/hop" + self.path, "Content-Length": "0"})
            name, asked = self.path.partition("?")[0].rpartition("/")[2], self.headers["Range"]
            plan.asked.append((name, asked))
            if plan.status or name not in plan.files:
                return self._head(plan.status or 404, {"Content-Length": "0"})
            content = plan.files[name]
            first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and plan.ranges else 0
            if first and first >= len(content):
                return self._head(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"})
            end = first + plan.piece if first and plan.piece else len(content)
            body = content[first:end]
            headers = {"Content-Length": str(len(body) if plan.says is None else plan.says)}
            if plan.chunked or plan.endless:
                headers = {"Transfer-Encoding": "chunked"}
            if first:
                headers["Content-Range"] = f"bytes {first}-{first + len(body) - 1}/{len(content)}"
            self._head(206 if first else 200, headers)
            cut = plan.cuts.pop(0) if plan.cuts else None
            with suppress(OSError):  # the client has gone
                self._send(body[:cut], whole=cut is None)
                if cut is not None and plan.held is not None:
                    plan.held.wait()
            return None

        def _send(self, body: bytes, *, whole: bool) -> None:
            if "chunked" not in self._framing:
                self.wfile.write(body)
                plan.sent += len(body)
                return
            while True:
                self.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
                plan.sent += len(body)
                if not plan.endless:
                    break
            if whole:
                self.wfile.write(b"0\r\n\r\n")

        def _head(self, status: int, headers: dict[str, str]) -> None:
            self._framing = headers.get("Transfer-Encoding", "")
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            self.wfile.write(f"HTTP/1.1 {status} x\r\nConnection: close\r\n{lines}\r\n".encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        plan.url = f"http://127.0.0.1:{server.server_address[1]}/keys"
        try:
            yield plan
        finally:
            if plan.held is not None:
                plan.held.set()
            server.shutdown()
            thread.join()
