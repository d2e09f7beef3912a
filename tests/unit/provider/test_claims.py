"""Claims: which of what a node tells is a claim of ours on a piece of ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.desks import PIECE

from shale.chain.lotus import Head, SectorInfo, VerifiedClaim
from shale.errors import Unavailable
from shale.market.offer import Claim, Piece
from shale.provider import claims as module
from shale.provider.claims import Claims, Register

HEAD = Head(5_000_000, 1_750_000_000)
OURS = VerifiedClaim(5432, 1000, 99, PIECE, 1 << 35, 518_400, 1_555_200, 4_000_000, 9)


class Node:
    """A node that tells what it is given."""

    def __init__(self, *claims: VerifiedClaim, sectors: dict[int, SectorInfo | None] | None = None) -> None:
        self.known = claims
        self.sectors = sectors if sectors is not None else {}
        self.asked: list[int] = []

    async def head(self) -> Head:
        return HEAD

    async def miner(self, miner: int) -> None:
        assert miner == 1000

    async def claims(self, miner: int) -> tuple[VerifiedClaim, ...]:
        return self.known

    async def sector(self, miner: int, number: int) -> SectorInfo | None:
        self.asked.append(number)
        return self.sectors.get(number, SectorInfo(1, 9_000_000))

    async def close(self) -> None: ...


async def joined(node: Node, monkeypatch: pytest.MonkeyPatch, sector: int | None = None) -> Claim | None:
    monkeypatch.setattr(module, "Lotus", lambda url: node)
    async with Claims("http://node.example", "f01000").register() as register:
        assert register is not None
        return await register.claim_of(Piece(PIECE, 1 << 35), sector)


async def test_a_living_claim_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await joined(Node(OURS), monkeypatch) == Claim(5432, 9, 5_555_200)


@pytest.mark.parametrize(
    "change",
    [
        {"provider": 1001},
        {"size": 1 << 34},
        {"data": "baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq"},
        {"term_start": 5_000_001},
        {"term_max": 999_999},
    ],
)
async def test_what_is_not_a_living_claim_on_this_piece_is_none(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    assert await joined(Node(replace(OURS, **change)), monkeypatch) is None


@pytest.mark.parametrize("info", [None, SectorInfo(1, 5_000_000), SectorInfo(1, 10)])
async def test_a_claim_in_a_dead_sector_is_none(monkeypatch: pytest.MonkeyPatch, info: SectorInfo | None) -> None:
    assert await joined(Node(OURS, sectors={9: info}), monkeypatch) is None


async def test_of_several_claims_the_sectors_own_counts_then_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    longer = replace(OURS, id=6000, sector=11, term_max=1_600_000)
    node = Node(OURS, longer)
    assert (await joined(node, monkeypatch, 9) or Claim(0, 0, 0)).id == 5432
    assert (await joined(node, monkeypatch) or Claim(0, 0, 0)).id == 6000
    dead = Node(OURS, longer, sectors={11: None})
    assert (await joined(dead, monkeypatch) or Claim(0, 0, 0)).id == 5432


async def test_a_sector_is_asked_for_once() -> None:
    node = Node(OURS)
    register = Register(node, 1000, HEAD, (OURS,))  # type: ignore[arg-type]  # what it asks of a Lotus
    for _ in range(3):
        await register.claim_of(Piece(PIECE, 1 << 35), None)
    assert node.asked == [9]
    assert await register.pieces_of(1000, 9) == {PIECE: 1 << 35}
    assert await register.pieces_of(1001, 9) == {}
    assert await register.pieces_of(1000, 10) == {}
    assert node.asked == [9]


@pytest.mark.parametrize("info", [None, SectorInfo(1, 10)])
async def test_nothing_is_claimed_in_a_dead_sector(info: SectorInfo | None) -> None:
    register = Register(Node(sectors={9: info}), 1000, HEAD, (OURS,))  # type: ignore[arg-type]
    assert await register.pieces_of(1000, 9) == {}


async def test_without_a_miner_id_the_setting_is_named() -> None:
    claims = Claims("http://127.0.0.1:1/rpc/v1", "")
    async with claims.register() as register:
        assert register is None
    assert claims.trouble == "the miner id is not known: set chain.miner, or bind it in the registry"
    async with Claims("", "").register() as register:
        assert register is None


async def test_all_questions_about_sectors_share_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Node):
        async def sector(self, miner: int, number: int) -> SectorInfo | None:
            passed[0] += 40.0
            return await super().sector(miner, number)

    passed = [0.0]
    monkeypatch.setattr(module, "SECTORS_SECONDS", 100.0)
    claims = tuple(replace(OURS, id=number, sector=number) for number in range(9))
    register = Register(Slow(), 1000, HEAD, claims, steady=lambda: passed[0])  # type: ignore[arg-type]
    for sector in range(3):
        assert await register.pieces_of(1000, sector)
    for sector in (3, 4):
        with pytest.raises(Unavailable, match="took over 100 s"):
            await register.pieces_of(1000, sector)
    assert await register.pieces_of(1000, 0), "what it has told is known"
