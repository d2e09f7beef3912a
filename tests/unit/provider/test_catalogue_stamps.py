"""The stamps of a dataset's pieces: some asked for at once, in their order, and as the one that fails says."""

from __future__ import annotations

import asyncio

import pytest

from shale.errors import Refused
from shale.provider import catalogue

SOURCES = [f"http://sp.example/piece/{number}" for number in range(30)]


async def test_stamps_are_asked_for_eight_at_once_and_stay_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    under, most, full = 0, 0, asyncio.Event()

    async def stamp(source: str) -> str:
        nonlocal under, most
        under += 1
        most = max(most, under)
        if under == 8:
            full.set()
        await full.wait()  # nothing is answered before eight are asked
        under -= 1
        return f"stamp of {source}"

    monkeypatch.setattr(catalogue, "stamp", stamp)
    async with asyncio.timeout(10):
        found = await catalogue._stamps(SOURCES)
    assert found == [f"stamp of {source}" for source in SOURCES]
    assert most == 8


async def test_a_stamp_that_fails_ends_the_others_and_is_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = ended = 0

    async def stamp(source: str) -> str:
        nonlocal begun, ended
        if source == SOURCES[3]:
            raise Refused(f"{source} is gone", "bring it back")
        begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            ended += 1
        return ""

    monkeypatch.setattr(catalogue, "stamp", stamp)
    async with asyncio.timeout(10):
        with pytest.raises(Refused, match="piece/3 is gone"):
            await catalogue._stamps(SOURCES)
    assert 7 <= begun == ended <= 8
