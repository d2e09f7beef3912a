"""SettleRoutes: the private door's part for settlements: how far one is, have one made now, what came of them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from shale.errors import InputRefused, ShaleError
from shale.provider.api import error_json
from shale.provider.earnings import Earnings
from shale.provider.settlement import Settlement
from shale.provider.settling import Service

log = logging.getLogger("shale.provider")

_TELL_SECONDS = 0.25


class SettleRoutes:
    """The routes, over the daemon's parts."""

    def __init__(self, settlement: Settlement, service: Service, earnings: Earnings) -> None:
        self._settlement = settlement
        self._service = service
        self._earnings = earnings
        self._running: set[asyncio.Task[Any]] = set()

    def routes(self) -> list[Route]:
        return [
            Route("/settle", self._settle, methods=["POST"]),
            Route("/settle", self._show),
            Route("/earnings", self._earned),
        ]

    async def _show(self, request: Request) -> Response:
        waiting, last = await self._settlement.waiting(), self._service.last
        return JSONResponse(
            self._settlement.stage.to_json()
            | {
                "ended": len(waiting.ended),
                "oldest_ended_at": min(waiting.ended, default=0),
                "why": last.why,
                "trouble": self._service.trouble,
                "max_wait_seconds": self._service.rules.max_wait,
                "min_leases": self._service.rules.min_leases,
            }
        )

    async def _earned(self, request: Request) -> Response:
        raw = request.query_params.get("since", "0")
        if not (raw.isascii() and raw.isdigit() and len(raw) <= 12):
            raise InputRefused("since is not a time", "give Unix seconds")
        return JSONResponse(await self._earnings.report(int(raw)))

    async def _settle(self, request: Request) -> Response:
        """Settle now; the answer's lines are its stages, and at last the batches."""
        # It goes on if whoever asked for it leaves: what is half posted would be taken up by the next one anyway.
        task = asyncio.create_task(self._settlement.run())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return StreamingResponse(self._lines(task), media_type="application/x-ndjson")

    async def _lines(self, task: asyncio.Task[Any]) -> AsyncIterator[bytes]:
        said: dict[str, Any] = {}
        while not task.done():
            await asyncio.wait({task}, timeout=_TELL_SECONDS)
            stage = self._settlement.stage.to_json()
            if stage != said and not task.done():
                said = stage
                yield _line(stage)
        try:
            settled = [batch.to_json() for batch in task.result()]
            yield _line(
                {"settled": settled, "unclaimed": [one.to_json() for one in self._settlement.unclaimed.values()]}
            )
            yield _line({"end": True})
        except ShaleError as error:
            yield _line({"error": error_json(error)})
        except Exception:
            log.exception("settlement")
            yield _line({"error": {"code": "unavailable", "message": "the daemon failed", "hint": "see its log"}})


def _line(raw: dict[str, Any]) -> bytes:
    return json.dumps(raw).encode() + b"\n"
