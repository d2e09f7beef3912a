"""What a scan finds at a place: pieces of sectors by claim and by head, files by their first bytes; all bounded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests import foreign
from tests.cars import Sample, pack_sample

from shale.datasets import kernel, scan, sources
from shale.datasets.scan import is_car_head, sector_of
from shale.errors import Refused
from shale.units import Cid

HEAD = bytes.fromhex("3aa265726f6f747381d82a58250001701220") + b"\x11" * 14


def only(claims: dict[Cid, int]) -> scan.Seek:
    """What is claimed in sector 7 of f01000, and nothing else."""

    async def seek(miner: int, sector: int) -> scan.Sought:
        return scan.Sought(claims if (miner, sector) == (1000, 7) else {}, others=False)

    return seek


@pytest.fixture
async def sample(tmp_path: Path) -> Sample:
    return await pack_sample(tmp_path)


async def small(folder: Path, seed: int) -> Sample:
    """A dataset of one small file."""
    (folder / f"tree-{seed}").mkdir()
    (folder / f"tree-{seed}" / "a").write_bytes(b"%d" % seed * 300)
    packed = await kernel.pack(folder / f"tree-{seed}", folder / f"{seed}.car")
    return Sample(folder / f"{seed}.car", packed.root, packed.piece, {})


async def test_of_several_claimed_sizes_the_commitment_tells_which(sample: Sample, tmp_path: Path) -> None:
    sector = tmp_path / "s-t01000-7"
    place = await sources.pad(sample.car, sector, "8MiB", "0")
    await sources.pad(sample.car, sector, "8MiB", str(place.size))
    twice = place.size * 2
    deal = (await kernel.commp(f"sector:{sector}?offset=0&size={twice}")).v1
    claims = {deal: twice, Cid("baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq"): place.size}
    found = await scan.scan(str(sector), only(claims))
    assert [candidate.source for candidate in found.candidates] == [f"sector:{sector}?offset=0&size={twice}"]
    assert found.candidates[0].expected.pieces == frozenset(claims)
    assert found.skipped == []


async def test_whoever_waits_for_the_commitment_of_a_claimed_size_sees_how_far_it_is(
    sample: Sample, tmp_path: Path
) -> None:
    sector = tmp_path / "s-t01000-7"
    place = await sources.pad(sample.car, sector, "8MiB", "0")
    await sources.pad(sample.car, sector, "8MiB", str(place.size))  # so that there is room for either
    claims = {sample.piece: place.size, Cid("piece"): place.size * 2}
    told: list[tuple[int, int]] = []
    found = await scan.scan(str(sector), only(claims), lambda done, total: told.append((done, total)))
    assert found.candidates[0].source == f"sector:{sector}?offset=0&size={place.size}"
    assert told
    assert told[-1][0] == told[-1][1] > 0


async def test_each_piece_inside_an_aggregate_is_found_and_none_goes_silently(tmp_path: Path) -> None:
    park = tmp_path / "pk" / "piece"
    park.mkdir(parents=True)
    samples = [await small(tmp_path, seed) for seed in (1, 2, 3)]
    whole = foreign.aggregate([sample.car.read_bytes() for sample in samples])
    for name in ("s-t00-12", "several.car"):
        (park / name).write_bytes(whole)
    (park / "one.car").write_bytes(samples[0].car.read_bytes())
    inside = [f"aggregate:park:{park}/s-t00-12#{number}" for number in range(3)]
    found = await scan.scan(str(park.parent))
    assert found.skipped == []
    assert [candidate.source for candidate in found.candidates] == [
        str(park / "one.car"), *inside, *(f"aggregate:{park}/several.car#{number}" for number in range(3))
    ]  # fmt: skip
    assert [candidate.name for candidate in found.candidates[1:3]] == ["s-t00-12 0", "s-t00-12 1"]
    for text in (f"park:{park}/s-t00-12", str(park / "s-t00-12")):
        assert [candidate.source for candidate in (await scan.scan(text)).candidates] == inside
    assert [candidate.source for candidate in (await scan.scan(inside[1])).candidates] == [inside[1]]
    for text, sample in zip(inside, samples, strict=True):
        assert (await kernel.index([text], tmp_path / "index")).root == sample.root


async def test_what_else_is_in_an_aggregate_of_a_sector_is_named(tmp_path: Path) -> None:
    samples = [await small(tmp_path, seed) for seed in (1, 2)]
    raw = tmp_path / "aggregate"
    raw.write_bytes(foreign.aggregate([sample.car.read_bytes() for sample in samples]))
    sector = tmp_path / "s-t01000-7"
    place = await sources.pad(raw, sector, "8MiB", "0")
    deal = await kernel.commp(raw)
    found = await scan.scan(str(sector), only({deal.v1: place.size}))
    source = f"sector:{sector}?offset=0&size={place.size}"
    assert [candidate.source for candidate in found.candidates] == [source]
    assert [skipped.source for skipped in found.skipped] == [f"aggregate:{source}#1"]


async def test_a_broken_entry_of_an_aggregate_is_named_with_its_offset(tmp_path: Path) -> None:
    samples = [await small(tmp_path, seed) for seed in (1, 2)]
    whole = bytearray(foreign.aggregate([sample.car.read_bytes() for sample in samples]))
    at = len(whole) - 1
    while not whole[at]:
        at -= 1
    whole[at] ^= 1  # in the checksum of the last entry
    path = tmp_path / "s-t00-12"
    path.write_bytes(whole)
    found = await scan.scan(str(path))
    assert [candidate.source for candidate in found.candidates] == [f"aggregate:park:{path}#0"]
    ((skipped),) = found.skipped
    assert skipped.source == f"park:{path}"
    assert "index entry 1" in skipped.why


async def test_a_car_that_no_claim_of_the_sector_names_is_told_with_its_offset(sample: Sample, tmp_path: Path) -> None:
    sector = tmp_path / "s-t01000-7"
    await sources.pad(sample.car, sector, "8MiB", "4MiB")
    others = {Cid(f"piece{size}"): size for size in (1 << 20, 1 << 21)}
    found = await scan.scan(str(sector), only(others))
    assert found.candidates == []
    assert next(skipped.why for skipped in found.skipped).startswith(f"offset {4 << 20}: ")


async def test_a_sector_full_of_false_heads_is_given_up(tmp_path: Path) -> None:
    sector = tmp_path / "s-t01000-8"
    sector.write_bytes((HEAD + bytes(96)) * 64 * 1024)  # 8 MiB, all of it unsealed
    found = await scan.scan(str(sector))
    assert found.candidates == []
    assert 1 <= len(found.skipped) <= scan.MAX_WRONG + 1
    assert "only look like a CAR" in found.skipped[-1].why


async def test_a_folder_is_read_without_going_astray(sample: Sample, tmp_path: Path) -> None:
    folder = tmp_path / "storage"
    (folder / "unsealed").mkdir(parents=True)
    (folder / "cache" / "deep").mkdir(parents=True)
    (folder / "unsealed" / "loop").symlink_to(folder)
    os.mkfifo(folder / "unsealed" / "s-t01000-1")
    (folder / "unsealed" / "renamed").write_bytes(sample.car.read_bytes())
    found = await scan.scan(str(folder))
    assert [candidate.source for candidate in found.candidates] == [str(folder / "unsealed" / "renamed")]


async def test_a_folder_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MAX_ENTRIES", 3)
    for number in range(4):
        (tmp_path / str(number)).touch()
    with pytest.raises(Refused, match="over 3 files"):
        await scan.scan(str(tmp_path))


@pytest.mark.parametrize(
    ("source", "number"),
    [
        ("sector:/d/s-t01000-7?offset=0&size=1MiB", 7),
        ("aggregate:sector:/d/s-t01000-7#2", 7),
        ("park:/d/s-t00-12", None),
        ("/d/x.car", None),
        ("http://h/s-t01000-7", None),
    ],
)
def test_a_sectors_number_stands_in_its_files_name(source: str, number: int | None) -> None:
    assert sector_of(source) == number


@pytest.mark.parametrize("head", [b"", b"\xa2\x65roots", b"\0" * 31, b"\x80\x80\x80\x80\xa2\x65roots"])
def test_what_does_not_begin_as_a_car(head: bytes) -> None:
    assert not is_car_head(head)


def test_cars_of_both_versions_are_known_by_their_heads(sample: Sample) -> None:
    assert is_car_head(sample.car.read_bytes()[:31])
    assert is_car_head(HEAD[:31])
    assert is_car_head(bytes.fromhex("0aa16776657273696f6e02"))
