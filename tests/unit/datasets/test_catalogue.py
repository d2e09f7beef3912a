"""A dataset's listing, summed up for an offer."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from shale.datasets.catalogue import check_name, describe
from shale.datasets.kernel import Listed
from shale.errors import InputRefused
from shale.market.offer import Dataset, Entry
from shale.units import Cid


def described(files: Iterable[tuple[str, int]]) -> Dataset:
    listing = [Listed(path, "file", size, Cid("bafyfile")) for path, size in files]
    return describe("digits", Cid("bafyroot"), Cid("baga"), listing)


def test_folders_are_summed_and_files_stand_alone() -> None:
    dataset = described([("train/0/a.png", 10), ("train/b.png", 20), ("readme", 1)])
    assert dataset.entries == (Entry("readme", 1, 1), Entry("train/", 2, 30))
    assert (dataset.files, dataset.size) == (3, 31)


def test_a_dataset_of_one_bare_file_is_named_after_itself() -> None:
    assert described([("", 5)]).entries == (Entry("digits", 1, 5),)


def test_of_too_many_entries_the_largest_are_listed_and_all_are_counted() -> None:
    dataset = described((f"f{number:04}", number) for number in range(500))
    assert len(dataset.entries) == 64
    assert {entry.size for entry in dataset.entries} == set(range(436, 500))
    assert dataset.files == 500


def test_an_entry_fits_an_offer_whatever_its_name() -> None:
    (entry,) = described([("evil\x1b\n" + "x" * 400, 1)]).entries
    assert entry.path.isprintable()
    assert len(entry.path) <= 256


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 129])
def test_a_name_that_no_offer_can_carry_is_refused(name: str) -> None:
    with pytest.raises(InputRefused):
        check_name(name)
