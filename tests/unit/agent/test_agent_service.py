"""The agent's process: a lease has a payer as long as it lives, whatever fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from shale.client.agent.service import Agent
from shale.clock import ManualClock
from shale.errors import Unavailable
from shale.paths import Home


class Session:
    """What the agent needs of one: it fails as it is told, and then pays."""

    name = "quiet-lake"

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.paying = asyncio.Event()

    async def run(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.paying.set()
        await asyncio.Event().wait()


async def test_a_session_that_fails_is_taken_up_again(tmp_path: Path) -> None:
    agent: Any = Agent(Home(tmp_path))
    agent._clock = ManualClock()
    session = Session(RuntimeError("a bug"), Unavailable("the books are locked"))
    task = asyncio.create_task(agent._run(session))
    await agent._clock.advance(1)
    assert not session.paying.is_set()
    await agent._clock.advance(2)
    assert session.paying.is_set()
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    agent._store.close()
