"""Servers of pieces for tests: one file, by ranges or without."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextmanager
def served(path: Path, *, ranges: bool = True, piece: str = "x") -> Iterator[str]:
    """The URL of a file, under the name `piece`, on a server that serves ranges, or ignores that they are asked for."""
    content = path.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
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
