"""Searching: words over all providers at once; a provider counts with what its signed offer lists, and no more."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from shale.client.api import ProviderApi
from shale.client.discovery import Found
from shale.client.searching import Held, fits, search
from shale.errors import InputRefused, Unavailable
from shale.market.offer import Claim, Dataset, Entry, Piece, canonical, offer_from_contents, offer_to_json
from shale.units import Cid

OTHER = Cid("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")
PIECE = Cid("baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq")


def listed(root: str, name: str, description: str = "") -> Dataset:
    pieces = (Piece(PIECE, 1 << 20, Claim(5432, 9, 5_555_200)), Piece(OTHER, 128))
    return Dataset(name, Cid(root), PIECE, 9, 1, (Entry("train/", 1, 9),), description, "CC0", "", pieces, 77)


@dataclass
class Asked:
    """Providers by endpoint: what each answers to a search."""

    answers: dict[str, Any]

    def open(self, endpoint: str) -> ProviderApi:
        async def answer(request: httpx.Request) -> httpx.Response:
            assert request.url.path == "/v1/datasets"
            given = self.answers[endpoint]
            if isinstance(given, Exception):
                raise given
            return httpx.Response(200, stream=httpx.ByteStream(given)) if isinstance(given, bytes) else given(request)

        return ProviderApi(endpoint, httpx.MockTransport(answer))


def provider(bench: Any, endpoint: str, *datasets: Dataset) -> Found:
    found = bench.door.found()
    offer = replace(found.signed.offer, name=endpoint, datasets=datasets)
    return replace(found, record=replace(found.record, endpoint=endpoint), signed=replace(found.signed, offer=offer))


def hits(*roots: str, matched: int = 1) -> Any:
    rows = [{"root": root, "matched": matched, "files": [{"path": "train/a.csv", "size": 5}]} for root in roots]
    return json.dumps({"datasets": rows}).encode()


def names(held: list[Held]) -> list[tuple[str, list[str]]]:
    return [(item.dataset.root, [name for name, _ in item.providers]) for item in held]


async def test_answers_of_all_providers_are_merged_by_root(bench: Any) -> None:
    one = provider(bench, "http://a.example", listed("root1", "one"))
    two = provider(bench, "http://b.example", listed("root1", "one"), listed("root2", "two"))
    door = Asked({"http://a.example": hits("root1"), "http://b.example": hits("root1", "root2", matched=12)})
    held, by_offer = await search([one, two], "csv", door.open)
    assert by_offer == []
    assert names(held) == [("root1", ["http://a.example", "http://b.example"]), ("root2", ["http://b.example"])]
    assert (held[0].matched, held[0].files) == (12, (Entry("train/a.csv", 1, 5),))


async def test_what_a_provider_finds_but_does_not_offer_is_not_shown(bench: Any) -> None:
    one = provider(bench, "http://a.example", listed("root1", "one"))
    door = Asked({"http://a.example": hits("root1", "root1", "stolen")})
    assert names((await search([one], "csv", door.open))[0]) == [("root1", ["http://a.example"])]


@pytest.mark.parametrize("answer", [b"<html>", b'{"datasets": 7}', b'{"datasets": [{}]}', httpx.ReadTimeout("slow")])
async def test_a_provider_that_cannot_search_is_searched_by_its_offer(bench: Any, answer: Any) -> None:
    one = provider(bench, "http://a.example", listed("root1", "Digits", "handwritten"), listed("root2", "other"))
    door = Asked({"http://a.example": answer})
    held, by_offer = await search([one], "HANDWRITTEN digits", door.open)
    assert names(held) == [("root1", ["http://a.example"])]
    assert [(one.name, bool(one.why)) for one in by_offer] == [("http://a.example", True)]
    (first, _), _ = await search([one], "train", door.open)
    assert first.files == (Entry("train/", 1, 9),)


async def test_without_words_nobody_is_asked(bench: Any) -> None:
    one = provider(bench, "http://a.example", listed("root1", "one"))
    assert names((await search([one], "", Asked({}).open))[0]) == [("root1", ["http://a.example"])]


async def test_a_flood_of_hits_is_cut_off() -> None:
    door = Asked({"http://a.example": b"[" + b" " * (3 << 20)})
    async with door.open("http://a.example") as api:
        with pytest.raises(Unavailable, match="too much"):
            await api.datasets("x")


async def test_words_go_to_the_provider_as_they_are() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.params["words"])
        return httpx.Response(200, stream=httpx.ByteStream(b'{"datasets": []}'))

    async with Asked({"http://a.example": answer}).open("http://a.example") as api:
        await api.datasets("a&b=c #é %")
    assert seen == ["a&b=c #é %"]


async def test_what_a_provider_refuses_is_told_beside_what_its_offer_says(bench: Any) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        error = {"code": "unavailable", "message": "the search took too long", "hint": "give other words"}
        return httpx.Response(503, stream=httpx.ByteStream(json.dumps({"error": error}).encode()))

    one = provider(bench, "http://a.example", listed("root1", "digits"))
    held, by_offer = await search([one], "digits", Asked({"http://a.example": refuse}).open)
    assert names(held) == [("root1", ["http://a.example"])]
    assert [one.why for one in by_offer] == ["the provider says: the search took too long"]


@pytest.mark.parametrize("words", ["a b c d e f g h i", "x" * 201, "a\x00"])
async def test_words_that_no_provider_takes_are_refused_before_any_is_asked(bench: Any, words: str) -> None:
    one = provider(bench, "http://a.example", listed("root1", "digits"))
    with pytest.raises(InputRefused, match="can't be searched for"):
        await search([one], words, Asked({}).open)


async def test_words_of_an_offer_may_stand_partly_in_its_name_and_partly_in_a_file(bench: Any) -> None:
    one = provider(bench, "http://a.example", listed("root1", "digits"))
    (held,), _ = await search([one], "digits train", Asked({"http://a.example": b"<html>"}).open)
    assert held.files == (Entry("train/", 1, 9),)


def test_a_short_word_is_not_looked_for_in_cids() -> None:
    dataset = listed("root1", "Digits")
    assert "dxte7vzl" in PIECE
    assert fits(dataset, "dxte7vzl")
    assert not fits(dataset, "dxte7vz")
    assert fits(dataset, "digi")


def test_a_dataset_fits_by_its_cids_too() -> None:
    dataset = listed("root1", "Digits")
    assert fits(dataset, PIECE)
    assert fits(dataset, f"digits {OTHER}")
    assert not fits(dataset, "digits nowhere")


def test_an_offer_keeps_pieces_and_claims_and_finds_a_dataset_by_each(bench: Any) -> None:
    offer = replace(bench.door.offer, datasets=(listed("root1", "one", "of some kind"),))
    read = offer_from_contents(canonical(offer_to_json(offer)))
    assert read.datasets == offer.datasets
    assert read.dataset(OTHER) == read.dataset("root1") == offer.datasets[0]
    old = offer_to_json(offer)
    for name in ("description", "licence", "signer", "pieces", "checked_at"):
        del old["datasets"][0][name]
    assert offer_from_contents(canonical(old)).datasets[0].pieces == ()
