"""What shouldn't be done twice unasked, on a real anvil: a command that is repeated after a kill is held back."""

from __future__ import annotations

import asyncio

import pytest
from tests.senders import TO, Desk, kill_in_its_send

from shale.chain.intents import Purpose
from shale.chain.sender import MadeBefore

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOUR = Purpose("deposit of 4 FIL", "deposit 0x77")
EIGHT = Purpose("deposit of 8 FIL", "deposit 0x77")
OTHER = Purpose("withdrawal of 1 FIL", "withdrawal 0x77")


@pytest.mark.parametrize("waits", [True, False])
async def test_what_a_killed_command_did_is_told_before_the_like_of_it_is_sent(
    desk: Desk, waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether its transaction still waits when the next command comes, or landed while nobody looked."""
    before = await desk.received()
    await kill_in_its_send(desk, "after", 4, FOUR)
    if not waits:
        await desk.mine()
    for _ in range(3):  # a script that tries again and again pays nothing more
        with pytest.raises(MadeBefore, match=r"a deposit of 4 FIL by an earlier command.*0x.*nothing more.*--again"):
            await desk.sender().transact(TO, b"", 8, EIGHT)
        assert await desk.received() == before + 4
    assert ("(deposit of 4 FIL) of an earlier command still waits" in caplog.text) is waits

    await desk.sender().transact(TO, b"", 1, OTHER)
    sender = desk.sender()
    # Neither another command nor leave to repeat something else is leave to repeat this.
    for other in (sender.take_up, lambda: sender.take_up(lambda _: True), lambda: sender.tell_earlier(OTHER)):
        await other()
        with pytest.raises(MadeBefore, match="a deposit of 4 FIL"):
            await sender.transact(TO, b"", 8, EIGHT)
    await sender.transact(TO, b"", 1, Purpose("deposit of 1 FIL"))
    await sender.tell_earlier(EIGHT)
    await sender.transact(TO, b"", 8, EIGHT)
    await desk.sender().transact(TO, b"", 8, EIGHT)
    assert await desk.received() == before + 4 + 1 + 1 + 8 + 8


@pytest.mark.parametrize("finality", [0, 6])
async def test_what_a_killed_command_did_not_do_holds_nothing_back(desk: Desk, finality: int) -> None:
    """Its transaction fails in its block."""
    await kill_in_its_send(desk, "before", 4, FOUR)
    await desk.rpc.call("anvil_setCode", TO, "0x60006000fd")
    try:
        await desk.sender(finality=finality).transact(desk.account.address, b"", 1, OTHER)
    finally:
        await desk.rpc.call("anvil_setCode", TO, "0x")
    before = await desk.received()
    await desk.sender(finality=finality).transact(TO, b"", 8, EIGHT)
    assert await desk.received() == before + 8


async def test_a_command_that_is_killed_while_another_process_lives_is_taken_up_there(desk: Desk) -> None:
    sender = desk.sender()
    before = await desk.received()
    await sender.transact(TO, b"", 1, FOUR)
    await kill_in_its_send(desk, "before", 4, FOUR)
    with pytest.raises(MadeBefore, match="a deposit of 4 FIL"):
        await sender.transact(TO, b"", 8, EIGHT)
    assert await desk.received() == before + 5


async def test_processes_that_live_do_not_hold_each_other_back(desk: Desk) -> None:
    before = await desk.received()
    one, two = desk.sender(), desk.sender()
    await asyncio.gather(*(sender.transact(TO, b"", 8, EIGHT) for sender in (one, two, one)))
    assert await desk.received() == before + 24
    assert desk.outbox().untold() == []
