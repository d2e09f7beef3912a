"""Rooms for tests: a catalogue behind the daemon's private socket, with the real kernel and a Lotus-shaped desk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from shale.chain.lotus_desk import GENESIS, LotusDesk, serve
from shale.clock import ManualClock
from shale.errors import ShaleError
from shale.provider.api import show_error
from shale.provider.catalogue import Catalogue
from shale.provider.claims import Claims
from shale.provider.daemon import _bind_private, served
from shale.provider.dataset_routes import DatasetRoutes
from shale.provider.lookout import Lookout
from shale.provider.renewal import Renewal
from shale.provider.search import Search
from shale.provider.shelf import Shelf
from shale.provider.store import Store, sqlite_url

EPOCH = (ManualClock().now() - GENESIS) // 30


@dataclass
class Room:
    """A catalogue behind its socket, and the client that a command is."""

    catalogue: Catalogue
    search: Search
    lookout: Lookout
    renewal: Renewal
    client: httpx.AsyncClient
    indexes: Path
    lotus: str
    claims: Path

    @property
    def shelf(self) -> Shelf:
        return self.catalogue.shelf

    async def ask(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        answer = await self.client.post(path, json=body)
        return [json.loads(line) for line in answer.text.splitlines()]

    async def add(self, *paths: Path | str, **more: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """What was added and what was left out."""
        lines = await self.ask("/datasets", {"sources": [str(path) for path in paths]} | more)
        added = [line["dataset"] for line in lines if "added" in line]
        return added, [line for line in lines if "skipped" in line or "error" in line]

    async def check(self, root: str) -> dict[str, Any]:
        return (await self.ask("/datasets/check", {"root": root}))[-2]

    def claim(self, piece: str, size: int, sector: int = 7, start: int = EPOCH - 10, term: int = 1000) -> None:
        """One more claim of f01000."""
        known = json.loads(self.claims.read_text())
        claim = {"Provider": 1000, "Client": 99, "Data": {"/": piece}, "Size": size}
        terms = {"TermMin": 1, "TermMax": term, "TermStart": start, "Sector": sector}
        self.claims.write_text(json.dumps(known | {str(5000 + len(known)): claim | terms}))

    async def offered(self) -> list[str]:
        return [item.listing.root for item in await self.shelf.readable()]

    def litter(self) -> list[str]:
        return [path.name for path in self.indexes.glob(".*")]


@asynccontextmanager
async def open_room(tmp_path: Path, *, with_lotus: bool = True) -> AsyncIterator[Room]:
    """A room whose provider is f01000, with nothing in it."""
    claims = tmp_path / "claims.json"
    claims.write_text("{}")
    clock = ManualClock()
    told: asyncio.Queue[str] = asyncio.Queue()
    desk = asyncio.create_task(serve(LotusDesk(claims, clock), 0, told.put_nowait))
    lotus = await told.get()
    store = await Store.open(sqlite_url(tmp_path / "provider.db"))
    indexes = tmp_path / "indexes"
    indexes.mkdir()
    shelf = Shelf(store, indexes)
    catalogue = Catalogue(shelf, indexes, clock, Claims(lotus if with_lotus else "", "f01000"))
    try:
        app = Starlette(routes=DatasetRoutes(catalogue).routes(), exception_handlers={ShaleError: show_error})
        door = tmp_path / "admin.sock"
        async with (
            served(app, _bind_private(door)),
            httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=str(door)), base_url="http://provider", timeout=60
            ) as client,
        ):
            renewal = Renewal(shelf, clock, catalogue.renew)
            lookout = Lookout(shelf, catalogue.claims, clock, renewal)
            renewing = asyncio.create_task(renewal.run())
            yield Room(catalogue, Search(store, shelf), lookout, renewal, client, indexes, lotus, claims)
            renewing.cancel()
    finally:
        await store.close()
        desk.cancel()
        await asyncio.gather(desk, return_exceptions=True)
