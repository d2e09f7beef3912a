"""Keeping: work in the background ends when it is done or cancelled, and by no failure."""

from __future__ import annotations

import asyncio
import logging

import pytest

from shale.clock import ManualClock
from shale.errors import Unavailable
from shale.keeping import MOST_SECONDS, keep

log = logging.getLogger("test.keeping")


class Failing:
    """Work that raises what it is given, one after the other, and then waits."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.runs = 0

    async def __call__(self) -> None:
        self.runs += 1
        if self.errors:
            raise self.errors.pop(0)
        await asyncio.Event().wait()


async def test_work_that_raises_anything_is_begun_again_after_a_growing_pause() -> None:
    clock, work = ManualClock(), Failing(KeyError("a"), Unavailable("b"), OSError("c"))
    task = asyncio.create_task(keep("work", work, clock, log))
    runs = []
    for _ in range(8):
        await clock.settle()
        runs.append(work.runs)
        await clock.advance(1)
    assert runs == [1, 2, 2, 3, 3, 3, 3, 4]
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def test_the_pause_has_a_limit() -> None:
    clock, work = ManualClock(), Failing(*(KeyError("a") for _ in range(100)))
    task = asyncio.create_task(keep("work", work, clock, log))
    await clock.advance(1000)
    before = work.runs
    await clock.advance(10 * MOST_SECONDS)
    assert work.runs == before + 10
    task.cancel()


async def test_a_bug_is_logged_once_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    clock, work = ManualClock(), Failing(*(KeyError("gone") for _ in range(5)), Unavailable("the node sleeps"))
    task = asyncio.create_task(keep("looking", work, clock, log))
    with caplog.at_level(logging.ERROR):
        await clock.advance(300)
    task.cancel()
    bug, ours = caplog.records
    assert bug.getMessage() == "looking: KeyError: 'gone'"
    assert bug.exc_info is not None
    assert ours.getMessage() == "looking: the node sleeps"
    assert ours.exc_info is None


async def test_work_that_is_done_is_done() -> None:
    async def once() -> None: ...

    await keep("work", once, ManualClock(), log)
