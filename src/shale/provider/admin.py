"""Admin: the daemon's private door for its own machine's commands: a Unix socket that only its owner can open."""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shale.addresses import filecoin_form
from shale.chain.chain import Chain
from shale.errors import ShaleError
from shale.market.lease import EndReason, LeaseState
from shale.provider.api import body, show_error
from shale.provider.dataset_routes import DatasetRoutes
from shale.provider.desk import Desk
from shale.provider.lifecycle import Lifecycle
from shale.provider.settle_routes import SettleRoutes
from shale.provider.settlement import Settlement
from shale.units import Address, checked_lease_id


class AdminApi:
    """The routes, over the daemon's parts."""

    def __init__(
        self,
        provider: Address,
        desk: Desk,
        datasets: DatasetRoutes,
        settling: SettleRoutes,
        lifecycle: Lifecycle,
        settlement: Settlement,
        chain: Chain,
        stop: asyncio.Event,
    ) -> None:
        self._provider = provider
        self._desk = desk
        self._datasets = datasets
        self._settling = settling
        self._lifecycle = lifecycle
        self._settlement = settlement
        self._chain = chain
        self._stop = stop

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/status", self._status),
                *self._datasets.routes(),
                *self._settling.routes(),
                Route("/leases/{lease_id}/end", self._end, methods=["POST"]),
                Route("/stop", self._shut, methods=["POST"]),
            ],
            exception_handlers={ShaleError: show_error},
        )

    async def _status(self, request: Request) -> Response:
        shard = await self._chain.shard(self._provider)
        leases = [
            {
                "lease_id": held.id,
                "client": held.order.client,
                "state": held.lease.state.value,
                "image": held.order.image,
                "dataset": held.order.dataset,
                "resources": held.order.resources.to_json(),
                "paid_attofil": str(held.lease.paid.value),
                "seconds": held.lease.seconds,
                "collateral_attofil": str(held.collateral.value),
                "end_reason": held.lease.end_reason.text,
                "anchor_tx": held.anchor_tx,
            }
            for held in await self._desk.store.leases()
        ]
        return JSONResponse(
            {
                "provider": self._provider,
                "provider_f410": filecoin_form(self._provider),
                "name": self._desk.config.name,
                "endpoint": self._desk.config.endpoint,
                "total": self._desk.total.to_json(),
                "free": (await self._desk.free()).to_json(),
                "leases": leases,
                "datasets": await self._datasets.shown(),
                "owed_attofil": str(shard.owed.value),
                "balance_attofil": str((await self._chain.wallet_balance(self._provider)).value),
                "settlements": await self._settlement.history(),
            }
        )

    async def _end(self, request: Request) -> Response:
        lease = checked_lease_id(request.path_params["lease_id"])
        held = await self._desk.store.lease(lease)
        if held.lease.state not in (LeaseState.ENDED, LeaseState.SETTLED):
            await self._lifecycle.end(lease, EndReason.PROVIDER_ENDED)
        return JSONResponse({"end_reason": (await self._desk.store.lease(lease)).lease.end_reason.text})

    async def _shut(self, request: Request) -> Response:
        """Stop the daemon; with `end` every lease is ended first, else they live on for its next start."""
        raw = await body(request)
        if raw.get("end"):
            states = (LeaseState.STARTING, LeaseState.RUNNING, LeaseState.FROZEN)
            for held in await self._desk.store.leases(*states):
                await self._lifecycle.end(held.id, EndReason.PROVIDER_ENDED)
        self._stop.set()
        return JSONResponse({})
