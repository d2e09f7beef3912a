"""The order of `shale ls`: by what was proven of a provider, then by what it costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shale.client.cli.ls import by_rating, provider_json
from shale.market.review import Standing, weigh
from shale.units import AttoFil

HOUR, FAIR_PRICE = 3600, 5 * 10**15


def reviewed(reviews: int, stars: int, hours: int, paid: int = 1) -> Standing:
    """So many reviews of leases of one hour each (or fewer), every hour paid with `paid` times 0.005 FIL."""
    amount = AttoFil(hours * paid * FAIR_PRICE)
    return Standing(reviews, hours * HOUR, hours * HOUR * stars, amount, amount.value * stars)


def test_better_stars_come_first_and_equal_ones_by_what_stands_behind_them(bench: Any) -> None:
    found = bench.door.found()
    bad, new, fair, good, proven = (
        replace(found, standing=standing)
        for standing in (reviewed(9, 1, 9), None, reviewed(9, 4, 9), reviewed(5, 5, 5), reviewed(40, 5, 40))
    )
    assert by_rating([bad, new, fair, good, proven]) == [proven, good, fair, new, bad]


def test_one_perfect_review_does_not_pass_many_good_ones() -> None:
    assert reviewed(1, 5, 1).score_hundredths == (5 * 300 + 500) // 6
    assert reviewed(1, 5, 1).score_hundredths < reviewed(40, 4, 40).score_hundredths


def test_reviews_without_money_or_without_hours_leave_the_score_where_it_was() -> None:
    cheap = Standing(1000, 1000 * HOUR, 5000 * HOUR, AttoFil(1000 * HOUR), 5000 * HOUR)
    assert cheap.score_hundredths == Standing(0, 0, 0).score_hundredths == 300
    rich = Standing(1, 0, 0, AttoFil(10**21), 5 * 10**21)
    assert rich.score_hundredths == 300
    assert rich.stars_tenths == 50


def test_stars_are_weighted_by_what_was_paid_and_by_seconds_where_nothing_was() -> None:
    assert Standing(2, 200, 600, AttoFil(10), 20).stars_hundredths == 200
    assert Standing(2, 200, 600).stars_hundredths == 300
    assert Standing(2, 0, 0).stars_hundredths is None


def test_a_review_weighs_what_was_confirmed_paid_and_passed() -> None:
    price = AttoFil(3)
    assert weigh(price, AttoFil(299), 120, 1000) == 99
    assert weigh(price, AttoFil(3000), 120, 1000) == 120
    assert weigh(price, AttoFil(3000), 120, 7) == 7
    assert weigh(AttoFil(1), AttoFil(315_360_000), 315_360_000, 0) == 0
    assert weigh(AttoFil(0), AttoFil(0), 120, 1000) == 0


def test_providers_without_reviews_stay_in_the_order_of_their_price(bench: Any) -> None:
    one, two = (replace(bench.door.found(), standing=standing) for standing in (None, Standing(0, 0, 0)))
    assert by_rating([one, two]) == [one, two]
    assert by_rating([two, one]) == [two, one]


def test_stars_and_their_weight_are_told(bench: Any) -> None:
    standing = Standing(2, 100, 450, AttoFil(8), 36)
    raw = provider_json(replace(bench.door.found(), standing=standing))
    assert (raw["stars"], raw["reviews"], raw["weight_seconds"], raw["reviewed_attofil"]) == (4.5, 2, 100, "8")
    assert (raw["weighted_stars"], raw["amount_stars"], raw["score"]) == (450, "36", 3.0)
