"""A review is one line of text for people to read."""

import pytest

from shale.errors import InputRefused
from shale.market.review import MAX_COMMENT_BYTES, Review, shown
from shale.units import OrderHash

ORDER = OrderHash("0x" + "01" * 32)


@pytest.mark.parametrize(
    "comment", ["", "steady, and near the data", "schnell – 快 👩‍🔬", "é" * (MAX_COMMENT_BYTES // 2)]
)
def test_a_line_of_any_script_is_taken(comment: str) -> None:
    assert Review(ORDER, 5, comment).comment == comment


@pytest.mark.parametrize(
    "bad", ["\x1b[2J", "a\nb", "a\tb", "\x00", "\x7f", "\x9b", "\u2028", "\u202e", "\u2066", "\ud800"]
)
def test_what_acts_on_the_readers_screen_is_refused(bad: str) -> None:
    with pytest.raises(InputRefused, match="can't be shown"):
        Review(ORDER, 5, f"good{bad}")


def test_a_comment_is_bounded_in_bytes() -> None:
    with pytest.raises(InputRefused, match="too long"):
        Review(ORDER, 5, "é" * (MAX_COMMENT_BYTES // 2 + 1))


def test_a_comment_of_the_chain_is_shown_without_what_acts_on_the_screen() -> None:
    assert shown("good \x1b[2J\u202eevil\n\x9b") == "good ?[2J?evil??"
    assert shown("schnell – 快 👩‍🔬") == "schnell – 快 👩‍🔬"
    assert shown("\ud800") == "?"
    assert len(shown("é" * 300).encode()) == MAX_COMMENT_BYTES
    assert shown("a" + "é" * 300) == "a" + "é" * 139, "no half of a character"


def test_a_review_has_a_time_as_its_deadline() -> None:
    for bad in (-1, 2**64):
        with pytest.raises(InputRefused, match="no time"):
            Review(ORDER, 5, "", bad)
