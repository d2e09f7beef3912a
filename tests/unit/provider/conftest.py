"""The desk of tests/desks.py for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.desks import Counter, open_counter
from tests.settlements import Shop, open_shop


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counter]:
    async with open_counter(tmp_path) as opened:
        yield opened


@pytest.fixture
def shop(counter: Counter) -> Shop:
    return open_shop(counter)
