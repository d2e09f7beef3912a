"""Pieces that a second hand wrote: CARs of both versions and unsealed sectors, found, committed to and offered."""

from __future__ import annotations

import random
from pathlib import Path

from tests import foreign
from tests.cars import list_files
from tests.rooms import open_room

MANY = 300
"""Pieces of a dataset: more than fit into a byte, fewer than a manifest may name."""


def dataset(seed: int = 1) -> tuple[foreign.Block, bytes]:
    """A folder with a file of two leaves and one of a few bytes: its root and its CAR."""
    leaves = [random.Random(seed).randbytes(size) for size in (40_000, 30_000)]
    top, blocks = foreign.file_of(leaves)
    small = foreign.Block(foreign.RAW, f"hello {seed}\n".encode())
    root = foreign.folder_of({"big.bin": top, "größe.txt": small})
    return root, foreign.car(root, [root, *blocks, small])


def test_the_second_hand_knows_the_answers() -> None:
    known = "baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq"
    assert foreign.commitment(foreign.padded(b"\xcc" * 127)) == known


async def test_cars_of_both_versions_are_offered_under_the_commitments_that_the_second_hand_computed(
    tmp_path: Path,
) -> None:
    root, car = dataset()
    files = {"one.car": car, "two.car": foreign.car2(car)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    async with open_room(tmp_path, with_lotus=False) as room:
        added, left_out = await room.add(*(tmp_path / name for name in files))
        assert left_out == []
        assert [item["root"] for item in added] == [root.text] * 2
        assert [item["piece"] for item in added] == [
            foreign.commitment(foreign.padded(data)) for data in files.values()
        ]
        assert [item["copy"] for item in added] == [0, 1]


async def test_the_pieces_of_an_unsealed_sector_are_found_where_its_list_says(tmp_path: Path) -> None:
    (root, car), (other, second) = dataset(), dataset(2)
    pieces = {0: foreign.padded(car), 4 << 20: foreign.padded(foreign.car2(second))}
    hidden = foreign.padded(dataset(3)[1])
    sector = tmp_path / "s-t01000-7"
    foreign.sector(sector, 8 << 20, pieces)
    with sector.open("r+b") as file:  # bytes that the list doesn't name are not there
        file.seek(2 << 20)
        file.write(hidden)
    async with open_room(tmp_path, with_lotus=False) as room:
        added, left_out = await room.add(sector)
    assert left_out == []
    assert {item["root"]: item["piece"] for item in added} == {
        root.text: foreign.commitment(pieces[0]),
        other.text: foreign.commitment(pieces[4 << 20]),
    }


async def test_a_dataset_over_more_than_256_pieces_is_offered_and_read(tmp_path: Path) -> None:
    files = {f"{number:04}.txt": foreign.Block(foreign.RAW, f"file {number}\n".encode()) for number in range(MANY)}
    root = foreign.folder_of(files)
    folder = tmp_path / "pieces"
    folder.mkdir()
    (folder / "0000.car").write_bytes(foreign.car(root, [root]))
    for name, block in files.items():
        (folder / f"1-{name}.car").write_bytes(foreign.car(root, [block]))
    async with open_room(tmp_path, with_lotus=False) as room:
        (added,), left_out = await room.add(folder, root=root.text, name="many")
        assert left_out == []
        assert (added["files"], len(added["pieces"])) == (MANY, MANY + 1)
        assert (await room.check(root.text))["sound"] == root.text
        (item,) = await room.shelf.readable()
        first, *more = item.sources
        listed = await list_files(first, item.listing.root, also=more, index=item.holding.index)
        assert {file.path for file in listed} == set(files)


async def test_a_dataset_of_which_a_block_is_missing_is_not_offered(tmp_path: Path) -> None:
    top, leaves = foreign.file_of([b"a" * 1000, b"b" * 1000, b"c" * 1000])
    other, more = foreign.file_of([b"d" * 1000, b"e" * 1000])
    root = foreign.folder_of({"one.bin": top, "two.bin": other})
    there = [leaf for leaf in (*leaves, *more) if leaf.data[:1] not in (b"b", b"d")]
    path, rest = tmp_path / "part.car", tmp_path / "rest.car"
    path.write_bytes(foreign.car(root, [root, *there]))
    rest.write_bytes(foreign.car(root, [leaves[2], more[1]]))
    async with open_room(tmp_path, with_lotus=False) as room:
        added, (left_out,) = await room.add(path)
        assert added == []
        gap = f'"one.bin": offset 1000: block {leaves[2].text} is missing in {path}; so 1 more files have gaps'
        assert left_out["why"].startswith(gap)
        assert await room.offered() == []
        (added_all,), _ = await room.add(path, rest, root=root.text)
        assert added_all["files"] == 2
