"""Api: a provider's HTTP door as a client uses it (docs/protocol.md, section 8): every answer bounded and checked."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from shale.client.rental import Shell
from shale.errors import InputRefused, ShaleError, Unavailable, from_wire
from shale.market.lease import EndReason
from shale.market.offer import MAX_DATASETS, MAX_OFFER_BYTES, Entry, SignedOffer, key_line, offer_from_contents
from shale.market.order import (
    Acceptance,
    Confirmation,
    End,
    Order,
    amount_of,
    hash_of,
    order_to_json,
    text_of,
    whole,
)
from shale.units import AttoFil, Cid, LeaseId, OrderHash
from shale.wire import read_json

OFFER_SECONDS = 5.0
SEARCH_SECONDS = 8.0
ANSWER_SECONDS = 30.0
START_SECONDS = 600.0
"""How long the whole start of a lease may take."""
MAX_BODY = 64 << 10
MAX_LINES = 1000
MAX_HITS_BYTES = 2 << 20


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a lease's start. `state` is started, done or failed; `seconds` since the provider began."""

    name: str
    state: str
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RemoteLease:
    """A lease as an answer over HTTP has it: nobody has signed it, except the `end` of one that has ended.

    `end` is the provider's End and its signature, for the caller to check.
    """

    paid: AttoFil
    seconds: int
    end: tuple[End, str] | None


@dataclass(frozen=True, slots=True)
class Hit:
    """A dataset that a provider found: how many of its files fit what was searched for, and the first of them."""

    root: Cid
    matched: int
    files: tuple[Entry, ...]


class ProviderApi:
    """One provider. Errors of its own come through as it names them; no answer, or a wild one, is Unavailable."""

    def __init__(self, endpoint: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`transport` replaces the network, as httpx offers it. Raises InputRefused for a URL that is none."""
        self.endpoint = checked_endpoint(endpoint)
        self._client = httpx.AsyncClient(
            base_url=self.endpoint,
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=5.0),
            transport=transport,
            # A proxy of the environment is for the world outside, not for a provider on this machine or network.
            trust_env=not _is_near(self.endpoint),
            headers={"Accept-Encoding": "identity"},
        )

    async def __aenter__(self) -> ProviderApi:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def offer(self) -> SignedOffer:
        """The current offer, well formed; its signature is for the caller to check."""
        raw = await self._call("GET", "/v1/offer", None, OFFER_SECONDS, MAX_OFFER_BYTES * 2)
        contents = raw.get("contents")
        if not isinstance(contents, str):
            raise InputRefused("the offer is malformed", "skip this provider")
        data = contents.encode(errors="replace")
        return SignedOffer(
            offer_from_contents(data),
            data,
            whole(raw.get("issued_at")),
            whole(raw.get("expires_at")),
            text_of(raw.get("signature"), 132),
        )

    async def datasets(self, words: str) -> list[Hit]:
        """Search the provider's datasets, and their files, for words."""
        path = str(httpx.URL("/v1/datasets", params={"words": words}))
        raw = (await self._call("GET", path, None, SEARCH_SECONDS, MAX_HITS_BYTES)).get("datasets")
        if not isinstance(raw, list) or len(raw) > MAX_DATASETS:
            raise _wild(self.endpoint)
        try:
            return [_hit(entry) for entry in raw]
        except (TypeError, KeyError, InputRefused):
            raise _wild(self.endpoint) from None

    async def order(self, order: Order, mount: str, signature: str | None) -> tuple[Acceptance, str]:
        """Hand in an order, signed or (None) created on chain. Returns the acceptance and its signature, unchecked."""
        body = {"order": order_to_json(order), "mount": mount, "signature": signature}
        raw = await self._call("POST", "/v1/orders", body)
        given = raw.get("acceptance")
        if not isinstance(given, dict):
            raise _wild(self.endpoint)
        acceptance = Acceptance(
            OrderHash(hash_of(given.get("order"))), key_line(raw.get("host_key")), whole(given.get("deadline"))
        )
        return acceptance, text_of(raw.get("signature"), 132)

    @asynccontextmanager
    async def confirm(self, confirmation: Confirmation, signature: str) -> AsyncIterator[AsyncIterator[Step | Shell]]:
        """Hand in the confirmation and follow the start: steps, then the shell. Raises what the provider says."""
        body = {
            "order_hash": confirmation.order,
            "confirmation": {
                "acceptance": confirmation.acceptance,
                "collateral": str(confirmation.collateral.value),
                "deadline": confirmation.deadline,
            },
            "signature": signature,
        }
        async with self._started(body) as items:
            yield items

    @asynccontextmanager
    async def begin(self, order: OrderHash) -> AsyncIterator[AsyncIterator[Step | Shell]]:
        """Follow the start of a lease that was confirmed on chain, as `confirm` does."""
        async with self._started({"order_hash": order, "confirmation": None}) as items:
            yield items

    @asynccontextmanager
    async def _started(self, body: dict[str, Any]) -> AsyncIterator[AsyncIterator[Step | Shell]]:
        request = self._client.build_request(
            "POST", "/v1/leases", json=body, timeout=httpx.Timeout(START_SECONDS, connect=5.0)
        )
        with self._translated():
            response = await self._client.send(request, stream=True)
        try:
            if response.status_code != 200:
                self._check(response.status_code, await self._read(response, MAX_BODY))
            yield self._steps(response)
        finally:
            await response.aclose()

    async def _steps(self, response: httpx.Response) -> AsyncIterator[Step | Shell]:
        with self._translated():
            async with asyncio.timeout(START_SECONDS):
                count = 0
                async for line in _lines(response):
                    count += 1
                    if count > MAX_LINES:
                        raise _wild(self.endpoint)
                    item = _step(_object(line, self.endpoint), self.endpoint)
                    yield item
                    if isinstance(item, Shell):
                        return
        raise Unavailable("the provider broke off while the lease started", "try again, or another provider")

    async def lease(self, lease: LeaseId) -> RemoteLease:
        """How the provider has a lease. Raises Closed when it knows none."""
        raw = await self._call("GET", f"/v1/leases/{lease}", None)
        end = raw.get("end")
        if end is not None and not isinstance(end, dict):
            raise _wild(self.endpoint)
        signed = (end_from_json(end), text_of(end.get("signature"), 132)) if end is not None else None
        return RemoteLease(amount_of(raw.get("paid")), whole(raw.get("seconds")), signed)

    async def topped_up(self, lease: LeaseId) -> int:
        """Say that the chain has a higher deposit. Returns the seconds that the provider then has it good for."""
        return whole((await self._call("POST", f"/v1/leases/{lease}/topup", {})).get("max_seconds"))

    async def end(self, lease: LeaseId, end: End, signature: str) -> tuple[End, str]:
        """Hand in our signed End. Returns the provider's own and its signature, for the caller to check."""
        raw = await self._call("POST", f"/v1/leases/{lease}/end", end_to_json(end) | {"signature": signature})
        return end_from_json(raw), text_of(raw.get("signature"), 132)

    async def _call(
        self, method: str, path: str, body: object, seconds: float = ANSWER_SECONDS, most: int = MAX_BODY
    ) -> dict[str, Any]:
        with self._translated():
            async with asyncio.timeout(seconds):
                async with self._client.stream(method, path, json=body) as response:
                    data = await self._read(response, most)
        self._check(response.status_code, data)
        return _object(data, self.endpoint)

    async def _read(self, response: httpx.Response, most: int) -> bytes:
        data = bytearray()
        async for chunk in response.aiter_raw():
            data += chunk
            if len(data) > most:
                raise Unavailable(f"the provider at {self.endpoint} answers too much", "choose another provider")
        return bytes(data)

    def _check(self, status: int, data: bytes) -> None:
        if status == 200:
            return
        raise _reported(_object(data, self.endpoint), self.endpoint)

    def _translated(self) -> _Translated:
        return _Translated(self.endpoint)


class _Translated:
    """Turns the HTTP library's errors and time limits into ours, in one place."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            raise Unavailable(
                f"the provider at {self._endpoint} does not answer in time", "try again, or another provider"
            ) from None
        if isinstance(error, httpx.HTTPError):
            raise Unavailable(
                f"the provider at {self._endpoint} can't be reached ({type(error).__name__})",
                "try again, or another provider",
            ) from None


def checked_endpoint(raw: object) -> str:
    """A provider's URL, without a slash at its end. Raises InputRefused unless it is plain HTTP or HTTPS."""
    try:
        if isinstance(raw, str) and len(raw) <= 256 and raw.isascii() and raw.isprintable() and " " not in raw:
            parts = urlsplit(raw)
            plain = not (parts.query or parts.fragment or parts.username or parts.password)
            if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and plain:
                return raw.rstrip("/")
    except ValueError:
        pass
    raise InputRefused("the provider's endpoint is not a URL", "choose another provider")


def _is_near(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost"


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """Lines of at most `MAX_BODY` bytes; the library's own would grow without a limit."""
    rest = b""
    async for chunk in response.aiter_raw():
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_BODY:
            raise Unavailable("the provider sent a line without an end", "choose another provider")
        for line in lines:
            if line.strip():
                yield line


def _object(data: bytes, endpoint: str) -> dict[str, Any]:
    try:
        raw = read_json(data)
    except ValueError:
        raw = None
    if not isinstance(raw, dict):
        raise _wild(endpoint)
    return raw


def _wild(endpoint: str) -> ShaleError:
    return Unavailable(f"what answers at {endpoint} is not a Shale provider", "choose another provider")


def _reported(raw: dict[str, Any], endpoint: str) -> ShaleError:
    """The provider's own error, made fit for one line of a terminal."""
    error = raw.get("error")
    if not isinstance(error, dict):
        return _wild(endpoint)
    code, message, hint = (_shown(error.get(name)) for name in ("code", "message", "hint"))
    return from_wire(code, f"the provider says: {message or 'no'}", hint)


def _shown(raw: object) -> str:
    return "".join(char if char.isprintable() else " " for char in str(raw or "")[:400])


def _hit(raw: dict[str, Any]) -> Hit:
    files = raw["files"]
    if not isinstance(files, list) or len(files) > MAX_DATASETS:
        raise InputRefused("the files are no list")
    shown = tuple(Entry(_shown(file["path"]), 1, whole(file["size"])) for file in files)
    return Hit(Cid(text_of(raw["root"], 128)), whole(raw["matched"]), shown)


def _step(raw: dict[str, Any], endpoint: str) -> Step | Shell:
    if "error" in raw:
        raise _reported(raw, endpoint)
    ready = raw.get("ready")
    if isinstance(ready, dict):
        return _shell(ready)
    seconds = raw.get("seconds", 0)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise _wild(endpoint)
    return Step(_shown(raw.get("step"))[:40], _shown(raw.get("state"))[:16], _shown(raw.get("detail")), float(seconds))


def _shell(raw: dict[str, Any]) -> Shell:
    """Where the container's SSH server is; these values go into an SSH configuration."""
    host, user, port = raw.get("host"), raw.get("user"), whole(raw.get("port"), 65535)
    if not isinstance(host, str) or not re.fullmatch(r"[A-Za-z0-9:][A-Za-z0-9.:-]{0,252}", host) or port == 0:
        raise InputRefused("the provider names no proper address of the container", "choose another provider")
    if not isinstance(user, str) or not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", user):
        raise InputRefused("the provider names no proper user of the container", "choose another provider")
    return Shell(host, port, user)


def end_to_json(end: End) -> dict[str, Any]:
    return {
        "order": end.order,
        "amount": str(end.amount.value),
        "seconds": end.seconds,
        "reason": int(end.reason),
        "at": end.at,
    }


def end_from_json(raw: dict[str, Any]) -> End:
    """Read an End from outside. Raises InputRefused."""
    return End(
        OrderHash(hash_of(raw.get("order"))),
        amount_of(raw.get("amount")),
        whole(raw.get("seconds")),
        EndReason(whole(raw.get("reason"), max(EndReason))),
        whole(raw.get("at")),
    )
