"""API: the provider's public HTTP door (docs/protocol.md, section 8): small bodies, one-line errors, no secrets."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from shale.containers.engine import Container
from shale.errors import ShaleError
from shale.market.lease import EndReason, LeaseState
from shale.market.order import End, amount_of, hash_of, whole
from shale.provider.desk import Desk
from shale.provider.lifecycle import Lifecycle, Progress
from shale.provider.offers import Offers, signed_offer_to_json
from shale.provider.published import PublishedOrders
from shale.provider.search import Match, Search
from shale.provider.topups import TopUps
from shale.units import LeaseId, OrderHash, checked_lease_id, lease_id_of
from shale.wire import read_object

log = logging.getLogger("shale.provider")

MAX_BODY = 64 * 1024
_LOOK_SECONDS = 2.0
"""How often the chain is asked about one lease because a client says so."""
_RETRY_SECONDS = "5"
_STATUS = {"refused": 409, "unavailable": 503, "closed": 410, "config": 500}


class PublicApi:
    """The routes, over the daemon's parts."""

    def __init__(
        self,
        desk: Desk,
        lifecycle: Lifecycle,
        offers: Offers,
        search: Search,
        topups: TopUps,
        published: PublishedOrders,
        metrics: CollectorRegistry,
    ) -> None:
        self._desk = desk
        self._lifecycle = lifecycle
        self._offers = offers
        self._search = search
        self._topups = topups
        self._published = published
        self._looked: dict[LeaseId, float] = {}
        self._metrics = metrics
        self._starting: set[asyncio.Task[None]] = set()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/offer", self._offer),
                Route("/v1/datasets", self._datasets),
                Route("/v1/orders", self._order, methods=["POST"]),
                Route("/v1/leases", self._confirm, methods=["POST"]),
                Route("/v1/leases/{lease_id}", self._lease),
                Route("/v1/leases/{lease_id}/end", self._end, methods=["POST"]),
                Route("/v1/leases/{lease_id}/topup", self._topup, methods=["POST"]),
                Route("/metrics", self._show_metrics),
            ],
            exception_handlers={ShaleError: show_error},
        )

    async def _offer(self, request: Request) -> Response:
        return JSONResponse(signed_offer_to_json(await self._offers.current(await self._desk.free())))

    async def _datasets(self, request: Request) -> Response:
        address = request.client.host if request.client else ""
        found = await self._search.find(request.query_params.get("words", ""), address)
        return JSONResponse({"datasets": [match_to_json(match) for match in found]})

    async def _order(self, request: Request) -> Response:
        accepted = await self._desk.accept(await body(request))
        return JSONResponse(
            {
                "acceptance": {"order": accepted.acceptance.order, "deadline": accepted.acceptance.deadline},
                "host_key": accepted.acceptance.host_key,
                "signature": accepted.signature,
            }
        )

    async def _confirm(self, request: Request) -> Response:
        raw = await body(request)
        lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        start: Callable[[Progress], Awaitable[Container]]
        if raw.get("confirmation") is None:
            lease = lease_id_of(OrderHash(hash_of(raw.get("order_hash"))))
            await self._published.ready(lease)
            start = functools.partial(self._published.begin, lease)
        else:
            held, host_key = await self._desk.confirm(raw)
            lease, start = held.id, functools.partial(self._lifecycle.start, held, host_key)
        # The start goes on by itself: a client that hangs up meanwhile can't leave half a lease behind.
        task = asyncio.get_running_loop().create_task(self._start(lease, start, lines))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return StreamingResponse(_stream(lines), media_type="application/x-ndjson")

    async def _start(
        self,
        lease: LeaseId,
        start: Callable[[Progress], Awaitable[Container]],
        lines: asyncio.Queue[dict[str, Any] | None],
    ) -> None:
        began = time.monotonic()

        async def progress(step: str, state: str, detail: str) -> None:
            seconds = round(time.monotonic() - began, 3)
            await lines.put({"step": step, "state": state, "detail": detail, "seconds": seconds})

        try:
            container = await start(progress)
            ready = {
                "host": container.address,
                "port": container.port,
                "user": "root",
                **self._gateway(),
            }
            await lines.put({"ready": ready})
        except ShaleError as error:
            await lines.put({"error": error_json(error)})
        except Exception:
            log.exception("lease %s: its start", lease[:12])
            await lines.put({"error": {"code": "unavailable", "message": "the provider failed", "hint": "try another"}})
        finally:
            await lines.put(None)

    def _gateway(self) -> dict[str, Any]:
        where = self._lifecycle.gateway_address
        return {"gateway_host": where[0], "gateway_port": where[1], "gateway_user": where[2]}

    async def _lease(self, request: Request) -> Response:
        held = await self._desk.store.lease(_lease_id(request))
        end = held.final
        return JSONResponse(
            {
                "state": held.lease.state.value,
                "end_reason": held.lease.end_reason.text,
                "paid": str(held.lease.paid.value),
                "seconds": held.lease.seconds,
                "max_seconds": held.max_seconds,
                "anchor_tx": held.anchor_tx,
                # The rest anybody on the way may change: only this is to be believed of an end.
                "end": end and end_to_json(end, self._desk.signing.sign(end, self._desk.account)),
            }
        )

    async def _topup(self, request: Request) -> Response:
        """A hint that the chain has a higher deposit for a lease: it is looked at, once in a while at most."""
        lease = _lease_id(request)
        held, now = await self._desk.store.lease(lease), self._desk.clock.steady()
        seconds = held.max_seconds
        if held.lease.state.lives and now - self._looked.get(lease, -_LOOK_SECONDS) >= _LOOK_SECONDS:
            self._looked = {one: at for one, at in self._looked.items() if now - at < _LOOK_SECONDS} | {lease: now}
            seconds = await self._topups.look(lease)
        return JSONResponse({"max_seconds": seconds})

    async def _end(self, request: Request) -> Response:
        lease = _lease_id(request)
        raw = await body(request)
        held = await self._desk.store.lease(lease)
        if held.lease.state in (LeaseState.ENDED, LeaseState.SETTLED):
            final = await self._lifecycle.end(lease, held.lease.end_reason)
        else:
            final = await self._lifecycle.meter(lease).end_by_client(end_from_json(raw), str(raw.get("signature")))
        return JSONResponse(end_to_json(final, self._desk.signing.sign(final, self._desk.account)))

    async def _show_metrics(self, request: Request) -> Response:
        return Response(generate_latest(self._metrics), media_type="text/plain; version=0.0.4")


async def body(request: Request, most: int = MAX_BODY) -> dict[str, Any]:
    """The request's JSON object. Raises InputRefused when it is too large or none."""
    return await read_object(request.stream(), most, "update the client")


async def show_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ShaleError), "registered for that class"
    status = _STATUS[error.code]
    headers = {"Retry-After": _RETRY_SECONDS} if status == 503 else None
    return JSONResponse({"error": error_json(error)}, status, headers)


def error_json(error: ShaleError) -> dict[str, str]:
    return {"code": error.code, "message": error.message, "hint": error.hint}


def end_from_json(raw: dict[str, Any]) -> End:
    """Read an End from outside. Raises InputRefused."""
    reason = whole(raw.get("reason"), 9)
    return End(
        OrderHash(hash_of(raw.get("order"))),
        amount_of(raw.get("amount")),
        whole(raw.get("seconds")),
        EndReason(reason),
        whole(raw.get("at")),
    )


def end_to_json(end: End, signature: str) -> dict[str, Any]:
    return {
        "order": end.order,
        "amount": str(end.amount.value),
        "seconds": end.seconds,
        "reason": int(end.reason),
        "at": end.at,
        "signature": signature,
    }


def match_to_json(match: Match) -> dict[str, Any]:
    """A found dataset: its root, how many of its files fit, and the first of them; the offer has the rest of it."""
    files = [{"path": entry.path, "size": entry.size} for entry in match.files]
    return {"root": match.dataset.root, "matched": match.matched, "files": files}


def _lease_id(request: Request) -> LeaseId:
    return checked_lease_id(request.path_params["lease_id"])


async def _stream(lines: asyncio.Queue[dict[str, Any] | None]) -> AsyncIterator[bytes]:
    while (line := await lines.get()) is not None:
        yield json.dumps(line).encode() + b"\n"
