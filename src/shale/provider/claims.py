"""Claims: what the chain says of this provider's pieces: its verified claims, joined with what lies on its shelf."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from shale.chain.lotus import Head, Lotus, SectorInfo, VerifiedClaim, miner_number
from shale.errors import ConfigError, ShaleError, Unavailable
from shale.market.offer import Claim, Piece
from shale.units import Cid

SECONDS = 90.0
"""For all that a node tells of the claims, before the sectors."""
SECTORS_SECONDS = 300.0
"""For all that a node tells of the sectors, together."""


@dataclass(slots=True)
class Register:
    """A provider's living claims at one head of the chain.

    A node that has failed to tell of one sector, or has used up the time for all, isn't asked of another: `failure`.
    """

    lotus: Lotus
    miner: int
    head: Head
    claims: tuple[VerifiedClaim, ...]
    sectors: dict[int, SectorInfo | None] = field(default_factory=dict)
    failure: ShaleError | None = None
    steady: Callable[[], float] = time.monotonic
    asked_for: float = 0.0

    async def pieces_of(self, miner: int, sector: int) -> Mapping[Cid, int]:
        """The pieces that are claimed in a sector that lives, and their padded sizes. Raises the node's failure."""
        pieces = {claim.data: claim.size for claim in self.claims if (self.miner, claim.sector) == (miner, sector)}
        return pieces if pieces and await self._lives(sector) else {}

    async def claim_of(self, piece: Piece, sector: int | None) -> Claim | None:
        """The claim on a piece whose sector lives: in this sector if there is one, else the one that lasts longest.

        Raises the node's failure.
        """
        fitting = [claim for claim in self.claims if (claim.data, claim.size) == (piece.cid, piece.padded_size)]
        for claim in sorted(fitting, key=lambda claim: (claim.sector != sector, -claim.term_end, claim.id)):
            if await self._lives(claim.sector):
                return Claim(claim.id, claim.sector, claim.term_end)
        return None

    async def _lives(self, sector: int) -> bool:
        if sector not in self.sectors:
            self.sectors[sector] = await self._ask(sector)
        info = self.sectors[sector]
        return info is not None and info.expiration > self.head.height

    async def _ask(self, sector: int) -> SectorInfo | None:
        if self.failure is not None:
            raise self.failure.with_traceback(None)
        late = Unavailable(f"the Lotus node took over {SECTORS_SECONDS:g} s to tell of the sectors")
        began = self.steady()
        try:
            if self.asked_for >= SECTORS_SECONDS:
                raise late
            async with asyncio.timeout(SECTORS_SECONDS - self.asked_for):
                return await self.lotus.sector(self.miner, sector)
        except TimeoutError:
            self.failure = late
            raise late from None
        except ShaleError as error:
            self.failure = error
            raise
        finally:
            self.asked_for += self.steady() - began


class Claims:
    """Asks a Lotus node. `trouble` says why the last try told nothing; empty: it did, or there is no node to ask."""

    def __init__(self, url: str, miner: str) -> None:
        """`url` and `miner` ("f01234") are the settings; either may be empty. Raises InputRefused for a wrong one."""
        self._url = url
        self._miner = miner_number(miner) if miner else None
        self.head: Head | None = None
        self.trouble = ""

    @property
    def is_set_up(self) -> bool:
        return bool(self._url)

    @asynccontextmanager
    async def register(self, url: str = "") -> AsyncIterator[Register | None]:
        """The claims now, from the node at `url` or that of the settings; None when there is none, or it fails."""
        chosen = url or self._url
        if not chosen:
            yield None
            return
        found, lotus = None, None
        try:
            lotus = Lotus(chosen)
            async with asyncio.timeout(SECONDS):
                found = await self._read(lotus)
            self.trouble = ""
        except TimeoutError:
            self.trouble = f"the Lotus node took over {SECONDS:g} s: check chain.lotus in the settings, or --lotus"
        except ShaleError as error:
            self.trouble = str(error)
        try:
            yield found
        finally:
            if lotus is not None:
                await lotus.close()

    async def _read(self, lotus: Lotus) -> Register:
        if self._miner is None:
            raise ConfigError("the miner id is not known", "set chain.miner, or bind it in the registry")
        self.head = await lotus.head()
        await lotus.miner(self._miner)
        claims = await lotus.claims(self._miner)
        # A node that sends others' claims too must not make them ours.
        living = (c for c in claims if c.provider == self._miner and c.term_start <= self.head.height <= c.term_end)
        return Register(lotus, self._miner, self.head, tuple(living))
