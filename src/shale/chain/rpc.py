"""Rpc: bounded JSON-RPC over HTTP to a chain's node; a node is another party, however near it stands."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from shale.errors import InputRefused, Unavailable
from shale.wire import read_json

MAX_ANSWER = 8 << 20
MAX_ERROR = 100_000
"""Characters of a node's error that are looked at: Lotus puts a revert's data into its text."""
SECONDS = 20.0
"""Of silence, in connecting, sending or receiving."""
ANSWER_SECONDS = 60.0
"""For a whole answer: one that goes on byte by byte is given up, however little silence is in it."""
ATTEMPTS = 5
"""Of a read, before its failure is told: some seconds in all, more if the node asks for them."""
RETRY_SECONDS = 30.0
"""After so long a failure isn't followed by another attempt: a node that hangs is told of in time."""
_PAUSE = 0.2
_MAX_PAUSE = 10.0
_BUSY = (429, 502, 503, 504)
"""What a gateway answers in place of its node, when it is overrun or being replaced."""
_LARGE = 1 << 20


class Rpc:
    """One node. Every failure to answer properly is `Unavailable`; an answer that says no is `NodeError`."""

    def __init__(
        self,
        url: str,
        *,
        most: int = MAX_ANSWER,
        attempts: int = 1,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """`most` is the largest answer that is read, in bytes; `attempts` are those of a call that only reads."""
        self.url = checked_url(url)
        self._most = most
        self._attempts = attempts
        self._pause = pause
        self._answer_seconds = answer_seconds
        self._local = urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")
        # A proxy of the environment is for the world outside, not for the node on this machine.
        self._client = httpx.AsyncClient(timeout=SECONDS, trust_env=not self._local)

    def __repr__(self) -> str:
        return f"Rpc({self.place})"

    @property
    def place(self) -> str:
        return place_of(self.url)

    async def call(self, method: str, *params: Any) -> Any:
        """The result of a call that only reads: where the node is down or overrun, it is asked again, a few times.

        Raises NodeError when the node says no.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + RETRY_SECONDS
        for attempt in range(1, self._attempts + 1):
            try:
                return await self.call_once(method, *params)
            except _Busy as busy:
                if attempt == self._attempts or clock() >= until:
                    raise
                wait = busy.wait or _PAUSE * 2 ** (attempt - 1) * random.uniform(1, 1.5)
            await self._pause(min(wait, _MAX_PAUSE))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def call_once(self, method: str, *params: Any, most: int | None = None) -> Any:
        """The result of one call, asked once: what changes something is never repeated blindly.

        `most` is the largest answer that is read here, in bytes. Raises TooMuch for a larger one.
        """
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        try:
            async with asyncio.timeout(self._answer_seconds):
                data = await self._post(json.dumps(request).encode(), most or self._most)
            # A large one takes seconds, in which the caller's loop has others to serve.
            answer = read_json(data) if len(data) < _LARGE else await asyncio.to_thread(read_json, data)
        except TimeoutError:
            told = f"the node at {self.place} has not answered in full after {self._answer_seconds:g} s"
            raise _Busy(told, "try again later, or use another node") from None
        except ValueError:
            answer = None
        if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
            raise self._node_error(answer["error"])
        if not isinstance(answer, dict) or "result" not in answer:
            raise Unavailable(f"what answers at {self.place} is not a chain's node", "check the RPC URL")
        return answer["result"]

    def _node_error(self, raw: dict[str, Any]) -> Unavailable:
        text = str(raw.get("message"))[:MAX_ERROR]
        if raw.get("code") == 429 or "rate limit" in text.lower() or "too many requests" in text.lower():
            return _Busy(f"the node at {self.place} is asked too often", "try again later, or use another node")
        data = raw.get("data")
        return NodeError(text, data[:MAX_ERROR] if isinstance(data, str) else "")

    async def _post(self, body: bytes, most: int) -> bytes:
        """The answer to a JSON-RPC request, at most `most` bytes."""
        headers = {"Content-Type": "application/json"}
        try:
            async with self._client.stream("POST", self.url, content=body, headers=headers) as response:
                answer = bytearray()
                async for chunk in response.aiter_bytes():
                    answer += chunk
                    if len(answer) > most:
                        raise TooMuch(f"the node at {self.place} answers too much", "use another node")
                # Lotus and anvil answer errors of the call with a status of 4xx or 5xx and a JSON body.
                if response.status_code in _BUSY or (response.status_code >= 400 and not answer.startswith(b"{")):
                    message = f"the node at {self.place} answers with status {response.status_code}"
                    hint = "check the network's RPC URL (shale network show)"
                    if response.status_code in _BUSY:
                        raise _Busy(message, "try again later", _seconds(response.headers.get("Retry-After")))
                    raise Unavailable(message, hint)
        except httpx.HTTPError as error:
            message = f"the chain's node at {self.place} does not answer ({type(error).__name__})"
            hint = "start it (shale chain up) or check the network's RPC URL"
            if self._local and isinstance(error, httpx.ConnectError):
                raise Unavailable(message, hint) from None  # nothing listens on this machine: that is all there is
            raise _Busy(message, hint) from None
        return bytes(answer)

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
    """The node answered a call with an error of its own; `data` is what a contract's revert says, in hex, or empty."""

    def __init__(self, message: str, data: str = "") -> None:
        super().__init__(message)
        self.data = data


class TooMuch(Unavailable):
    """The answer is larger than any that is read."""


class _Busy(Unavailable):
    """The node can't answer just now. `wait` is how many seconds it asks for; 0 if it doesn't say."""

    def __init__(self, message: str, hint: str, wait: float = 0.0) -> None:
        super().__init__(message, hint)
        self.wait = wait


def _seconds(raw: str | None) -> float:
    """A Retry-After in seconds; a date, or nonsense, counts as not said."""
    try:
        return max(0.0, min(float(raw or 0), _MAX_PAUSE))
    except ValueError:
        return 0.0


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
