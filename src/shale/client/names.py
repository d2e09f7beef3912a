"""Names: a lease that nobody named gets one that is easy to say and to type."""

from __future__ import annotations

import secrets
from collections.abc import Collection

_ADJECTIVES = """
amber bold brisk calm clear crisp deft early eager fair fleet fresh gentle glad keen kind lively lucid mellow merry mild
neat nimble noble plain prime proud quick quiet rapid ready sharp silent sleek smart snug solid spry steady still stout
sunny sure swift tidy vivid warm wise
"""
_NOUNS = """
basalt birch brook cedar chalk clay cliff coral cove crag delta dune fjord flint garnet glade granite gravel grove
harbor heath ibex island juniper kelp lagoon larch ledge limestone lynx marble marsh mesa moss oak onyx opal otter
pine quartz reef ridge river sandstone shore slate spruce stone tarn topaz valley willow
"""


def new_name(taken: Collection[str]) -> str:
    """A name like `swift-basalt` that isn't taken."""
    for _ in range(100):
        name = f"{secrets.choice(_ADJECTIVES.split())}-{secrets.choice(_NOUNS.split())}"
        if name not in taken:
            return name
    return f"lease-{secrets.token_hex(4)}"
