"""Verifying: the claim that counts is that of the offer which was ordered from."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

import pytest

from shale.client.verifying import claim_of, reader_of
from shale.datasets.audit import ClaimedPiece
from shale.errors import InputRefused
from shale.market.offer import Claim, Piece, SignedOffer
from shale.units import Cid

OTHER = Cid("baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq")


def listed(bench: Any, piece: Cid) -> None:
    """From now on the provider says that the dataset lies in this piece."""
    pieces = (Piece(piece, 1024, Claim(5432, 9, 6_000_000)),)
    [dataset] = bench.door.offer.datasets
    bench.door.offer = replace(bench.door.offer, datasets=(replace(dataset, pieces=pieces),))


async def never() -> SignedOffer:
    raise AssertionError("the offer that was ordered from is kept")


async def test_what_was_claimed_when_it_was_ordered_counts_whatever_is_claimed_now(bench: Any) -> None:
    [dataset] = bench.door.offer.datasets
    listed(bench, dataset.piece)
    rental = await bench.lease()
    listed(bench, OTHER)
    claim = await claim_of(rental, bench.store, bench.signing, never)
    assert claim.ordered
    assert claim.pieces == (ClaimedPiece(dataset.piece, 1024),)
    assert claim.piece(dataset.piece) == Piece(dataset.piece, 1024, Claim(5432, 9, 6_000_000))
    assert claim.piece(OTHER) is None


async def test_an_offer_without_a_list_of_pieces_names_one(bench: Any) -> None:
    rental = await bench.lease()
    claim = await claim_of(rental, bench.store, bench.signing, never)
    assert claim.pieces == (ClaimedPiece(bench.door.offer.datasets[0].piece),)


@pytest.mark.parametrize("spoil", ["absent", "not json", "another offer", "nested"])
async def test_an_offer_that_is_not_the_ordered_one_is_asked_for_again(bench: Any, spoil: str) -> None:
    rental = await bench.lease()
    path = bench.store.folder("one") / "offer.json"
    listed(bench, OTHER)

    async def fetch() -> SignedOffer:
        signed: SignedOffer = bench.door.signed()
        return signed

    match spoil:
        case "absent":
            path.unlink()
        case "not json":
            path.write_bytes(b"\xff{")
        case "nested":
            path.write_bytes(b"[" * 100_000)
        case "another offer":
            forged = bench.door.signed()
            raw = {"contents": forged.contents.decode(), "issued_at": forged.issued_at}
            path.write_text(json.dumps(raw | {"expires_at": forged.expires_at, "signature": forged.signature}))
    claim = await claim_of(rental, bench.store, bench.signing, fetch)
    assert not claim.ordered
    assert claim.pieces == (ClaimedPiece(OTHER, 1024),)


async def test_a_dataset_that_is_offered_no_more_is_refused(bench: Any) -> None:
    rental = await bench.lease()
    (bench.store.folder("one") / "offer.json").unlink()
    bench.door.offer = replace(bench.door.offer, datasets=())

    async def fetch() -> SignedOffer:
        signed: SignedOffer = bench.door.signed()
        return signed

    with pytest.raises(InputRefused, match="no longer offers"):
        await claim_of(rental, bench.store, bench.signing, fetch)


async def test_the_offer_is_dropped_with_the_lease(bench: Any) -> None:
    rental = await bench.lease()
    bench.store.drop_secrets("one", rental.order.pay_key)
    assert not bench.store.folder("one").exists()


async def test_paths_reach_the_remote_side_as_they_are(bench: Any) -> None:
    rental = replace(await bench.lease(), mount="/data set/$HOME")
    words = reader_of(rental, ["ssh", "-F", "config", "shale-one", "--"]).words
    assert words[:-1] == ("ssh", "-F", "config", "shale-one", "--")
    assert shlex.split(words[-1]) == ["/.shale/bin/shale-guest", "read", "/data set/$HOME", "/.shale/dataset"]
