"""Choosing: the cheapest provider that fits, or one line that says why none does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shale.chain.chain import ProviderRecord
from shale.client.discovery import Found, Unusable
from shale.client.plan import Wish, checked_cid, checked_mount, choose, parse_dataset, whole_ticks
from shale.errors import InputRefused, Refused, ShaleError, Unavailable
from shale.market.offer import Offer, SignedOffer, Tariff
from shale.market.resources import Resources
from shale.market.review import Standing
from shale.units import Address, AttoFil, Price

ROOT = "bafybeigfpimyrrtb7aaei57vsuqcy7vyeygahidhopqey3pzdphn6o6jqy"
WISH = Wish(Resources(1000, 2**30), 3600, ROOT, "/data")


def found(offer: Offer, per_cpu: int = 1_000_000, standing: Standing | None = None, **changes: Any) -> Found:
    changed = replace(offer, tariff=Tariff(AttoFil(per_cpu), AttoFil(0), AttoFil(0)), **changes)
    record = ProviderRecord(changed.provider, 0, changed.endpoint, "0x", "0x", changed.provider, True)
    return Found(record, SignedOffer(changed, b"", 0, 0, ""), standing)


@pytest.fixture
def offer(bench: Any) -> Offer:
    return bench.door.offer  # type: ignore[no-any-return]


def test_the_cheapest_that_fits_is_chosen(offer: Offer) -> None:
    dear, cheap, full = found(offer, 30), found(offer, 20), found(offer, 10, free=Resources(0, 0))
    assert choose([dear, cheap, full], [], WISH).found is cheap


def test_between_equals_the_better_rated_is_chosen(offer: Offer) -> None:
    plain, rated = found(offer), found(offer, standing=Standing(2, 100, 450))
    assert choose([plain, rated], [], WISH).found is rated


def test_a_plan_takes_the_first_image_whole_ticks_and_the_price_of_the_tariff(offer: Offer) -> None:
    plan = choose([found(offer, 7)], [], replace(WISH, max_seconds=3601))
    assert (plan.image, plan.max_seconds, plan.collateral) == ("shale/base:latest", 3605, AttoFil(7 * 3605))
    assert plan.dataset is not None
    assert plan.dataset.name == "digits"


def test_a_dataset_is_found_by_its_piece_too(offer: Offer) -> None:
    plan = choose([found(offer)], [], replace(WISH, dataset=offer.datasets[0].piece))
    assert plan.dataset is offer.datasets[0]


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (replace(WISH, resources=Resources(9000, 2**30)), r"not enough CPUs \(9 asked, 2 free\)"),
        (replace(WISH, resources=Resources(1000, 2**40)), "not enough memory"),
        (replace(WISH, resources=Resources(1000, 2**30, 0, 2)), "not enough GPUs"),
        (replace(WISH, max_seconds=90000), "leases for 24h 00m 00s at most"),
        (replace(WISH, max_price=Price(AttoFil(1))), "over the limit of 60 attoFIL/min"),
        (replace(WISH, dataset="bafkqaaa"), "no provider holds the dataset bafkqaaa"),
    ],
)
def test_what_does_not_fit_is_named(offer: Offer, wish: Wish, why: str) -> None:
    with pytest.raises(Refused, match=why):
        choose([found(offer)], [], wish)


def test_an_absurd_tariff_is_an_objection_and_no_crash(offer: Offer) -> None:
    with pytest.raises(Refused, match="out of all bounds"):
        choose([found(offer, 2**96 - 1)], [], WISH)


def test_nobody_there_and_nobody_reachable_are_told_apart(offer: Offer) -> None:
    with pytest.raises(Refused, match="no provider is registered"):
        choose([], [], WISH)
    record = ProviderRecord(Address("0xabc"), 0, "http://x", "", "", Address("0xabc"), True)
    with pytest.raises(Unavailable, match="timed out"):
        choose([], [Unusable(record, "timed out")], WISH)


@given(st.integers(1, 10**9), st.integers(1, 3600))
def test_whole_ticks_are_at_least_the_time_and_less_than_a_tick_more(seconds: int, tick: int) -> None:
    ticks = whole_ticks(seconds, tick)
    assert ticks % tick == 0
    assert seconds <= ticks < seconds + tick


def test_a_dataset_option_names_cid_and_mount() -> None:
    assert parse_dataset(f"{ROOT}:/in put/x/") == (ROOT, "/in put/x")
    assert parse_dataset(ROOT) == (ROOT, "/data")


@pytest.mark.parametrize(
    "text", ["", "bafy", "bafybeigfpimyrrtb7!", "Qmshort", "zb2rhe", "b" + "a" * 200, ROOT.upper()]
)
def test_a_malformed_cid_is_refused(text: str) -> None:
    with pytest.raises(InputRefused, match="is not a CID"):
        checked_cid(text)


@pytest.mark.parametrize("text", ["data", "/", "", "/a/../b", "/a//b", "/a:b", "/a,b", "/a\nb", "/" + "a" * 300])
def test_a_mount_point_that_is_no_plain_absolute_path_is_refused(text: str) -> None:
    with pytest.raises(InputRefused, match="mount point"):
        checked_mount(text)


@given(st.text(max_size=200))
def test_any_text_as_a_dataset_is_read_or_refused(text: str) -> None:
    try:
        cid, mount = parse_dataset(text)
    except ShaleError:
        return
    assert mount.startswith("/")
    assert cid.isascii()
