"""A review is one line of text for people to read."""

import pytest

from shale.errors import InputRefused
from shale.market.review import MAX_COMMENT_BYTES, Review
from shale.units import LeaseId

LEASE = LeaseId("0x" + "01" * 31)


@pytest.mark.parametrize(
    "comment", ["", "steady, and near the data", "schnell – 快 👩‍🔬", "é" * (MAX_COMMENT_BYTES // 2)]
)
def test_a_line_of_any_script_is_taken(comment: str) -> None:
    assert Review(LEASE, 5, comment).comment == comment


@pytest.mark.parametrize(
    "bad", ["\x1b[2J", "a\nb", "a\tb", "\x00", "\x7f", "\x9b", "\u2028", "\u202e", "\u2066", "\ud800"]
)
def test_what_acts_on_the_readers_screen_is_refused(bad: str) -> None:
    with pytest.raises(InputRefused, match="can't be shown"):
        Review(LEASE, 5, f"good{bad}")


def test_a_comment_is_bounded_in_bytes() -> None:
    with pytest.raises(InputRefused, match="too long"):
        Review(LEASE, 5, "é" * (MAX_COMMENT_BYTES // 2 + 1))
