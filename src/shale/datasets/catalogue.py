"""Catalogue: what a dataset holds, as an offer lists it."""

from __future__ import annotations

from shale.datasets.kernel import Outline
from shale.errors import InputRefused
from shale.market.offer import MAX_ENTRIES, Dataset, Entry
from shale.units import Cid

_MAX_NAME = 128
_MAX_PATH = 256


def check_name(name: str) -> None:
    """Raises InputRefused unless it can name a dataset in an offer."""
    if not name or len(name) > _MAX_NAME or not name.isprintable():
        raise InputRefused("that cannot name a dataset", f"give 1 to {_MAX_NAME} printable characters")


def describe(name: str, root: Cid, piece: Cid, outline: Outline) -> Dataset:
    """The dataset with its sums and its top entries; of more than an offer may list, the smallest are left out."""
    return Dataset(
        name=name,
        root=root,
        piece=piece,
        size=outline.size,
        files=outline.files,
        entries=tuple(Entry(_shown(top.path), top.files, top.size) for top in outline.top[:MAX_ENTRIES]),
    )


def _shown(path: str) -> str:
    """The name as an offer may carry it: its writer is whoever made the piece."""
    plain = "".join(char if char.isprintable() else "?" for char in path)
    return plain if len(plain) <= _MAX_PATH else plain[: _MAX_PATH - 1] + "…"
