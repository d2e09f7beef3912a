"""Rpc: bounded JSON-RPC over HTTP to a chain's node; a node is another party, however near it stands."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import httpx

from shale.errors import InputRefused, Unavailable
from shale.wire import read_json

MAX_ANSWER = 8 << 20
SECONDS = 20.0
_LARGE = 1 << 20


class Rpc:
    """One node. Every failure to answer properly is `Unavailable`; an answer that says no is `NodeError`."""

    def __init__(self, url: str, *, most: int = MAX_ANSWER) -> None:
        """`most` is the largest answer that is read, in bytes."""
        self.url = checked_url(url)
        self._most = most
        local = urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")
        # A proxy of the environment is for the world outside, not for the node on this machine.
        self._client = httpx.AsyncClient(timeout=SECONDS, trust_env=not local)

    def __repr__(self) -> str:
        return f"Rpc({self.place})"

    @property
    def place(self) -> str:
        return place_of(self.url)

    async def post(self, body: bytes) -> bytes:
        """The answer to a JSON-RPC request, at most `most` bytes."""
        headers = {"Content-Type": "application/json"}
        try:
            async with self._client.stream("POST", self.url, content=body, headers=headers) as response:
                answer = bytearray()
                async for chunk in response.aiter_bytes():
                    answer += chunk
                    if len(answer) > self._most:
                        raise Unavailable(f"the node at {self.place} answers too much", "use another node")
                # Lotus and anvil answer errors of the call with a status of 4xx or 5xx and a JSON body.
                if response.status_code >= 400 and not answer.startswith(b"{"):
                    raise Unavailable(
                        f"the node at {self.place} answers with status {response.status_code}",
                        "check the network's RPC URL (shale network show)",
                    )
        except httpx.HTTPError as error:
            raise Unavailable(
                f"the chain's node at {self.place} does not answer ({type(error).__name__})",
                "start it (shale chain up) or check the network's RPC URL",
            ) from None
        return bytes(answer)

    async def call(self, method: str, *params: Any) -> Any:
        """The result of one call. Raises NodeError when the node says no."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        try:
            data = await self.post(json.dumps(request).encode())
            # A large one takes seconds, in which the caller's loop has others to serve.
            answer = read_json(data) if len(data) < _LARGE else await asyncio.to_thread(read_json, data)
        except ValueError:
            answer = None
        if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
            raise NodeError(str(answer["error"].get("message"))[:300])
        if not isinstance(answer, dict) or "result" not in answer:
            raise Unavailable(f"what answers at {self.place} is not a chain's node", "check the RPC URL")
        return answer["result"]

    async def number(self, method: str, *params: Any) -> int:
        """The result of a call that answers with a quantity."""
        raw = await self.call(method, *params)
        try:
            return int(raw, 16)
        except (TypeError, ValueError):
            raise Unavailable(f"what answers at {self.place} is not a chain's node", "check the RPC URL") from None

    async def close(self) -> None:
        await self._client.aclose()


class NodeError(Unavailable):
    """The node answered a call with an error of its own."""


def place_of(url: str) -> str:
    """The URL without what may be secret in it: user, path and query often hold an access token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def checked_url(raw: object) -> str:
    """An RPC URL. Raises InputRefused unless it is HTTP or HTTPS with a host, of at most 512 characters."""
    try:
        if isinstance(raw, str) and len(raw) <= 512 and raw.isprintable() and " " not in raw:
            parts = urlsplit(raw)
            if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
                return raw
    except ValueError:
        pass
    raise InputRefused("that is not an RPC URL", "give one like http://127.0.0.1:8545 or https://host/rpc/v1")
