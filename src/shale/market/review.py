"""Review: a client's word on a lease, weighted on chain by seconds and by what was paid; and what they come to."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from shale.errors import InputRefused
from shale.units import MAX_SECONDS, ZERO, AttoFil, LeaseId, OrderHash, lease_id_of

MAX_COMMENT_BYTES = 280

PRIOR_REVIEWS = 5
PRIOR_STARS = 3
"""What a provider starts with in its score: so many reviews of so many stars."""
FULL_SECONDS = 3600
FULL_AMOUNT = 5 * 10**15
"""Seconds and attoFIL that a review must have behind it, on average, to count whole in a score."""


@dataclass(frozen=True, slots=True)
class Review:
    """One to five stars and a comment: one line of at most 280 bytes.

    A signed one is taken until its deadline, in Unix seconds; one that the client sends itself has none.
    """

    order: OrderHash
    stars: int
    comment: str
    deadline: int = 0

    @property
    def lease(self) -> LeaseId:
        return lease_id_of(self.order)

    def __post_init__(self) -> None:
        if not 0 <= self.deadline <= MAX_SECONDS:
            raise InputRefused(f"{self.deadline} is no time", "give Unix seconds")
        if not 1 <= self.stars <= 5:
            raise InputRefused(f"{self.stars} is not a number of stars", "give 1 to 5")
        if any(_is_control(character) for character in self.comment):
            raise InputRefused("the comment holds a character that can't be shown", "write it in one line of text")
        if len(self.comment.encode()) > MAX_COMMENT_BYTES:
            raise InputRefused("the comment is too long", f"keep it within {MAX_COMMENT_BYTES} bytes")


def shown(comment: str) -> str:
    """A comment from the chain, where anything may stand, as it may be shown: one line, control characters as `?`."""
    cut = comment.encode(errors="replace")[:MAX_COMMENT_BYTES].decode(errors="ignore")
    return "".join("?" if _is_control(character) else character for character in cut)


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

    def plus(self, stars: int, weight_seconds: int, paid: AttoFil) -> Standing:
        """With one more review."""
        return Standing(
            self.reviews + 1,
            self.weight_seconds + weight_seconds,
            self.weighted_stars + weight_seconds * stars,
            self.amount + paid,
            self.amount_stars + paid.value * stars,
        )

    @property
    def stars_hundredths(self) -> int | None:
        """The mean in hundredths of a star, rounded down; None without reviews of weight.

        Weighted by what was paid, which money stood for; by the seconds only where nothing was.
        """
        if self.amount:
            return min(self.amount_stars * 100 // self.amount.value, 500)
        return self.weighted_stars * 100 // self.weight_seconds if self.weight_seconds else None

    @property
    def stars_tenths(self) -> int | None:
        """The same in tenths."""
        found = self.stars_hundredths
        return None if found is None else found // 10

    @property
    def score_hundredths(self) -> int:
        """What providers are sorted by: the mean, drawn to PRIOR_STARS as far as little stands behind it.

        A thousandth of a review is the unit of what does: all reviews, but at most one for each hour that was paid and
        passed, and for each FULL_AMOUNT paid.
        """
        backing = min(
            self.reviews * 1000,
            self.weight_seconds * 1000 // FULL_SECONDS,
            self.amount.value * 1000 // FULL_AMOUNT,
        )
        prior = PRIOR_REVIEWS * 1000
        return (prior * PRIOR_STARS * 100 + backing * (self.stars_hundredths or 0)) // (prior + backing)


def weigh(price: AttoFil, paid: AttoFil, seconds: int, passed: int) -> int:
    """What a review weighs, in seconds: those confirmed, as far as they were paid and passed from lock to close."""
    return min(seconds, paid.value // price.value, passed) if price else 0
