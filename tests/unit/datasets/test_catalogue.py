"""A dataset's listing, summed up for an offer."""

from __future__ import annotations

import pytest

from shale.datasets.catalogue import check_name, describe
from shale.datasets.kernel import Outline, Top
from shale.errors import InputRefused
from shale.market.offer import Dataset, Entry
from shale.units import Cid


def described(*top: Top) -> Dataset:
    return describe("digits", Cid("bafyroot"), Cid("baga"), Outline(700, 9000, top, ()))


def test_a_dataset_has_the_sums_of_all_and_the_entries_that_an_offer_can_carry() -> None:
    dataset = described(*(Top(f"f{number:03}/", 2, number) for number in range(100)))
    assert (dataset.files, dataset.size) == (700, 9000)
    assert len(dataset.entries) == 64
    assert dataset.entries[1] == Entry("f001/", 2, 1)


def test_an_entry_fits_an_offer_whatever_its_name() -> None:
    (entry,) = described(Top("evil\x1b\n" + "x" * 400, 1, 1)).entries
    assert entry.path.isprintable()
    assert len(entry.path) <= 256


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 129])
def test_a_name_that_no_offer_can_carry_is_refused(name: str) -> None:
    with pytest.raises(InputRefused):
        check_name(name)
