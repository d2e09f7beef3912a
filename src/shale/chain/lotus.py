"""Lotus: what Filecoin's chain says of a storage provider: its verified claims, its sectors, itself.

The shapes are those of Lotus' JSON-RPC (`/rpc/v1`), the last parameter the tipset (null: the head). The node is another
party: its answers are bounded in size and time, and each field is checked before it is used.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from shale.chain.rpc import NodeError, Rpc
from shale.errors import InputRefused, Unavailable
from shale.units import Cid, checked_piece_cid

T = TypeVar("T")

CALL_SECONDS = 60.0
"""For one answer, to its last byte: a provider with a hundred thousand claims has 30 MB of them."""
MAX_CLAIMS_BYTES = 64 << 20
MAX_CLAIMS = 250_000
EPOCH_SECONDS = 30
_MAX_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class VerifiedClaim:
    """A claim of the verified registry; `size` is padded, terms are epochs."""

    id: int
    provider: int
    client: int
    data: Cid
    size: int
    term_min: int
    term_max: int
    term_start: int
    sector: int

    @property
    def term_end(self) -> int:
        """The epoch after which the claim may be removed."""
        return self.term_start + self.term_max


@dataclass(frozen=True, slots=True)
class Head:
    """The newest tipset: its epoch, and its time in Unix seconds."""

    height: int
    timestamp: int

    def time_of(self, epoch: int) -> int:
        """When an epoch is, or was, in Unix seconds."""
        return self.timestamp + (epoch - self.height) * EPOCH_SECONDS


@dataclass(frozen=True, slots=True)
class SectorInfo:
    """A sector's life on chain, in epochs."""

    activation: int
    expiration: int


@dataclass(frozen=True, slots=True)
class MinerInfo:
    """What the catalogue needs to know of a miner actor."""

    owner: str
    sector_size: int


class Lotus:
    """One node. Raises Unavailable, in one line, whenever it doesn't answer properly."""

    def __init__(self, url: str) -> None:
        self._rpc = Rpc(url, most=MAX_CLAIMS_BYTES)

    @property
    def place(self) -> str:
        return self._rpc.place

    async def head(self) -> Head:
        return await self._ask(head_from_json, "ChainHead")

    async def claims(self, miner: int) -> tuple[VerifiedClaim, ...]:
        """All claims of a provider, by id."""
        return await self._ask(claims_from_json, "StateGetClaims", _address(miner), None)

    async def sector(self, miner: int, number: int) -> SectorInfo | None:
        """A sector as it is on chain; None if it isn't (never was, expired or terminated)."""
        return await self._ask(sector_from_json, "StateSectorGetInfo", _address(miner), number, None)

    async def miner(self, miner: int) -> MinerInfo:
        return await self._ask(miner_from_json, "StateMinerInfo", _address(miner), None)

    async def close(self) -> None:
        await self._rpc.close()

    async def _ask(self, read: Callable[[Any], T], method: str, *params: Any) -> T:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                raw = await self._rpc.call(f"Filecoin.{method}", *params)
        except TimeoutError:
            raise Unavailable(f"the Lotus node at {self.place} took over {CALL_SECONDS:g} s for {method}") from None
        except NodeError as error:
            raise Unavailable(f"the Lotus node at {self.place} refuses {method}: {_line(error.message)}") from None
        except Unavailable as error:
            raise Unavailable(f"Lotus: {error.message}", "check chain.lotus in the settings, or --lotus") from None
        try:
            # Large answers must not hold up the daemon's other work.
            return await asyncio.to_thread(read, raw)
        except ValueError as error:
            raise Unavailable(f"the Lotus node at {self.place} answers {method} wrongly: {error}") from None


def miner_number(text: str) -> int:
    """The actor number of ``f01234`` (or ``t01234``). Raises InputRefused."""
    if not re.fullmatch(r"[ft]0[0-9]{1,18}", text):
        raise InputRefused(f"{text[:40]!r} is not a miner id", "write it as f01234")
    return int(text[2:])


def claims_from_json(raw: object) -> tuple[VerifiedClaim, ...]:
    """StateGetClaims: an object of claims by id. Raises ValueError with what is wrong."""
    if not isinstance(raw, dict) or len(raw) > MAX_CLAIMS:
        raise ValueError(f"no object of at most {MAX_CLAIMS} claims")
    return tuple(_claim(key, value) for key, value in raw.items())


def _claim(key: str, raw: object) -> VerifiedClaim:
    where = f"claim {key[:20]!r}"
    if not re.fullmatch(r"[0-9]{1,18}", key):
        raise ValueError(f"{where} has no number for an id")
    fields = _object(raw, where)
    data = fields.get("Data")
    try:
        cid = checked_piece_cid(data.get("/") if isinstance(data, dict) else None)
    except InputRefused:
        raise ValueError(f"{where}: Data is no piece CID") from None
    size = _number(fields, "Size", where)
    if size < 128 or size & (size - 1):
        raise ValueError(f"{where}: Size {size} is no padded size")
    numbers = {
        name: _number(fields, key, where)
        for name, key in (
            ("provider", "Provider"),
            ("client", "Client"),
            ("term_min", "TermMin"),
            ("term_max", "TermMax"),
            ("term_start", "TermStart"),
            ("sector", "Sector"),
        )
    }
    return VerifiedClaim(id=int(key), data=cid, size=size, **numbers)


def head_from_json(raw: object) -> Head:
    """ChainHead: a tipset. Raises ValueError with what is wrong."""
    fields = _object(raw, "the tipset")
    blocks = fields.get("Blocks")
    if not isinstance(blocks, list) or not blocks:
        raise ValueError("the tipset has no blocks")
    block = _object(blocks[0], "the tipset's first block")
    return Head(_number(fields, "Height", "the tipset"), _number(block, "Timestamp", "the tipset's first block"))


def sector_from_json(raw: object) -> SectorInfo | None:
    """StateSectorGetInfo: null for a sector that isn't. Raises ValueError with what is wrong."""
    if raw is None:
        return None
    fields = _object(raw, "the sector")
    return SectorInfo(_number(fields, "Activation", "the sector"), _number(fields, "Expiration", "the sector"))


def miner_from_json(raw: object) -> MinerInfo:
    """StateMinerInfo. Raises ValueError with what is wrong."""
    fields = _object(raw, "the miner")
    owner = fields.get("Owner")
    if not isinstance(owner, str) or not re.fullmatch(r"[ft][0-4][a-z0-9]{1,90}", owner):
        raise ValueError("the miner's Owner is no address")
    return MinerInfo(owner, _number(fields, "SectorSize", "the miner"))


def _object(raw: object, where: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ValueError(f"{where} is no object")
    return raw


def _number(fields: dict[str, Any], name: str, where: str) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value <= _MAX_NUMBER:
        raise ValueError(f"{where}: {name} is no number in range")
    return value


def _address(miner: int) -> str:
    return f"f0{miner}"


def _line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:200]
