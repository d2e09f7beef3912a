"""What nodes say when a contract is asked for its signature, and what that means."""

from __future__ import annotations

from typing import Any

import pytest

from shale.chain.erc1271 import MAGIC, is_signed
from shale.chain.node import Node
from shale.chain.rpc import NodeError, Rpc
from shale.errors import ShaleError, Unavailable
from shale.units import Address

MARKET, WALLET = Address("0x" + "aa" * 20), Address("0x" + "bb" * 20)
YES = "0x" + MAGIC + "0" * 56


class Wallet(Rpc):
    """A node whose answers to a call in the market's name, and in nobody's, are given."""

    def __init__(self, named: str | NodeError, nameless: str | NodeError) -> None:
        super().__init__("http://node.example")
        self._answers = {True: named, False: nameless}
        self.calls = 0

    async def call_once(self, method: str, *params: Any, most: int | None = None) -> Any:
        if method == "eth_chainId":
            return hex(314)
        assert method == "eth_call"
        self.calls += 1
        answer = self._answers["from" in params[0]]
        if isinstance(answer, NodeError):
            raise answer
        return answer


async def asked(wallet: Wallet) -> bool:
    return await is_signed(Node(wallet, 314), MARKET, WALLET, "0x" + "cc" * 32, "0x" + "dd" * 65)


SENDER = NodeError("message execution failed (exit=[SysErrSenderInvalid(1)], revert reason=[none], vm error=[])")
REVERTED = NodeError("message execution failed (exit=[33], revert reason=[none], vm error=[])")


async def test_a_node_that_calls_in_no_contracts_name_is_asked_in_nobodys() -> None:
    assert await asked(Wallet(SENDER, YES))
    assert not await asked(Wallet(SENDER, REVERTED))


async def test_what_a_contract_says_with_a_reason_is_believed_at_once() -> None:
    wallet = Wallet(NodeError("execution reverted", "0x08c379a0"), YES)
    assert not await asked(wallet)
    assert wallet.calls == 1


@pytest.mark.parametrize("words", ["actor not found", "failed to load state tree", "too many requests"])
async def test_a_node_that_cannot_say_is_no_contract_that_says_no(words: str) -> None:
    with pytest.raises(ShaleError) as caught:
        await asked(Wallet(NodeError(words), NodeError(words)))
    assert isinstance(caught.value, Unavailable)
