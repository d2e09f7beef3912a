"""The registry's pages: all of a small one, both ends of one that somebody filled."""

from hypothesis import given
from hypothesis import strategies as st

from shale.chain.fvm import pages_of


@given(st.integers(0, 3000), st.integers(1, 1000))
def test_pages_cover_both_ends_once_and_no_more_than_asked(count: int, most: int) -> None:
    read = [index for at, size in pages_of(count, most) for index in range(at, at + size)]
    assert read == [index for index in range(count) if index < most or index >= count - most]
