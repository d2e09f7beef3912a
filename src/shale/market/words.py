"""Words: what a search for datasets is made of, as client and provider read it (docs/protocol.md, section 8)."""

from __future__ import annotations

import re

from shale.errors import InputRefused
from shale.market.offer import Dataset

MAX_WORDS = 8
MAX_TEXT = 200
LEAST_OF_CID = 8
"""Characters of a word that is looked for in CIDs: any shorter one stands in some of many."""


def split(text: str) -> tuple[str, ...]:
    """The words of a query, without their case. Raises InputRefused."""
    words = tuple(dict.fromkeys(text.casefold().split()))
    if len(text) > MAX_TEXT or len(words) > MAX_WORDS or not re.sub(r"\s", "", text).isprintable():
        raise InputRefused(
            "that can't be searched for", f"give at most {MAX_WORDS} words, of {MAX_TEXT} characters together"
        )
    return words


def missing(dataset: Dataset, words: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the words, without case, that stand in none of the dataset's own texts: name, description and CIDs."""
    told = f"{dataset.name} {dataset.description}".casefold()
    cids = " ".join((dataset.root, dataset.piece, *(piece.cid for piece in dataset.pieces))).casefold()
    return tuple(word for word in words if word not in told and (len(word) < LEAST_OF_CID or word not in cids))
