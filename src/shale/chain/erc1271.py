"""Erc1271: asks a contract whether a signature is its own: a stranger's program, bounded in gas, time and answer."""

from __future__ import annotations

import asyncio

from shale.chain.codec import encode, kind_of
from shale.chain.complaints import complaint, says_no
from shale.chain.node import Node
from shale.chain.rpc import NodeError, TooMuch
from shale.errors import Unavailable
from shale.units import Address

MAGIC = "1626ba7e"
"""The function's selector, and the answer that means yes (ERC-1271)."""
GAS = 500_000_000
"""Of Filecoin's, whose units are smaller than Ethereum's: a wallet of several keys takes a tenth."""
SECONDS = 5.0
_MAX_ANSWER = 16 << 10
_YES = "0x" + MAGIC + "0" * 56
_KINDS = (kind_of("bytes32"), kind_of("bytes"))


async def is_signed(node: Node, asker: Address, signer: Address, digest: str, signature: str) -> bool:
    """Whether the contract at `signer`, asked by `asker`, answers with the magic value and nothing else.

    An account without code answers nothing. Raises Unavailable when no answer comes in time, or the node has none.
    """
    await node.check_chain()
    data = "0x" + MAGIC + encode(_KINDS, (digest, signature)).hex()
    call = {"from": asker, "to": signer, "gas": hex(GAS), "data": data}
    try:
        async with asyncio.timeout(SECONDS):
            answer = await _ask(node, call)
    except TooMuch:
        return False
    except NodeError as error:
        if says_no(error):
            return False
        raise complaint(error, node.rpc.place, None) from None
    except TimeoutError:
        raise Unavailable(f"the contract {signer} does not say in time what it signed", "try again later") from None
    return isinstance(answer, str) and answer.lower() == _YES


async def _ask(node: Node, call: dict[str, str]) -> object:
    try:
        return await node.rpc.call_once("eth_call", call, "latest", most=_MAX_ANSWER)
    except NodeError as error:
        if error.data:
            raise
    # Many nodes of Filecoin call in no contract's name (lotus#12896), and say so as they say that one reverted.
    nameless = {key: value for key, value in call.items() if key != "from"}
    return await node.rpc.call_once("eth_call", nameless, "latest", most=_MAX_ANSWER)
