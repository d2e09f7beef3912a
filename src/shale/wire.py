"""Wire: JSON that somebody else wrote, refused by its nesting before it is read.

Python's own guard is the recursion limit, which any library may raise for the whole process, and one of ours does: then
a body of nothing but brackets runs over the stack and kills the process.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 32
"""Our messages need four; a node's answers a few more."""

# A string without an end reaches to the end of the text: each byte is looked at once, whatever it is.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{\]}]', re.DOTALL)


def read_json(raw: bytes | bytearray) -> Any:
    """The value. Raises ValueError when it is no JSON in UTF-8, or nested deeper than any message of ours."""
    depth = 0
    for token in _TOKENS.finditer(raw):
        first = raw[token.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"nested deeper than {MAX_DEPTH}")
        elif first in b"]}":
            depth -= 1
    return json.loads(raw.decode())
