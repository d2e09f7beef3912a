"""What is stuck, on a real anvil: a better offer where the fee is the trouble, and nothing for it where it isn't."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.senders import TO, Desk, Wire, kill_in_its_send, somebody_elses

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


async def test_only_the_transaction_that_holds_up_the_others_offers_more(desk: Desk) -> None:
    async def dear() -> None:
        """Blocks whose base fee is over what the first offers, until it was raised twice."""
        intents = desk.outbox().open()
        if len(intents) == 2 and len(intents[0].attempts) < 3:
            await desk.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(intents[0].newest.fees.most * 11 // 10))
            await desk.mine()
        elif len(intents) == 2:
            await desk.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(10**9))
            await desk.mine()

    before = await desk.received()
    sender = desk.sender(pause=dear)
    await asyncio.gather(sender.transact(TO, b"", 1), sender.transact(TO, b"", 2))
    assert await desk.received() == before + 3
    assert [len(intent.attempts) for intent in desk.outbox().open()] == [3, 1]


async def lost_before_ours(desk: Desk, wire: Wire) -> None:
    """Another program's transaction has the nonce before ours, and the network loses it once ours is sent."""
    lost = await somebody_elses(desk, 0, 1000)

    async def drop(_raw: str) -> None:
        wire.after = None
        await desk.rpc.call("anvil_dropTransaction", lost)

    wire.after = drop


def check_that_the_hole_was_filled(desk: Desk) -> None:
    """By a transaction that does nothing; and nothing offered more for what its fee didn't hold up."""
    filler, *ours = desk.outbox().open()
    assert (filler.nonce, filler.draft.to, filler.draft.value) == (0, desk.account.address, 0)
    assert [len(intent.attempts) for intent in (filler, *ours)] == [1] * (1 + len(ours))
    assert [intent.nonce for intent in ours] == list(range(1, 1 + len(ours)))


async def test_a_nonce_that_another_program_left_is_filled_and_no_fee_raised(desk: Desk) -> None:
    wire = Wire(desk.url)
    await lost_before_ours(desk, wire)
    before = await desk.received()
    await desk.sender(rpc=wire).transact(TO, b"", 7)
    assert await desk.received() == before + 7
    check_that_the_hole_was_filled(desk)


async def test_a_nonce_that_was_left_before_a_killed_commands_transaction_is_filled_by_the_next(desk: Desk) -> None:
    wire = Wire(desk.url)
    await lost_before_ours(desk, wire)

    async def stop() -> None:
        raise KeyboardInterrupt

    before = await desk.received()
    with pytest.raises(KeyboardInterrupt):
        await desk.sender(rpc=wire, pause=stop).transact(TO, b"", 7)
    await desk.sender().transact(TO, b"", 5)
    assert await desk.received() == before + 12
    check_that_the_hole_was_filled(desk)


async def test_what_a_killed_command_never_sent_offers_no_more_before_it_had_its_time(desk: Desk) -> None:
    """It was signed long ago, and the node loses it for some blocks more."""
    await kill_in_its_send(desk, "before", 5)
    await desk.mine(2 * STUCK_BLOCKS)
    blocks = 0

    async def lose() -> None:
        nonlocal blocks
        blocks += 1
        if blocks < 4:
            await desk.rpc.call("anvil_dropAllTransactions")
        await desk.mine()

    before = await desk.received()
    await desk.sender(pause=lose).transact(TO, b"", 7)
    assert await desk.received() == before + 12
    assert [len(intent.attempts) for intent in desk.outbox().open()] == [1, 1]


class Elsewhere(Wire):
    """A node that has another program's transaction waiting under the nonce 0."""

    async def call_once(self, method: str, *params: Any) -> Any:
        answer = await super().call_once(method, *params)
        if method == "eth_getTransactionCount" and params[1] == "pending":
            return hex(max(1, int(answer, 16)))
        return answer


async def test_a_nonce_at_which_another_program_waits_is_left_to_it(desk: Desk) -> None:
    """Ours waits behind it for long, and offers no more for that, nor at once when it is the next."""
    blocks = 0

    async def pause() -> None:
        nonlocal blocks
        blocks += 1
        if blocks == 3 * STUCK_BLOCKS:
            await desk.rpc.call("anvil_dropAllTransactions")
            await somebody_elses(desk, 0, 1000)
        await desk.mine()

    before = await desk.received()
    await desk.sender(pause=pause, rpc=Elsewhere(desk.url)).transact(TO, b"", 7)
    assert await desk.received() == before + 1007
    (intent,) = desk.outbox().open()
    assert (intent.nonce, len(intent.attempts)) == (1, 1)
