"""Dataset routes: what the machine's own commands ask of the catalogue, through the daemon's private socket."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from shale.datasets.manifest import MAX_MANIFEST, manifest_from_json
from shale.datasets.scan import sector_of
from shale.errors import InputRefused, ShaleError
from shale.market.offer import MAX_PIECES
from shale.market.order import text_of
from shale.provider.api import body, error_json
from shale.provider.catalogue import Catalogue
from shale.provider.groups import Wanted
from shale.provider.shelf import Item, best
from shale.provider.waiting import Report
from shale.units import Cid

log = logging.getLogger("shale.provider")

MAX_SOURCES = MAX_PIECES
"""That one command names."""
FULL = "not in the offer: it is full"
_MAX_SOURCE = 4096
_MAX_LINES = 10_000


async def _none_left_out() -> frozenset[Cid]:
    return frozenset()


class DatasetRoutes:
    """The routes, over the catalogue. Whoever hangs up cancels what it asked for."""

    def __init__(
        self, catalogue: Catalogue, left_out: Callable[[], Awaitable[frozenset[Cid]]] = _none_left_out
    ) -> None:
        """`left_out` tells of the datasets for which the offer has no room."""
        self._left_out = left_out
        self._shelf = catalogue.shelf
        self._catalogue = catalogue

    def routes(self) -> list[Route]:
        return [
            Route("/datasets", self._list),
            Route("/datasets", self._add, methods=["POST"]),
            Route("/datasets/check", self._check, methods=["POST"]),
            Route("/datasets/{root}", self._remove, methods=["DELETE"]),
        ]

    async def shown(self) -> list[dict[str, Any]]:
        """Every copy of every dataset as the commands show it."""
        items = await self._shelf.all()
        chosen = {(item.listing.root, item.copy) for item in best(items)}
        full = await self._left_out()
        return [self._json(item, (item.listing.root, item.copy) in chosen, item.listing.root in full) for item in items]

    async def _list(self, request: Request) -> Response:
        return JSONResponse({"datasets": await self.shown(), "trouble": self._catalogue.claims.trouble})

    async def _add(self, request: Request) -> Response:
        wanted = _wanted(await body(request, MAX_MANIFEST * 2))
        return self._stream(lambda report: self._catalogue.add(wanted, report))

    async def _check(self, request: Request) -> Response:
        root = (await body(request)).get("root")
        chosen = None if root is None else text_of(root, 128)
        return self._stream(lambda report: self._catalogue.check(chosen, report))

    async def _remove(self, request: Request) -> Response:
        copy = request.query_params.get("copy", "")
        if copy and not re.fullmatch(r"[0-9]{1,4}", copy):
            raise InputRefused("that is no number of a copy", "see shale provider datasets list")
        await self._catalogue.remove(request.path_params["root"], int(copy) if copy else None)
        return JSONResponse({})

    def _stream(self, work: Callable[[Report], Awaitable[None]]) -> Response:
        return StreamingResponse(self._lines(work), media_type="application/x-ndjson")

    async def _lines(self, work: Callable[[Report], Awaitable[None]]) -> AsyncIterator[bytes]:
        """The work's reports as lines of JSON, the last of them `{"end": …}` or `{"error": …}`."""
        reports: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

        def report(line: dict[str, Any]) -> None:
            # A reader that is slow misses how far it is, never what was added or not.
            if "reading" not in line or reports.qsize() < _MAX_LINES:
                reports.put_nowait(line)

        async def run() -> None:
            try:
                await work(report)
                report({"end": True})
            except ShaleError as error:
                report({"error": error_json(error)})
            except Exception:
                report({"error": {"code": "unavailable", "message": "the daemon failed", "hint": "see its log"}})
                log.exception("datasets")
            finally:
                reports.put_nowait(None)

        task = asyncio.create_task(run())
        try:
            while (line := await reports.get()) is not None:
                yield json.dumps(await self._told(line)).encode() + b"\n"
        finally:
            # The connection has gone, or all is said.
            task.cancel()
            await asyncio.wait([task])

    async def _told(self, line: dict[str, Any]) -> dict[str, Any]:
        """A line with the whole dataset where it names one that is on the shelf."""
        root = line.get("added") or line.get("sound")
        if root is None:
            return line
        items = [item for item in await self.shown() if (item["root"], item["copy"]) == (root, line["copy"])]
        return line | {"dataset": items[0] if items else None}

    def _json(self, item: Item, is_best: bool, is_left_out: bool) -> dict[str, Any]:
        listing, head = item.listing, self._catalogue.claims.head
        pieces = []
        for piece, place in zip(listing.pieces, item.places, strict=True):
            claim = piece.claim
            pieces.append(
                {
                    "piece": piece.cid,
                    "source": place.source,
                    "raw_size": place.raw_size,
                    "padded_size": piece.padded_size,
                    "claim": claim.id if claim else None,
                    "sector": claim.sector if claim else None,
                    "term_end": claim.term_end if claim else None,
                    "term_end_at": head.time_of(claim.term_end) if claim and head else None,
                    "held_in": sector_of(place.source),
                    "readable": not place.unreadable,
                    "why": place.unreadable,
                }
            )
        return {
            "name": listing.name,
            "root": listing.root,
            "piece": listing.piece,
            "size": listing.size,
            "files": listing.files,
            "description": listing.description,
            "licence": listing.licence,
            "signer": listing.signer,
            "pieces": pieces,
            "copy": item.copy,
            "best": is_best,
            "offered": is_best and not item.trouble and not is_left_out,
            "readable": not item.trouble,
            "why": item.trouble or (FULL if is_best and is_left_out else ""),
            "fault": item.fault,
            "fault_at": item.fault_at,
            "checked_at": listing.checked_at,
            "blocks_checked_at": item.blocks_at,
        }


def _wanted(raw: dict[str, Any]) -> Wanted:
    """Read what a command asks for. Raises InputRefused."""
    sources = raw.get("sources")
    if not isinstance(sources, list) or not 1 <= len(sources) <= MAX_SOURCES:
        raise InputRefused(f"that names no sources, or over {MAX_SOURCES}", "give paths or sources")
    root, manifest = raw.get("root"), raw.get("manifest")
    return Wanted(
        tuple(text_of(source, _MAX_SOURCE) for source in sources),
        text_of(raw.get("name", ""), 128),
        Cid(text_of(root, 128)) if root else None,
        manifest_from_json(manifest) if manifest is not None else None,
        text_of(raw.get("lotus", ""), 512),
        raw.get("unclaimed") is True,
    )
