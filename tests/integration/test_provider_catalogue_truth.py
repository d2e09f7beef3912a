"""The catalogue lists only what is true: pieces that are what their names say, blocks that are what their CIDs say."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account
from tests.cars import Sample, list_files, pack_sample, padded, sections, two_pieces
from tests.rooms import Room, open_room
from tests.servers import served

from shale.datasets import kernel
from shale.datasets.manifest import Manifest, ManifestPiece, manifest_to_json, sign
from shale.datasets.naming import _V1, _join, _text, _zeros, piece_name
from shale.units import Cid


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with open_room(tmp_path) as room:
        yield room


@pytest.fixture
async def sample(tmp_path: Path) -> Sample:
    return await pack_sample(tmp_path)


def turned_round(sample: Sample) -> Path:
    """Another piece with the same root: its last two blocks change places."""
    header, *blocks = sections(sample.car.read_bytes())
    path = sample.car.with_name("turned.car")
    path.write_bytes(b"".join([header, *blocks[:-2], blocks[-1], blocks[-2]]))
    return path


def corrupted(sample: Sample) -> int:
    """Spoil a leaf of the sample's CAR, with its time as it was; the place of its block."""
    leaf = sample.files["train/images.bin"][: 1 << 20]
    data = bytearray(sample.car.read_bytes())
    at = data.index(leaf)
    data[at + 1000] ^= 1
    info = sample.car.stat()
    sample.car.write_bytes(data)
    os.utime(sample.car, ns=(info.st_atime_ns, info.st_mtime_ns))
    return at


@pytest.mark.parametrize("with_root", [False, True])
async def test_a_url_that_serves_another_piece_than_it_names_is_refused_and_replaces_nothing(
    room: Room, sample: Sample, with_root: bool
) -> None:
    await room.add(sample.car)
    before = await room.shelf.all()
    turned = turned_round(sample)
    other = await kernel.commp(turned)
    with served(turned, piece=sample.piece) as url:
        added, (left_out,) = await room.add(url, **({"root": sample.root} if with_root else {}))
    assert added == []
    assert left_out["why"] == f"{url} is the piece {other.v1}, not {sample.piece} as its URL says"
    assert await room.shelf.all() == before
    assert room.litter() == []


async def test_a_url_that_serves_the_piece_that_it_names_is_offered(room: Room, sample: Sample) -> None:
    second = (await kernel.commp(sample.car)).v2
    for name in (sample.piece, second, f"{sample.piece}.car", sample.piece.upper()):
        with served(sample.car, piece=name) as url:
            (added,), left_out = await room.add(url)
        assert (added["piece"], left_out) == (sample.piece, [])
        await room.client.delete(f"/datasets/{sample.root}")


async def test_a_piece_that_was_padded_up_is_listed_under_its_name_with_its_claim(room: Room, sample: Sample) -> None:
    commitment = await kernel.commp(sample.car)
    large = commitment.padded_size * 8
    name = piece_name(commitment.v1)
    assert name is not None
    root = name.root
    for size in range(commitment.padded_size.bit_length() - 6, large.bit_length() - 6):
        root = _join(root, _zeros()[size])
    deal = _text(_V1 + root)
    room.claim(deal, large)
    with served(sample.car, piece=deal) as url:
        (added,), _ = await room.add(url)
        assert [(p["piece"], p["padded_size"], p["claim"]) for p in added["pieces"]] == [(deal, large, 5000)]
        assert (await room.check(sample.root))["sound"] == sample.root
        assert [item.listing.piece for item in await room.shelf.readable()] == [deal]


async def test_a_file_that_is_named_by_a_piece_must_be_that_piece(room: Room, sample: Sample, tmp_path: Path) -> None:
    other = await pack_sample(tmp_path, 2)
    park = tmp_path / "piece"
    park.mkdir()
    right, wrong = park / f"{sample.piece}.car", park / str(other.piece)
    for path in (right, wrong):
        path.write_bytes(sample.car.read_bytes())
    (added,), left_out = await room.add(park)
    assert [piece["source"] for piece in added["pieces"]] == [str(right)]
    assert [line["why"] for line in left_out] == [
        f"{wrong} is the piece {sample.piece}, not {other.piece} as its file's name says"
    ]


async def test_a_manifest_takes_no_source_that_is_not_what_its_url_names(
    room: Room, sample: Sample, tmp_path: Path
) -> None:
    commitment = await kernel.commp(sample.car)
    other = await pack_sample(tmp_path, 2)
    piece = ManifestPiece(commitment.v1, commitment.raw_size, commitment.padded_size)
    signed = sign(Manifest("One", "", "", sample.root, (piece,)), Account.create())
    with served(sample.car, piece=other.piece) as url:
        added, (skipped, error) = await room.add(url, manifest=manifest_to_json(signed))
    assert added == []
    assert all(text in skipped["why"] for text in (url, sample.piece, other.piece))
    assert sample.piece in error["error"]["message"]
    assert await room.offered() == []


async def test_a_car_with_a_corrupt_leaf_is_not_offered(room: Room, sample: Sample) -> None:
    at = corrupted(sample)
    lines = await room.ask("/datasets", {"sources": [str(sample.car)]})
    (left_out,) = [line for line in lines if "skipped" in line]
    leaf = (await list_files(sample.car))[-1]
    assert f"{sample.car}: offset {at}: " in left_out["why"]
    assert "bafkrei" in left_out["why"], "the block's CID"
    assert leaf.path
    assert [line for line in lines if "added" in line] == []
    told = [line for line in lines if "reading" in line]
    assert told
    assert told[-1]["total"] == sample.car.stat().st_size
    assert await room.offered() == []
    assert room.litter() == []


async def test_what_a_mount_found_bad_is_offered_again_only_when_every_block_was_hashed(
    room: Room, sample: Sample
) -> None:
    await room.add(sample.car)
    whole = sample.car.read_bytes()
    at = corrupted(sample)
    await room.shelf.report_fault(sample.root, "found by a mount", 1, sources=(str(sample.car),))
    await room.lookout.look()
    for _ in range(2):
        told = await room.check(sample.root)
        assert told["faulty"] == sample.root
        assert f"{sample.car}: offset {at}: " in told["why"]
        assert await room.offered() == []
    added, _ = await room.add(sample.car)
    assert added == []
    assert await room.offered() == []
    sample.car.write_bytes(whole)
    assert (await room.check(sample.root))["sound"] == sample.root
    assert await room.offered() == [sample.root]
    (shown,) = (await room.client.get("/datasets")).json()["datasets"]
    assert shown["blocks_checked_at"] == shown["checked_at"] > 0


async def test_with_a_lotus_node_a_sector_without_a_live_claim_is_named_and_left_out(
    room: Room, sample: Sample, tmp_path: Path
) -> None:
    other = await pack_sample(tmp_path, 2)
    folder = tmp_path / "unsealed"
    folder.mkdir()
    place = await padded(sample, folder / "s-t01000-7", "0")
    await padded(other, folder / "s-t01000-8", "0")
    room.claim(sample.piece, place.size, sector=7)
    added, left_out = await room.add(folder)
    assert [item["root"] for item in added] == [sample.root]
    assert [line["skipped"] for line in left_out] == [f"sector:{folder}/s-t01000-8"]
    assert "f01000 has no live claim in this sector" in left_out[0]["why"]
    added, left_out = await room.add(folder, unclaimed=True)
    assert {item["root"] for item in added} == {sample.root, other.root}
    assert left_out == []
    claims = {item["root"]: item["pieces"][0]["claim"] for item in added}
    assert claims == {sample.root: 5000, other.root: None}


async def test_unclaimed_takes_the_other_pieces_of_a_claimed_sector_too(
    room: Room, sample: Sample, tmp_path: Path
) -> None:
    other = await pack_sample(tmp_path, 2)
    sector = tmp_path / "s-t01000-7"
    place = await padded(sample, sector, "4MiB")
    await padded(other, sector, "0")
    room.claim(sample.piece, place.size)
    added, left_out = await room.add(sector, unclaimed=True)
    assert {item["root"]: item["pieces"][0]["claim"] for item in added} == {sample.root: 5000, other.root: None}
    assert left_out == []


async def test_while_the_node_tells_nothing_no_sector_is_taken_for_unclaimed(
    room: Room, sample: Sample, tmp_path: Path
) -> None:
    sector = tmp_path / "s-t01000-7"
    await padded(sample, sector, "0")
    room.claims.write_text("broken")
    added, left_out = await room.add(sector)
    assert added == []
    assert "claims are not known now" in left_out[0]["why"]


async def test_without_a_lotus_node_each_car_of_a_sector_is_taken(sample: Sample, tmp_path: Path) -> None:
    sector = tmp_path / "s-t01000-7"
    await padded(sample, sector, "0")
    async with open_room(tmp_path, with_lotus=False) as room:
        (added,), left_out = await room.add(sector)
    assert (added["root"], left_out) == (sample.root, [])


async def test_pieces_by_root_must_be_what_their_files_are_named(room: Room, sample: Sample, tmp_path: Path) -> None:
    one, two = await two_pieces(sample, tmp_path)
    right, wrong = await kernel.commp(one), Cid("baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq")
    renamed = one.rename(tmp_path / f"{right.v1}.car"), two.rename(tmp_path / f"{wrong}.car")
    added, (left_out,) = await room.add(*renamed, root=sample.root)
    assert added == []
    assert str(renamed[1]) in left_out["why"]
    assert wrong in left_out["why"]


async def test_a_corrupt_piece_that_older_books_took_for_sound_never_passes_a_check(room: Room, sample: Sample) -> None:
    """Its commitment is that of the corrupt bytes: only the hash of each block can tell."""
    await room.add(sample.car)
    at = corrupted(sample)
    commitment = await kernel.commp(sample.car)
    (item,) = await room.shelf.all()
    piece = replace(item.listing.pieces[0], cid=commitment.v1)
    await room.shelf.add(replace(item, listing=replace(item.listing, piece=commitment.v1, pieces=(piece,))), 1)
    await room.shelf.report_fault(sample.root, "found by a mount", 1, sources=item.sources)
    told = await room.check(sample.root)
    assert told["faulty"] == sample.root
    assert f"offset {at}: " in told["why"]
    assert await room.offered() == []


async def test_a_fault_that_a_mount_finds_during_a_check_is_not_forgotten(room: Room, sample: Sample) -> None:
    await room.add(sample.car)
    async with room.client.stream("POST", "/datasets/check", json={"root": sample.root}) as answer:
        async for line in answer.aiter_lines():
            if "reading" in json.loads(line):
                await room.shelf.report_fault(sample.root, "found by a mount", 1, sources=(str(sample.car),))
    assert await room.offered() == []
    assert (await room.check(sample.root))["sound"] == sample.root
    assert await room.offered() == [sample.root]


async def test_a_check_goes_on_past_a_server_that_does_not_answer(room: Room, sample: Sample, tmp_path: Path) -> None:
    other = await pack_sample(tmp_path, 2)
    with served(sample.car, piece=sample.piece) as url:
        await room.add(url, other.car)
    told = await room.ask("/datasets/check", {})
    unread = [line for line in told if "unread" in line]
    assert [line["unread"] for line in unread] == [sample.root]
    assert url in unread[0]["why"]
    assert [line["sound"] for line in told if "sound" in line] == [other.root]
    assert [item.fault for item in await room.shelf.all()] == ["", ""], "a server that is away is no fault of the piece"
