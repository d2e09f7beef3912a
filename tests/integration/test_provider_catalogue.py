"""The catalogue over the daemon's private socket: real pieces on disk, the real kernel, a Lotus-shaped desk."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from tests.cars import Sample, list_files, pack_sample, padded, two_pieces
from tests.rooms import EPOCH, Room, open_room
from tests.servers import hanging
from tests.servers import served as served_piece

from shale.clock import ManualClock
from shale.datasets import kernel, reach
from shale.datasets.manifest import Manifest, ManifestPiece, manifest_to_json, sign
from shale.errors import ShaleError, Unavailable
from shale.provider import catalogue


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with open_room(tmp_path) as room:
        yield room


@pytest.fixture
async def sample(tmp_path: Path) -> Sample:
    return await pack_sample(tmp_path)


async def test_a_car_is_offered_with_its_piece_and_an_index(room: Room, sample: Sample) -> None:
    (added,), left_out = await room.add(sample.car, name="numbers")
    assert left_out == []
    assert (added["name"], added["root"], added["piece"]) == ("numbers", sample.root, sample.piece)
    assert added["files"] == len(sample.files)
    assert added["readable"] is True
    assert await room.offered() == [sample.root]
    holding = (await room.shelf.find(sample.piece)).holding
    assert holding.index is not None
    listed = await list_files(holding.sources[0], index=holding.index)
    assert {file.path for file in listed} == set(sample.files)


async def test_a_sectors_piece_is_found_by_its_claim_and_shows_it(room: Room, sample: Sample, tmp_path: Path) -> None:
    other = await pack_sample(tmp_path, 2)
    folder = tmp_path / "storage" / "unsealed"
    folder.mkdir(parents=True)
    place = await padded(sample, folder / "s-t01000-7", "4MiB")
    await padded(other, folder / "s-t01000-7", "0")
    room.claim(sample.piece, place.size)
    room.claim(other.piece, place.size, sector=8)  # claimed, but not in this sector
    (added,), left_out = await room.add(folder.parent)
    assert added["root"] == sample.root
    (piece,) = added["pieces"]
    assert (piece["claim"], piece["sector"], piece["term_end"]) == (5000, 7, EPOCH + 990)
    assert abs(piece["term_end_at"] - (ManualClock().now() + 990 * 30)) < 60
    assert piece["source"] == f"sector:{folder}/s-t01000-7?offset={place.offset}&size={place.size}"
    assert [line["why"] for line in left_out] == [
        f"sector:{folder}/s-t01000-7?offset=0&size={place.size} is the piece {other.piece},"
        f" not {sample.piece} as the claims on its sector say"
    ]


async def test_a_sector_without_claims_gives_the_cars_that_are_in_it(
    room: Room, sample: Sample, tmp_path: Path
) -> None:
    other = await pack_sample(tmp_path, 2)
    sector = tmp_path / "s-t01000-9"
    await padded(sample, sector, "4MiB")
    await padded(other, sector, "0")
    added, left_out = await room.add(sector, unclaimed=True)
    assert {item["root"]: item["piece"] for item in added} == {sample.root: sample.piece, other.root: other.piece}
    assert left_out == []
    assert [piece["claim"] for item in added for piece in item["pieces"]] == [None, None]


async def test_of_a_folder_what_is_sound_is_added_and_the_rest_named(
    room: Room, sample: Sample, tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    shutil.copy(sample.car, folder / "s-t00-12")  # as Curio's park has it
    whole = sample.car.read_bytes()
    (folder / "cut.car").write_bytes(whole[:-100])
    (folder / "junk").write_bytes(b"junk")
    (folder / "s-t01000-3").write_bytes(b"\0" * 5000)
    added, left_out = await room.add(folder)
    assert [item["pieces"][0]["source"] for item in added] == [f"park:{folder}/s-t00-12"]
    reasons = {Path(line["skipped"].partition(":")[2] or line["skipped"]).name: line["why"] for line in left_out}
    assert set(reasons) == {"cut.car", "junk", "s-t01000-3"}
    assert f"{folder}/cut.car" in reasons["cut.car"]
    assert "offset" in reasons["cut.car"]
    assert room.litter() == []


def broken(whole: bytes) -> dict[str, bytes]:
    """A CAR, spoilt in the ways of the wild."""
    header = whole[0] + 1
    return {
        "truncated": whole[:-1],
        "corrupt varint": whole[:header] + b"\xff" * 12,
        "absurd header": b"\xff\xff\xff\xff\x7f" + whole,
        "absurd section": whole[:header] + b"\xff\xff\xff\xff\x7f" + whole[header:],
        "empty": b"",
        "only a header": whole[:header],
    }


@pytest.mark.parametrize("how", list(broken(b"\0" * 200)))
async def test_a_broken_car_is_not_offered_and_the_catalogue_lives_on(
    room: Room, sample: Sample, tmp_path: Path, how: str
) -> None:
    path = tmp_path / "broken.car"
    path.write_bytes(broken(sample.car.read_bytes())[how])
    added, (left_out,) = await room.add(path)
    assert added == []
    assert str(path) in left_out["skipped"]
    assert "\n" not in left_out["why"]
    assert await room.offered() == []
    assert room.litter() == []
    assert len((await room.add(sample.car))[0]) == 1


async def test_what_is_not_there_or_not_a_source_is_left_out_by_name(room: Room, tmp_path: Path) -> None:
    named = (tmp_path / "no.car", "relative.car", "sector:/no/s-t01-1?offset=0&size=1MiB", "http://127.0.0.1:1/piece/x")
    added, left_out = await room.add(*named)
    assert added == []
    assert [line["skipped"] for line in left_out if "skipped" in line] == [
        str(named[0]), named[1], *named[2:],
    ]  # fmt: skip


async def test_of_more_datasets_than_an_offer_lists_those_that_fit_are_taken_and_the_rest_named_unread(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "MAX_DATASETS", 2)
    folder = tmp_path / "cars"
    folder.mkdir()
    samples = [await pack_sample(tmp_path, seed) for seed in (1, 2, 3)]
    for sample in samples:
        sample.car.rename(folder / sample.car.name)
    read: list[str] = []
    index = kernel.index

    async def counted(sources: Sequence[str], *more: Any) -> Any:
        read.extend(sources)
        return await index(sources, *more)

    monkeypatch.setattr(kernel, "index", counted)
    added, (left_out,) = await room.add(folder)
    assert [item["root"] for item in added] == [sample.root for sample in samples[:2]]
    assert left_out["skipped"] == str(folder / samples[2].car.name)
    assert "datasets here already" in left_out["why"]
    assert left_out["hint"] == "remove one with shale provider datasets remove CID"
    assert left_out["skipped"] not in read
    # What is here already needs no room: the same again, and a copy more.
    shutil.copy(folder / samples[0].car.name, tmp_path / "copy.car")
    added, none = await room.add(folder / samples[1].car.name, tmp_path / "copy.car")
    assert (len(added), none) == (2, [])


async def test_a_file_whose_name_names_no_dataset_is_left_out_with_what_to_do(
    room: Room, sample: Sample, tmp_path: Path
) -> None:
    path = tmp_path / "cars" / "new\nline.car"
    path.parent.mkdir()
    sample.car.rename(path)
    added, (left_out,) = await room.add(path.parent)
    assert (added, left_out["skipped"]) == ([], str(path))
    assert "printable characters" in left_out["hint"]


async def test_a_dataset_over_two_pieces_is_added_by_its_root(room: Room, sample: Sample, tmp_path: Path) -> None:
    one, two = await two_pieces(sample, tmp_path)
    added, left_out = await room.add(one)
    assert added == []
    assert "missing" in left_out[0]["why"] or "no piece" in left_out[0]["why"]
    (added_one,), _ = await room.add(one, two, root=sample.root, name="halves")
    assert added_one["files"] == len(sample.files)
    assert [piece["source"] for piece in added_one["pieces"]] == [str(one), str(two)]
    for piece in added_one["pieces"]:
        assert (await room.shelf.find(piece["piece"])).listing.root == sample.root


async def test_a_manifest_names_the_pieces_and_their_order(room: Room, sample: Sample, tmp_path: Path) -> None:
    folder = tmp_path / "pieces"
    folder.mkdir()
    one, two = await two_pieces(sample, folder)
    shutil.copy((await pack_sample(tmp_path, 2)).car, folder / "another.car")
    account = Account.create()
    commitments = [await kernel.commp(path) for path in (two, one)]
    pieces = tuple(ManifestPiece(c.v1, c.raw_size, c.padded_size) for c in commitments)
    signed = sign(Manifest("Halves", "of a sample", "CC0-1.0", sample.root, pieces), account)
    (added,), left_out = await room.add(folder, manifest=manifest_to_json(signed))
    assert (added["name"], added["description"], added["licence"]) == ("Halves", "of a sample", "CC0-1.0")
    assert added["signer"] == account.address
    assert [piece["piece"] for piece in added["pieces"]] == [piece.piece for piece in pieces]
    assert left_out == []

    two.unlink()
    added, (error,) = await room.add(folder, manifest=manifest_to_json(signed))
    assert added == []
    assert str(pieces[0].piece) in error["error"]["message"]
    forged = manifest_to_json(signed)
    forged["manifest"]["name"] = "Other"
    answer = await room.client.post("/datasets", json={"sources": [str(folder)], "manifest": forged})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "refused")


async def test_a_changed_piece_is_no_longer_offered_until_a_check_finds_it_sound(room: Room, sample: Sample) -> None:
    await room.add(sample.car)
    whole = sample.car.read_bytes()
    spoilt = bytearray(whole)
    spoilt[-1] ^= 1
    sample.car.write_bytes(spoilt)
    await room.lookout.look()
    assert await room.offered() == []
    told = await room.check(sample.root)
    assert told["faulty"] == sample.root
    assert "piece" in told["why"]
    assert await room.offered() == []
    sample.car.write_bytes(whole)
    await room.lookout.look()
    assert await room.offered() == []  # a fault goes only by a check
    assert (await room.check(sample.root))["sound"] == sample.root
    assert await room.offered() == [sample.root]
    assert room.litter() == []


async def test_a_piece_that_is_gone_for_a_while_is_offered_again_when_it_is_back(room: Room, sample: Sample) -> None:
    await room.add(sample.car)
    away = sample.car.rename(sample.car.with_suffix(".away"))
    await room.lookout.look()
    assert await room.offered() == []
    (item,) = await room.shelf.all()
    assert str(sample.car) in item.trouble
    away.rename(sample.car)
    await room.lookout.look()
    assert await room.offered() == [sample.root]


async def test_a_sector_whose_piece_is_no_longer_unsealed_is_not_offered(
    room: Room, sample: Sample, tmp_path: Path
) -> None:
    sector = tmp_path / "s-t01000-7"
    await padded(sample, sector, "4MiB")
    await room.add(sector, unclaimed=True)
    sector.write_bytes(sector.read_bytes()[: 8 << 20][:-1])
    for _ in range(3):
        await room.lookout.look()
        await room.renewal.settled()
    assert await room.offered() == []


async def test_a_server_that_goes_is_seen_when_servers_are_asked(room: Room, sample: Sample) -> None:
    with served_piece(sample.car) as url:
        (added,), left_out = await room.add(url)
        assert (added["root"], added["piece"], left_out) == (sample.root, sample.piece, [])
        await room.lookout.look()
        assert await room.offered() == [sample.root]
    await room.lookout.look(servers=False)
    assert await room.offered() == [sample.root]
    await room.lookout.look()
    assert await room.offered() == []


async def test_a_server_that_ignores_ranges_is_left_out(room: Room, sample: Sample) -> None:
    with served_piece(sample.car, ranges=False) as url:
        added, (left_out,) = await room.add(url)
    assert added == []
    assert left_out["why"] == f"{url}: the server ignores Range: pieces are read by ranges"


@pytest.mark.parametrize("server", [{"redirects": 1}, {"head": 404}, {"head": 200}])
async def test_a_server_from_which_pieces_are_read_is_added(room: Room, sample: Sample, server: dict[str, int]) -> None:
    with served_piece(sample.car, **server) as url:
        assert (await list_files(url))[0].path
        (added,), left_out = await room.add(url)
        assert (added["root"], left_out) == (sample.root, [])
        await room.lookout.look()
        assert await room.offered() == [sample.root]


async def test_claims_that_end_or_whose_node_is_gone(room: Room, sample: Sample, tmp_path: Path) -> None:
    commitment = await kernel.commp(sample.car)
    room.claim(sample.piece, commitment.padded_size, term=5)  # over already
    room.claim(sample.piece, commitment.padded_size * 2)  # of another size
    (added,), _ = await room.add(sample.car)
    assert added["pieces"][0]["claim"] is None
    room.claim(sample.piece, commitment.padded_size, term=900)
    await room.lookout.join_claims()
    (item,) = await room.shelf.all()
    assert item.listing.pieces[0].claim is not None
    assert item.listing.pieces[0].claim.term_end == EPOCH + 890
    room.claims.write_text("broken")
    with pytest.raises(Unavailable, match=r"last known .*claims.json"):
        await room.lookout.join_claims()
    assert (await room.shelf.all())[0].listing.pieces[0].claim == item.listing.pieces[0].claim
    assert "claims.json" in (await room.client.get("/datasets")).json()["trouble"]
    lines = await room.ask("/datasets", {"sources": [str(sample.car)]})
    assert any("last known" in line.get("notice", "") for line in lines)
    assert (await room.shelf.all())[0].listing.pieces[0].claim == item.listing.pieces[0].claim
    assert await room.offered() == [sample.root]


@pytest.mark.parametrize("first_byte", [False, True])
async def test_a_server_that_hangs_is_named_and_holds_up_no_other_dataset(
    room: Room, sample: Sample, first_byte: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hanging(first_byte=first_byte) as url:
        if not first_byte:
            monkeypatch.setattr(reach, "SECONDS", 0.05)
            lines = await room.ask("/datasets", {"sources": [url]})
            server = url.removesuffix("/piece/x")
            told = [line for line in lines if "waiting" in line]
            assert [(line["waiting"], line["attempt"], line["attempts"]) for line in told] == [
                (server, 2, 3), (server, 3, 3),
            ]  # fmt: skip
            (left_out,) = [line for line in lines if "skipped" in line]
            assert left_out["why"].startswith(f"{server} takes requests but doesn't answer: 3 attempts")
            monkeypatch.undo()
        begun, ended, index = asyncio.Event(), asyncio.Event(), kernel.index

        async def watched(sources: Sequence[kernel.Source], *rest: Any) -> kernel.Indexed:
            if url not in sources:
                return await index(sources, *rest)
            begun.set()
            try:
                return await index(sources, *rest)
            finally:
                ended.set()

        monkeypatch.setattr(kernel, "index", watched)
        stuck = asyncio.create_task(room.ask("/datasets", {"sources": [url]}))
        await asyncio.sleep(0.1)
        (added,), _ = await room.add(sample.car)
        assert added["root"] == sample.root
        if first_byte:
            await asyncio.wait_for(begun.wait(), 10)
        assert not stuck.done()
        stuck.cancel()
        await asyncio.wait([stuck])
        if first_byte:
            await asyncio.wait_for(ended.wait(), 10)  # nothing of it is left


async def test_a_node_that_hangs_holds_up_no_other_dataset(room: Room, sample: Sample, tmp_path: Path) -> None:
    other = await pack_sample(tmp_path, 2)
    async with hanging() as node:
        stuck = asyncio.create_task(room.ask("/datasets", {"sources": [str(other.car)], "lotus": node}))
        await asyncio.sleep(0.1)
        (added,), _ = await room.add(sample.car)
        assert added["root"] == sample.root
        assert not stuck.done()
        stuck.cancel()
        await asyncio.wait([stuck])


async def test_hanging_up_cancels_and_leaves_nothing(room: Room, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.mkdir()
    (big / "data").write_bytes(os.urandom(128 << 20))
    packed = await kernel.pack(big, tmp_path / "big.car")
    async with room.client.stream("POST", "/datasets", json={"sources": [str(tmp_path / "big.car")]}) as answer:
        async for line in answer.aiter_lines():
            if "reading" in json.loads(line):
                break
    # The next one has its turn only when the one before is out of the way.
    assert (await room.ask("/datasets/check", {}))[-1] == {"end": True}
    added, _ = await room.add(tmp_path / "nothing.car")
    assert added == []
    assert packed.root not in await room.offered()
    assert room.litter() == []


async def test_words_find_names_cids_and_files(room: Room, sample: Sample, tmp_path: Path) -> None:
    other = await pack_sample(tmp_path, 2)
    await room.add(sample.car, name="Handwritten digits")
    await room.add(other.car, name="100%_sure")
    find = room.search.find

    async def roots(words: str) -> set[str]:
        return {match.dataset.root for match in await find(words)}

    assert await roots("") == {sample.root, other.root}
    assert await roots("DIGITS") == {sample.root}
    assert await roots(sample.root) == await roots(sample.piece) == {sample.root}
    assert await roots("labels.csv") == {sample.root, other.root}
    (match,) = await find("digits labels")
    assert [(entry.path, entry.size) for entry in match.files] == [("train/labels.csv", 400)]
    assert await roots("digits nowhere") == set()
    assert await roots("%") == await roots("100%_") == {other.root}
    assert await roots("_sure") == {other.root}
    assert await roots("train\\") == set()
    for wrong in ("x" * 201, "a b c d e f g h i", "\x1b[2J"):
        with pytest.raises(ShaleError):
            await find(wrong)
