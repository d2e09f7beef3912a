"""What is offered has an index that fits: else it is read again first, whatever spoilt it, and however that ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.cars import Sample, pack_sample, padded
from tests.rooms import Room, open_room

from shale.datasets import kernel
from shale.datasets.index import misfit
from shale.datasets.stamp import stamp
from shale.datasets.volumes import CHANGED
from shale.errors import Unavailable
from shale.provider import catalogue, renewal
from shale.provider.lookout import AGAIN
from shale.provider.shelf import Shelf


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with open_room(tmp_path) as room:
        yield room


@pytest.fixture
async def sample(tmp_path: Path) -> Sample:
    return await pack_sample(tmp_path)


@pytest.fixture
async def sector(room: Room, sample: Sample, tmp_path: Path) -> Path:
    """A sector whose only piece is offered."""
    path = tmp_path / "s-t01000-7"
    await padded(sample, path, "4MiB")
    await room.add(path, unclaimed=True)
    assert await room.offered() == [sample.root]
    return path


async def fits(room: Room, root: str) -> bool:
    (item,) = await room.shelf.copies(root)
    assert item.index is not None
    return not await misfit(item.index, item.listing.root, item.sources, {s: await stamp(s) for s in item.sources})


async def test_a_sector_that_gets_another_piece_is_read_again_before_it_is_offered(
    room: Room, sample: Sample, sector: Path, tmp_path: Path
) -> None:
    await padded(await pack_sample(tmp_path, 2), sector, "0")
    assert not await fits(room, sample.root)
    await room.lookout.look()
    assert await room.offered() == []
    (item,) = await room.shelf.all()
    assert item.trouble == AGAIN
    await room.lookout.look()
    await room.renewal.settled()
    assert await room.offered() == [sample.root]
    assert await fits(room, sample.root)
    assert room.litter() == []


async def test_a_sector_that_goes_on_changing_is_not_read_until_it_rests(
    room: Room, sample: Sample, sector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    index = kernel.index

    async def counted(*what: Any) -> Any:
        read.append(what)
        return await index(*what)

    monkeypatch.setattr(kernel, "index", counted)
    await padded(await pack_sample(tmp_path, 2), sector, "0")
    for _ in range(2):
        sector.touch()
        await room.lookout.look()
        await room.renewal.settled()
    assert (read, await room.offered()) == ([], [])
    await room.lookout.look()
    await room.renewal.settled()
    assert (len(read), await room.offered()) == (1, [sample.root])


async def test_a_piece_that_was_replaced_in_its_sector_is_not_offered_as_the_old_one(
    room: Room, sector: Path, tmp_path: Path
) -> None:
    whole = sector.read_bytes()
    other = tmp_path / "other"
    await padded(await pack_sample(tmp_path, 2), other, "4MiB")
    assert len(other.read_bytes()) == len(whole)
    sector.write_bytes(other.read_bytes())
    for _ in range(3):
        await room.lookout.look()
        await room.renewal.settled()
        assert await room.offered() == []
    (item,) = await room.shelf.all()
    assert item.fault
    assert item.fault != AGAIN


async def test_a_mount_that_saw_its_sector_change_is_offered_again_once_it_was_read(
    room: Room, sample: Sample, sector: Path, tmp_path: Path
) -> None:
    await padded(await pack_sample(tmp_path, 2), sector, "0")
    await room.shelf.report_fault(sample.root, CHANGED, 1)
    for _ in range(2):
        await room.lookout.look()
    await room.renewal.settled()
    assert await room.offered() == [sample.root]


async def test_a_bad_block_goes_only_by_a_check_that_a_person_asks_for(
    room: Room, sample: Sample, sector: Path, tmp_path: Path
) -> None:
    await padded(await pack_sample(tmp_path, 2), sector, "0")
    await room.shelf.report_fault(sample.root, "corrupt block", 1, precise=True)
    for _ in range(3):
        await room.lookout.look()
        await room.renewal.settled()
    assert await room.offered() == []


@pytest.mark.parametrize("how", ["gone", "cut", "spoilt", "of another", "a folder"])
async def test_an_index_that_cannot_be_used_is_made_again_before_the_dataset_is_offered(
    room: Room, sample: Sample, tmp_path: Path, how: str
) -> None:
    other = await pack_sample(tmp_path, 2)
    await room.add(sample.car)
    await room.lookout.look()
    assert await room.offered() == [sample.root]
    index = room.indexes / sample.root
    whole = index.read_bytes()
    match how:
        case "gone":
            index.unlink()
        case "cut":
            index.write_bytes(whole[:-1])
        case "spoilt":
            index.write_bytes(whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])
        case "of another":
            await kernel.index([other.car], index)
        case "a folder":
            index.unlink()
            index.mkdir()
    seen: list[list[str]] = []
    renew = room.renewal._again

    async def watched(item: Any) -> None:
        seen.append(await room.offered())
        await renew(item)

    room.renewal._again = watched
    await room.lookout.look()
    await room.renewal.settled()
    assert seen == [[]], "until then it isn't offered"
    if how == "a folder":  # nobody's to remove
        assert await room.offered() == []
        return
    assert await room.offered() == [sample.root]
    assert await fits(room, sample.root)


async def test_an_index_that_fits_is_read_once(room: Room, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def counted(*what: Any) -> str:
        asked.append(what)
        return await misfit(*what)

    monkeypatch.setattr(renewal, "misfit", counted)
    await room.add(sample.car)
    for _ in range(3):
        await room.lookout.look()
    assert len(asked) == 1


async def test_a_mount_that_could_not_use_the_index_has_it_made_again_but_not_without_end(
    room: Room, sample: Sample
) -> None:
    await room.add(sample.car)
    made = (room.indexes / sample.root).stat().st_ino
    (item,) = await room.shelf.all()
    for _ in range(2):
        await room.renewal.doubt(sample.root, item.sources, "nobody knows why")
        assert await room.offered() == []
        await room.lookout.look()
        await room.renewal.settled()
    assert (room.indexes / sample.root).stat().st_ino != made
    assert await room.offered() == [], "the second time it waits a while"
    await room.renewal.doubt(sample.root, ("elsewhere.car",), "another copy")


async def test_an_index_that_goes_right_after_it_was_made_is_made_again_at_the_next_look(
    room: Room, sample: Sample, sector: Path, tmp_path: Path
) -> None:
    await padded(await pack_sample(tmp_path, 2), sector, "0")
    for _ in range(2):
        await room.lookout.look()
    await room.renewal.settled()
    assert await room.offered() == [sample.root]
    for _ in range(2):
        (room.indexes / sample.root).unlink()
        await room.lookout.look()
        await room.renewal.settled()
        assert await fits(room, sample.root)
        assert await room.offered() == [sample.root]


async def test_a_crash_between_index_and_books_is_healed(
    room: Room, sample: Sample, sector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await padded(await pack_sample(tmp_path, 2), sector, "0")
    await room.lookout.look()
    add = Shelf.add

    async def killed(shelf: Shelf, item: Any, at: int, files: Any, place: Any) -> int:
        def last(copy: int) -> None:
            place(copy)
            raise Unavailable("killed", "start again")

        return await add(shelf, item, at, files, last)

    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "add", killed)
        await room.catalogue.check(sample.root, lambda line: None)
        await room.add(tmp_path / "sample-2.car")
    assert await fits(room, sample.root)
    assert await room.offered() == []
    assert len(list(room.indexes.iterdir())) == 2
    await room.catalogue.sweep()
    assert [path.name for path in room.indexes.iterdir()] == [sample.root]
    await room.lookout.look()
    await room.renewal.settled()
    assert await room.offered() == [sample.root]


async def test_what_is_removed_while_it_is_read_again_does_not_come_back(
    room: Room, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.add(sample.car)
    index = kernel.index

    async def meanwhile(*what: Any) -> Any:
        await room.catalogue.remove(sample.root)
        return await index(*what)

    monkeypatch.setattr(kernel, "index", meanwhile)
    assert await room.ask("/datasets/check", {}) != []
    assert await room.shelf.all() == []
    assert list(room.indexes.iterdir()) == []


async def test_a_source_that_changes_while_it_is_read_again_is_no_fault(
    room: Room, sample: Sample, sector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await padded(await pack_sample(tmp_path, 2), sector, "0")
    index = catalogue.kernel.index

    async def meanwhile(*what: Any) -> Any:
        done = await index(*what)
        sector.touch()
        return done

    (item,) = await room.shelf.all()
    with monkeypatch.context() as patch:
        patch.setattr(kernel, "index", meanwhile)
        with pytest.raises(Unavailable, match="changed while it was read"):
            await room.catalogue.renew(item)
    (item,) = await room.shelf.all()
    assert item.fault == ""
