"""Review: a client's word on a lease, weighted on chain by the seconds that a proof has shown."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from shale.errors import InputRefused
from shale.units import ZERO, AttoFil, LeaseId

MAX_COMMENT_BYTES = 280


@dataclass(frozen=True, slots=True)
class Review:
    """One to five stars and a comment: one line of at most 280 bytes."""

    lease: LeaseId
    stars: int
    comment: str

    def __post_init__(self) -> None:
        if not 1 <= self.stars <= 5:
            raise InputRefused(f"{self.stars} is not a number of stars", "give 1 to 5")
        if any(_is_control(character) for character in self.comment):
            raise InputRefused("the comment holds a character that can't be shown", "write it in one line of text")
        if len(self.comment.encode()) > MAX_COMMENT_BYTES:
            raise InputRefused("the comment is too long", f"keep it within {MAX_COMMENT_BYTES} bytes")


def _is_control(character: str) -> bool:
    """What moves a terminal's cursor, breaks a line, or turns the direction of what others read."""
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(character) in _TURNS


_TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


@dataclass(frozen=True, slots=True)
class Standing:
    """What the chain knows of a provider: reviews, the sum of weights (seconds) and of stars times weight.

    `amount` is what was paid in the reviewed leases, `amount_stars` its sum times stars, in attoFIL.
    """

    reviews: int
    weight_seconds: int
    weighted_stars: int
    amount: AttoFil = ZERO
    amount_stars: int = 0

    @property
    def stars_tenths(self) -> int | None:
        """The weighted mean in tenths of a star, rounded down; None without reviews of weight."""
        return self.weighted_stars * 10 // self.weight_seconds if self.weight_seconds else None
