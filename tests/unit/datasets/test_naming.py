"""What piece CIDs of both versions name, and where a URL or a file says one."""

from __future__ import annotations

import pytest

from shale.datasets.naming import named_by_file, named_by_url, piece_name

ONE = "baga6ea4seaqmfldjtozgne6adk7eve2vdxte7vzlivae7nzsbrawobo546zkijq"
SECOND = "bafkzcibcaaces3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi"
"""FRC-0069: 127 bytes each of 0, 1, 2, 3."""
EMPTY = "bafkzcibcp4bdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy"
ZEROS = "baga6ea4seaqdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy"
"""127 zeros, which an empty piece is padded to."""


def test_a_name_of_version_one_is_read_and_written() -> None:
    name = piece_name(ONE)
    assert name is not None
    assert (name.v1, name.height) == (ONE, None)
    assert piece_name(ONE.upper()) == name


def test_a_name_of_version_two_says_the_height_too() -> None:
    empty = piece_name(EMPTY)
    assert empty is not None
    assert (empty.v1, empty.height) == (ZEROS, 2)
    four = piece_name(SECOND)
    assert four is not None
    assert four.padded_size(four.v1, 512) == 512
    assert four.padded_size(four.v1, 1024) is None


def test_a_piece_that_was_padded_up_is_known_by_its_zeros() -> None:
    zeros = piece_name("baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq")  # 32 GiB of zeros
    assert zeros is not None
    assert zeros.padded_size(ZEROS, 128) == 32 << 30
    assert zeros.padded_size(ONE, 128) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        ONE[:-1],
        ONE + "a",
        ONE.replace("q", "1"),
        "bafybeigfpimyrrtb7aaei57vsuqcy7vyeygahidhopqey3pzdphn6o6jqy",
        SECOND[:-2],
        "b" + "a" * 100,
    ],
)
def test_what_is_no_piece_cid_names_nothing(text: str) -> None:
    assert piece_name(text) is None


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (f"http://h/piece/{ONE}", ONE),
        (f"https://h:80/a/piece/{SECOND}/?token=x", SECOND),
        (f"http://h/piece/{ONE}.car", ONE),
        (f"http://h/%70iece/{ONE}", ONE),
        (f"http://h/{ONE}", None),
        (f"http://h/ipfs/{ONE}", None),
        ("http://h/piece/x", None),
        (f"http://[h/piece/{ONE}", None),
    ],
)
def test_a_url_names_a_piece_behind_the_word_piece(url: str, named: str | None) -> None:
    assert named_by_url(url) == named


def test_a_file_is_named_by_its_piece() -> None:
    assert named_by_file(f"{ONE}.car") == named_by_file(ONE) == ONE
    assert named_by_file("s-t00-12") is None
