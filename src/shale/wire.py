"""Wire: JSON that somebody else wrote, refused by its nesting before it is read.

Python's own guard is the recursion limit, which any library may raise for the whole process, and one of ours does: then
a body of nothing but brackets runs over the stack and kills the process.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterable
from typing import Any

from shale.errors import InputRefused

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


async def read_object(chunks: AsyncIterable[bytes], most: int, hint: str) -> dict[str, Any]:
    """The JSON object of a request's body of at most `most` bytes; nothing, or null, is an empty one.

    Raises InputRefused; `hint` says what a caller does about a body that is no such object.
    """
    raw = bytearray()
    async for chunk in chunks:
        raw += chunk
        if len(raw) > most:
            raise InputRefused("the request is too large", f"keep it within {most} bytes")
    try:
        value = read_json(raw or b"{}")
    except ValueError:
        raise InputRefused("the request is not JSON", hint) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputRefused("the request is not a JSON object", hint)
    return value
