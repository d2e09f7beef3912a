"""The order of `shale ls`: by what was proven of a provider, then by what it costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shale.client.cli.ls import by_rating, provider_json
from shale.market.review import Standing
from shale.units import AttoFil


def test_more_stars_come_first_and_equal_ones_by_the_seconds_behind_them(bench: Any) -> None:
    found = bench.door.found()
    new, fair, good, proven = (
        replace(found, standing=standing)
        for standing in (None, Standing(9, 1000, 3000), Standing(1, 10, 50), Standing(4, 900, 4500))
    )
    assert by_rating([new, fair, good, proven]) == [proven, good, fair, new]


def test_providers_without_reviews_stay_in_the_order_of_their_price(bench: Any) -> None:
    one, two = (replace(bench.door.found(), standing=standing) for standing in (None, Standing(0, 0, 0)))
    assert by_rating([one, two]) == [one, two]
    assert by_rating([two, one]) == [two, one]


def test_stars_and_their_weight_are_told(bench: Any) -> None:
    standing = Standing(2, 100, 450, AttoFil(7), 35)
    raw = provider_json(replace(bench.door.found(), standing=standing))
    assert (raw["stars"], raw["reviews"], raw["weight_seconds"], raw["reviewed_attofil"]) == (4.5, 2, 100, "7")
