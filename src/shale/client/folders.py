"""Folders: whose the folder of a name is. A name is given again, a payment key never: the key says it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from shale.errors import InputRefused
from shale.market.order import PayKey, hash_of

ORDER_FILE = "order.json"
"""An order that the chain has, and that no running lease has come of yet."""
PAY_KEY_FILE = "pay_key.json"


def is_of(folder: Path, pay_key: PayKey) -> bool:
    """Whether this folder holds the secrets of the lease or order of that payment key, and of no other.

    One that names no key, because it is empty, just being filled or broken, is nobody's.
    """
    return set(_keys_in(folder)) == {pay_key}


def _keys_in(folder: Path) -> Iterator[PayKey]:
    for file, path in ((PAY_KEY_FILE, ()), (ORDER_FILE, ("order", "pay_key"))):
        try:
            raw = json.loads((folder / file).read_bytes())
            for key in path:
                raw = raw[key]
            yield PayKey(hash_of(raw["x"]), hash_of(raw["y"]))
        except (OSError, ValueError, KeyError, TypeError, InputRefused):
            continue
