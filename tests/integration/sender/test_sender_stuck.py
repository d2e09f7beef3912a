"""What is stuck, on a real anvil: a better offer where the fee is the trouble, and nothing for it where it isn't."""

from __future__ import annotations

import pytest
from tests.senders import TO, Desk

from shale.chain.intents import State
from shale.chain.tending import STUCK_BLOCKS
from shale.errors import Unavailable

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_stuck_transaction_offers_a_third_more_until_it_lands(desk: Desk) -> None:
    blocks = 0

    async def dear() -> None:
        """Blocks whose base fee is over what was offered, until it was raised twice."""
        nonlocal blocks
        blocks += 1
        (intent,) = desk.outbox().open()
        if len(intent.attempts) < 3:
            await desk.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(intent.newest.fees.most * 11 // 10))
        await desk.mine()

    before = await desk.received()
    landed = await desk.sender(pause=dear).transact(TO, b"", 9)
    (intent,) = desk.outbox().open()
    assert [len(intent.attempts), intent.tx, intent.nonce] == [3, landed.tx, 0]
    for old, new in zip(intent.attempts, intent.attempts[1:], strict=False):
        assert new.fees.tip * 4 >= old.fees.tip * 5
        assert new.fees.most * 4 >= old.fees.most * 5
        assert new.head - old.head >= STUCK_BLOCKS
    assert await desk.received() == before + 9
    await desk.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(10**9))
    await desk.mine()


async def test_a_transaction_that_the_node_forgot_is_given_to_it_again(desk: Desk) -> None:
    forgotten = False

    async def forget() -> None:
        nonlocal forgotten
        if not forgotten:
            forgotten = True
            await desk.rpc.call("anvil_dropAllTransactions")
        await desk.mine()

    before = await desk.received()
    await desk.sender(pause=forget).transact(TO, b"", 2)
    assert forgotten
    assert await desk.received() == before + 2


async def test_a_transaction_that_never_lands_ends_the_wait_and_stays_in_the_outbox(desk: Desk) -> None:
    async def nothing() -> None:
        await desk.rpc.call("anvil_dropAllTransactions")
        await desk.mine()

    sender = desk.sender(pause=nothing)
    with pytest.raises(Unavailable, match="is not in a block after"):
        await sender.transact(TO, b"", 1)
    (intent,) = desk.outbox().open()
    assert intent.state is State.SENT
    assert len({attempt.tx for attempt in intent.attempts}) == len(intent.attempts) <= 8
